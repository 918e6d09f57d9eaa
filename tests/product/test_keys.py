"""Keys: several of one vendor, in rotation and never with more quota than their accounts have; what the list says."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from fixtures.customer import Customer, together
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.promised_meshes import free, limit
from fixtures.vendor_lists import lists_agree

ONE, TWO, LOCAL = "groq/qwen/qwen3.8-27b", "gemini/gemini-3.1-flash-lite", "ollama/mistral:7b"
# Ten a day of each account, as the vendor enforces it too.
TEN = {"unit": "requests", "per": "day", "amount": 10, "scope": "model"}
SEVERAL = {
    "vendors": {
        "groq": {
            "limits": {"free": [limit("requests", 10, "qwen/qwen3.8-27b"), limit("requests", 1000, "openai/gpt-oss-*")]}
        },
        "gemini": {
            "slots": {"2": {"account": "second"}},
            "limits": {"free": [limit("requests", 10, "gemini-3.1-flash-lite")]},
        },
    },
    "use_cases": {"chain": free(ONE, TWO, LOCAL), "turns": free("groq/openai/gpt-oss-120b", LOCAL)},
}


def keys_of(customer: Customer, vendor: str) -> Counter[str]:
    """Count the calls to a vendor by the last four letters of the key they carried."""
    heard = [heard.headers for heard in customer.tap.chats if heard.vendor == vendor]
    return Counter((headers.get("authorization") or headers["x-goog-api-key"])[-4:] for headers in heard)


@pytest.fixture(scope="module")
def _several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    groq, gemini = key_of("groq", ""), key_of("gemini", "")
    keys = {
        "GROQ_API_KEY": f"{groq}acctone_k001,{groq}acctone_k002",  # two keys of one account, in a list
        "GEMINI_API_KEY": f"{gemini}acctone_k003",
        "GEMINI_API_KEY_2": f"{gemini}accttwo_k004",
    }
    with keyed_mesh(tmp_path_factory.mktemp("several"), config=SEVERAL, keys=keys) as customer:
        yield customer


@pytest.fixture
def several(_several: Customer) -> Customer:
    """Use the mesh with two keys of one account of groq and two keys of two accounts of gemini."""
    _several.tap.forget()
    return _several


@pytest.mark.product("P-OPS-10")
def test_keys_are_used_in_rotation(several):
    for _ in range(6):
        several.generate(use_case="turns")
    heard = [heard.headers["authorization"][-4:] for heard in several.tap.chats]
    assert set(heard) == {"k001", "k002"}
    assert all(one != another for one, another in pairwise(heard))


@pytest.mark.product("P-OPS-10")
def test_two_keys_of_one_account_do_not_double_its_quota_and_two_accounts_do(several):
    for vendor in ("groq", "gemini"):
        several.tap.limits(vendor, TEN)
    routes = [answer.route for answer in together(50, lambda: several.generate(use_case="chain"))]
    assert Counter(route.vendor for route in routes) == {"groq": 10, "gemini": 20, "ollama": 20}
    # By the vendors' own count: nobody was sent one call too many, and every key had its share.
    for vendor, admitted in (("groq", 10), ("gemini", 20)):
        counts = several.tap.counts(vendor)
        assert (counts["admitted"], counts["refused"], counts["rejected"]) == (admitted, 0, 0)
    assert sum(keys_of(several, "groq").values()) == 10
    assert set(keys_of(several, "groq")) == {"k001", "k002"}
    assert keys_of(several, "gemini") == {"k003": 10, "k004": 10}
    budgets = {budget.id: (budget.used, budget.left) for budget in several.vendors()["gemini"].budgets}
    for account in ("default", "second"):
        assert budgets[f"gemini/{account}/gemini-3.1-flash-lite/requests/rolling:86400s"] == (10, 0)


@pytest.mark.product("P-OPS-10")
def test_a_rejected_key_is_skipped_and_reported_and_the_other_serves(several):
    several.tap.standing("groq", rejected=["k001"])
    routes = [several.generate(use_case="turns").route for _ in range(6)]
    assert {route.offer for route in routes} == {"groq/openai/gpt-oss-120b#2"}
    assert {route.fallback_used for route in routes} == {False}
    assert keys_of(several, "groq")["k001"] == 1
    told = several.vendors()["groq"]
    assert (told.status, [(slot.slot, slot.account, slot.state) for slot in told.slots]) == (
        "active",
        [(1, "default", "rejected"), (2, "default", "active")],
    )
    printed = several.command("vendors").stdout
    assert re.search(r"groq#1 +default +free +rejected +groq rejected the key; it is tried again at", printed)
    assert re.search(r"^groq .*slot 1: groq rejected the key", printed, re.MULTILINE)


EVERYBODY_ELSE = ["qwen", "kimi", "glm", "xai", "perplexity", "openrouter", "huggingface", "azure"]
EVERYBODY_ELSE += ["cohere", "ai21", "deepinfra"]
SIX = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "groq": "GROQ_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "gemini": "GOOGLE_API_KEY",
}


@pytest.fixture(scope="module")
def six(tmp_path_factory, catalogue) -> Iterator[Customer]:
    """Use the mesh with the six keys of the promise, without a local server."""
    assert set(SIX) | set(EVERYBODY_ELSE) <= set(catalogue.vendors)
    keys = {variable: key_of(vendor, "six1") for vendor, variable in SIX.items()}
    environment = {"MESH_OLLAMA_ENDPOINT": "", "OLLAMA_BASE_URL": "http://localhost:9"}
    with keyed_mesh(tmp_path_factory.mktemp("six"), keys=keys, environment=environment) as customer:
        yield customer


@pytest.mark.product("P-VENDOR-22")
def test_with_six_keys_six_vendors_are_active_and_the_others_say_why_not(six):
    told = {vendor.id: (vendor.status, vendor.reason) for vendor in six.vendors().values()}
    assert {vendor for vendor, (status, _) in told.items() if status == "active"} == set(SIX)
    for vendor in EVERYBODY_ELSE:
        assert told[vendor] == ("inactive", f"no API key for {vendor}")
    assert told["github"] == ("retired", "ended on 2026-07-30")
    assert told["ollama"][0] == "inactive"
    assert told["ollama"][1].startswith("ollama is unreachable: ")


GROUPS = {"premium", "cost_optimised", "speed", "enterprise", "local"}


@pytest.mark.product("P-VENDOR-20")
def test_the_list_has_exactly_the_19_each_in_its_group_on_the_command_line_and_over_http(six, table, catalogue):
    promised = {row["vendor"]: row for row in table["vendors"] if "vendor" in row}
    assert len(promised) == 19
    assert set(catalogue.vendors) == set(six.vendors()) == set(promised)
    groups = {vendor: row["group"] for vendor, row in promised.items()}
    assert set(groups.values()) == GROUPS
    lines = [line.split() for line in six.command("vendors").stdout.splitlines()]
    printed = {words[0]: words[1] for words in lines if words and words[0] in promised}
    assert printed == groups
    over_http = {row["name"]: row["group"] for row in six.http.get("/llm/providers").json()["providers"]}
    assert over_http == {row["reply_name"]: row["group"] for row in promised.values()}


@pytest.mark.product("P-HTTP-3")
def test_providers_are_listed_by_group_active_first_with_models_or_the_reason(six, row):
    replies = [six.http.get(path) for path in (row("P-HTTP-3")["path"], *row("P-HTTP-3")["also"])]
    told = replies[0].json()["providers"]
    assert [reply.json()["providers"] for reply in replies] == [told] * 2
    assert len(told) == 19
    order = [(row["group"], row["status"] != "active") for row in told]
    assert len(set(order)) == sum(one != before for one, before in zip(order, [None, *order], strict=False))
    by_name = {row["name"]: row for row in told}
    for promised in row("P-HTTP-3")["reply"]["providers"][:-1]:
        given = by_name[promised["name"]]
        assert given["status"] == promised["status"]
        if promised["status"] == "inactive":
            assert given["reason"] == promised["reason"]
            continue
        ended = [model["name"] for model in given["retired_models"]]
        names = [name for name in promised["models"] if name not in ended and name in given["models"]]
        assert promised["name"] in ("groq", "deepseek") or names  # what those two promised has ended
    for name, models in (("claude", {"opus", "sonnet", "haiku"}), ("mistral", {"large", "medium", "small"})):
        assert set(by_name[name]["models"][:3]) == models
    assert "gpt-4-turbo" in {model["name"] for model in by_name["openai"]["retired_models"]}


@pytest.mark.product("P-OPS-7")
@pytest.mark.parametrize("mesh", ["several", "six"])
def test_the_lists_of_the_command_line_and_over_http_agree(mesh, request):
    lists_agree(request.getfixturevalue(mesh))


@pytest.mark.product("P-CMD-10")
@pytest.mark.parametrize("word", ["vendors", "providers"])
def test_vendors_lists_status_reason_models_quota_used_and_left_and_totals(word, several, catalogue):
    several.generate(use_case="turns")
    done = several.command(word)
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert set(catalogue.vendors) <= set(rows)
    assert re.search(r"groq +speed +active +\d +\d+ +\d+ requests/day +[\d,]+ requests/day", rows["groq"])
    assert re.search(r"openai +premium +inactive +0 +\d+ +no API key for openai", rows["openai"])
    told = json.loads(several.command(word, "--json").stdout)
    active = [vendor for vendor in told["vendors"] if vendor["status"] == "active"]
    days = [q for vendor in active for q in vendor["quotas"] if (q["unit"], q["period"]) == ("requests", "day")]
    assert told["totals"]["requests_per_day_left"] == sum(quota["left"] for quota in days) > 0
    assert told["totals"]["unlimited"][-1] == "ollama"
    left = re.search(r"^left: ([\d,]+) requests per day, .*; unlimited: .*ollama$", done.stdout, re.MULTILINE)
    assert int(left[1].replace(",", "")) == told["totals"]["requests_per_day_left"]


def test_what_is_odd_about_keys_is_said_at_the_start_and_in_the_list(tmp_path):
    groq = key_of("groq", "")
    keys = {"GROQ_API_KEY": f"{groq}k001,{groq}k002", "GROQ_API_KEY_2": f"{groq}k003", "GROQ_API_KEYS": f"{groq}k004"}
    with keyed_mesh(tmp_path, keys=keys) as customer:
        (groq_at_start,) = (vendor for vendor in customer.mesh.vendors if vendor["id"] == "groq")
        printed = customer.command("vendors").stdout
        customer.generate(model="groq")
        customer.generate(model="groq")
        assert set(keys_of(customer, "groq")) == {"k001", "k003"}
        log = customer.mesh.log("providers")
    for warning in (
        "GROQ_API_KEY_2 and key 2 of GROQ_API_KEY differ: GROQ_API_KEY_2 is used for slot 2",
        "GROQ_API_KEYS is not read; several keys are GROQ_API_KEY=key1,key2",
    ):
        assert any(warning in told for told in groq_at_start["warnings"])
        assert f"groq: {warning}" in printed
        assert warning in log
    for text in (printed, log, json.dumps(customer.mesh.vendors)):
        assert groq not in text
    assert Path(tmp_path / ".env").read_text().count(groq) == 4
