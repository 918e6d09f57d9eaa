"""What must be nowhere: prompts and answers after a run, keys outside the process of their vendor."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from fixtures.customer import user
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.sandbox_mesh import ROOT
from fixtures.unseen import where_found

from catalog.mesh import load_mesh
from llm_mesh.environment import environments
from meshkit.secret import Secret
from provider_services.slots import Line, read_slots

ASKED, ANSWERED = "canary-asked-5c1e", "canary-answered-90d7"


@dataclass
class Left:
    """What a mesh left behind and said: its directory, its metrics, its spans, its errors, where it called."""

    directory: Path
    keys: list[str]
    metrics: str = ""
    spans: str = ""
    errors: str = ""
    printed: str = ""
    targets: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def left(tmp_path_factory, spans, tracing):
    """Run a mesh through successes and every kind of failure, end it, and return what it left."""
    directory = tmp_path_factory.mktemp("left")
    keys = {"OPENAI_API_KEY": key_of("openai", "oai1"), "GROQ_API_KEY": key_of("groq", "grq1")}
    found = Left(directory, list(keys.values()))
    with keyed_mesh(directory, keys=keys, environment=tracing) as customer:
        succeed(customer)
        found.errors = "".join(fail(customer))
        found.printed = "".join(
            customer.command(*words).stdout for words in (["vendors"], ["status", "--json"], ["explain", "hi"])
        )
        found.metrics = "".join(customer.metrics(name) for name in customer.mesh.admin)
        found.targets = [heard.target for heard in customer.tap.ever]
        found.printed += customer.mesh.said()
    found.spans = repr(spans._spans)
    return found


def succeed(customer):
    asked = [{"role": "system", "content": ASKED}, user(f"say: {ANSWERED} {ASKED}")]
    for stream, use_case in ((False, "quick"), (True, "quick"), (False, "testing")):
        body = {"messages": asked, "stream": stream, "llm_mesh": {"use_case": use_case}}
        assert ANSWERED in customer.http.post("/v1/chat/completions", json=body).text
    assert any(ASKED in heard.body for heard in customer.tap.chats)


def fail(customer):
    """Fail in every way there is and give what the mesh says of it; the vendors repeat their key and the prompt."""
    asked = {"messages": [user(f"say: {ANSWERED} {ASKED}")]}
    yield customer.http.post("/v1/chat/completions", json={**asked, "temperature": 9}).text
    yield repr(customer.refused(f"say: {ANSWERED}", model=ASKED.replace("canary", "model")))
    for vendor, key in (("groq", customer.keys["GROQ_API_KEY"]), ("openai", customer.keys["OPENAI_API_KEY"])):
        words = f"Incorrect API key provided: {key}. You asked {ASKED}"
        for status in (400, 404, 500, 403):
            body = {"error": {"message": words, "code": status, "type": "error"}}
            customer.tap.faults(vendor, {"kind": "status", "status": status, "body": body})
            reply = customer.http.post("/v1/chat/completions", json={**asked, "model": vendor})
            assert reply.status_code >= 400
            yield reply.text
        yield customer.command("chat", "--model", vendor, "hi", "--json").stdout
    customer.tap.faults("ollama", {"kind": "cut", "after_tokens": 1})
    yield customer.http.post("/v1/chat/completions", json={**asked, "stream": True, "model": "ollama"}).text


@pytest.mark.product("P-OPS-13")
@pytest.mark.parametrize("marked", [ASKED, ANSWERED])
def test_a_marked_prompt_and_its_answer_are_found_nowhere_after_a_run(left, marked):
    assert "chat gpt-4o" in left.spans
    assert "mesh_requests_total" in left.metrics
    assert where_found(['"event":"request"'], left.directory) != []
    assert where_found([marked], left.directory) == []
    assert marked not in left.metrics
    assert marked not in left.spans


@pytest.mark.product("P-OPS-15")
def test_a_key_is_never_in_an_error_a_log_a_metric_a_trace_a_url_or_what_a_command_prints(left):
    assert "Incorrect API key provided: ***" in left.errors
    for key in left.keys:
        assert all(key not in text for text in (left.errors, left.printed, left.metrics, left.spans, *left.targets))
        assert where_found([key], left.directory) == [f"{left.directory}/.env: {key}"]


@pytest.mark.product("P-OPS-15")
def test_every_key_is_present_in_the_process_of_its_vendor_alone(partial, catalogue):
    holders = {name: set() for name in partial.keys}
    pids = {name: partial.mesh.pid(name) for name in partial.mesh.names}
    pids["up"] = partial.mesh.process.pid  # read them from .env and handed each to its vendor
    for process, pid in pids.items():
        proc = Path(f"/proc/{pid}")
        environment = proc.joinpath("environ").read_text()
        command = proc.joinpath("cmdline").read_text()
        for name, key in partial.keys.items():
            assert key not in command
            if key in environment:
                holders[name].add(process)
    of_vendor = {name: vendor.id for vendor in catalogue.vendors.values() for name in vendor.key_env}
    for name, processes in holders.items():
        assert processes == {f"provider-{of_vendor[re.sub('_2$', '', name)]}"}, name


@pytest.mark.product("P-OPS-15")
def test_the_containers_of_the_deployment_have_the_key_of_their_vendor_alone(catalogue):
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    known = {name: vendor.id for vendor in catalogue.vendors.values() for name in vendor.key_env}
    holders = {
        (service, known[name])
        for service, settings in compose["services"].items()
        for name in settings.get("environment", {})
        if name in known
    }
    assert holders == {(f"provider-{vendor}", vendor) for vendor in known.values()}


@pytest.mark.product("P-OPS-15")
def test_what_holds_a_key_does_not_show_it(partial, catalogue):
    mesh = load_mesh(None, {})
    key = partial.keys["GROQ_API_KEY"]
    slots = read_slots(catalogue.vendors["groq"], mesh, partial.keys)
    assert slots.states[0].key.reveal() == key
    found = environments(catalogue, {}, partial.keys)
    assert found.keys["GROQ_API_KEY"] == key
    for holder in (Secret(key), slots, found, Line(None, Secret(key))):
        assert key not in repr(holder)
        assert key not in str(holder)
        assert key not in json.dumps(holder, default=str)
