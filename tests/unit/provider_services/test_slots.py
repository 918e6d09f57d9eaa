"""Every slot of a vendor: whether it can be used and, if not, which variable or key of mesh.yaml is the matter."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.shipped import shipped
from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.mesh import load_mesh
from catalog.model import Vendor
from catalog.settings import Endpoint
from meshkit.yaml_file import ConfigError
from provider_services.slots import ReadSlots, read_slots

VENDORS = shipped().vendors
GROQ = VENDORS["groq"]
ONE, TWO = "gsk_aaaa1111", "gsk_bbbb2222"
PAGE = "; get one at https://console.groq.com/keys"
# As at a vendor whose accounts have hosts of their own.
HOSTED = replace(
    GROQ,
    endpoint="https://{resource}.example/openai",
    endpoint_env={"GROQ_ENDPOINT": "{value}/openai"},
    endpoint_parts={"resource": ("GROQ_RESOURCE",)},
)


def read(env: Mapping[str, str], text: str = "{}", vendor: Vendor = GROQ, directory: Path = Path()) -> ReadSlots:
    path = directory / "mesh.yaml"
    path.write_text(text)
    catalog = replace(shipped(), vendors={**VENDORS, "groq": vendor})
    return read_slots(vendor, load_mesh(path, env, catalog), env)


def words(found: ReadSlots) -> list[tuple[int, str, str]]:
    name = DescribeResponse.State.Name
    return [(slot.number, name(slot.state).removeprefix("STATE_").lower(), slot.reason) for slot in found.states]


FORM = "does not look like a key of Groq; allowed: gsk_[A-Za-z0-9_-]{4,}"
CASES = [  # the environment, mesh.yaml, what is said of each slot
    ({"GROQ_API_KEY": ONE}, "{}", [(1, "configured", "")]),
    ({}, "{}", [(1, "missing", f"no API key: set GROQ_API_KEY{PAGE}")]),
    ({"GROQ_API_KEY": "your-groq-key-here"}, "{}", [(1, "missing", f"no API key: set GROQ_API_KEY{PAGE}")]),
    (
        {"GROQ_API_KEY": ONE},
        "vendors: {groq: {slots: {2: {account: second}}}}",
        [(1, "configured", ""), (2, "missing", f"no API key: set GROQ_API_KEY_2{PAGE}")],
    ),
    (
        {"GROQ_API_KEY_2": TWO},
        "{}",
        [(1, "missing", f"no API key: set GROQ_API_KEY{PAGE}"), (2, "configured", "")],
    ),
    ({"GROQ_API_KEY": "sk-wrong1"}, "{}", [(1, "malformed", f"GROQ_API_KEY {FORM}")]),
    (
        {"GROQ_API_KEY": f"{ONE},sk-wrong1"},
        "{}",
        [(1, "configured", ""), (2, "malformed", f"key 2 of GROQ_API_KEY {FORM}")],
    ),
    (
        {"GROQ_API_KEY": ONE, "GROQ_API_KEY_2": f'"{TWO}"'},
        "{}",
        [
            (1, "configured", ""),
            (
                2,
                "malformed",
                "GROQ_API_KEY_2 stands in quotes that are part of the value; write the key without them",
            ),
        ],
    ),
    (
        {"GROQ_API_KEY": f"{ONE} {TWO}"},
        "{}",
        [
            (
                1,
                "malformed",
                "GROQ_API_KEY has characters no key has, such as a space; several keys are separated by commas",
            )
        ],
    ),
    (
        {"GROQ_API_KEY": ONE, "GROQ_API_KEY_3": f"{ONE},{TWO}"},
        "{}",
        [
            (1, "configured", ""),
            (3, "malformed", "GROQ_API_KEY_3 holds several keys; a list of keys belongs in GROQ_API_KEY"),
        ],
    ),
    ({"GROQ_API_KEY": ONE}, "vendors: {groq: {enabled: false}}", [(1, "disabled", "switched off by mesh.yaml")]),
    # One key twice is one key: no more quota, and no harm while the configuration does not say otherwise.
    ({"GROQ_API_KEY": f"{ONE},{ONE}"}, "{}", [(1, "configured", ""), (2, "configured", "")]),
    (
        {"GROQ_API_KEY": f"{ONE},{ONE}"},
        "vendors: {groq: {slots: {2: {account: second}}}}",
        [
            (1, "configured", ""),
            (
                2,
                "malformed",
                (
                    "key 2 of GROQ_API_KEY holds the same key as key 1 of GROQ_API_KEY, and a key has one account; "
                    "mesh.yaml: vendors.groq.slots says default for 1 and second for 2"
                ),
            ),
        ],
    ),
]


@pytest.mark.parametrize(("env", "text", "expected"), CASES)
def test_what_is_said_of_every_slot(tmp_path, env, text, expected):
    found = read(env, text, directory=tmp_path)
    assert words(found) == expected
    for value in env.values():
        for key in value.strip('"').replace(" ", ",").split(","):
            assert key == "your-groq-key-here" or key not in repr(words(found))


def test_what_is_odd_about_the_variables_is_told(tmp_path):
    found = read({"GROQ_API_KEY": f"{ONE},{TWO}", "GROQ_API_KEY_2": ONE, "GROQ_API_KEYS": ONE}, directory=tmp_path)
    assert found.warnings == (
        "GROQ_API_KEY_2 and key 2 of GROQ_API_KEY differ: GROQ_API_KEY_2 is used for slot 2",
        (
            "GROQ_API_KEYS is not read; several keys are GROQ_API_KEY=key1,key2 or "
            "GROQ_API_KEY, GROQ_API_KEY_2, GROQ_API_KEY_3 …"
        ),
    )


HOSTS = [  # the environment, what is said of slot 1, where it calls
    ({"GROQ_API_KEY": ONE}, "no_endpoint", "no endpoint: set GROQ_ENDPOINT or GROQ_RESOURCE", ""),
    ({}, "missing", f"no API key: set GROQ_API_KEY{PAGE}", ""),
    ({"GROQ_API_KEY": ONE, "GROQ_RESOURCE": "our-team"}, "configured", "", "https://our-team.example/openai"),
    ({"GROQ_API_KEY": ONE, "GROQ_ENDPOINT": "https://x.example/"}, "configured", "", "https://x.example/openai"),
    ({"GROQ_API_KEY": ONE, "GROQ_ENDPOINT": "x.example"}, "configured", "", "https://x.example/openai"),
]


@pytest.mark.parametrize(("env", "state", "reason", "endpoint"), HOSTS)
def test_a_key_without_a_place_to_call_names_the_variables_that_would_say_it(tmp_path, env, state, reason, endpoint):
    found = read(env, vendor=HOSTED, directory=tmp_path)
    assert words(found) == [(1, state, reason)]
    assert found.states[0].endpoint == endpoint


WRONG_HOSTS = [
    (
        {"GROQ_RESOURCE": "https://our-team.example"},
        (
            "GROQ_RESOURCE: `https://our-team.example` is not a name; "
            "allowed: letters, digits and hyphens: the NAME of https://NAME.example/openai"
        ),
    ),
    ({"GROQ_RESOURCE": "our team"}, "GROQ_RESOURCE: `our team` is not a name; allowed: letters"),
    ({"GROQ_ENDPOINT": "https://x.example:port"}, "GROQ_ENDPOINT: `https://x.example:port` is no address; allowed: "),
]


@pytest.mark.parametrize(("env", "problem"), WRONG_HOSTS)
def test_a_variable_that_says_nonsense_of_a_host_stops_the_start_and_is_named(tmp_path, env, problem):
    with pytest.raises(ConfigError) as caught:
        read({"GROQ_API_KEY": ONE, **env}, vendor=HOSTED, directory=tmp_path)
    assert str(caught.value).startswith(f"environment variable {problem}")


def test_a_vendor_that_wants_no_key_has_one_slot():
    found = read_slots(VENDORS["ollama"], load_mesh(None, {}), {})
    assert words(found) == [(1, "configured", "")]
    assert found.states[0].endpoint == Endpoint("http://localhost:11434").url
    assert found.states[0].key is None
