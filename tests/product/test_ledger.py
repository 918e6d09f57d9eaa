"""The operations of the ledger, as a person steers them, on a mesh of their own."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from fixtures.customer import Customer, user
from fixtures.keyed_mesh import key_of, keyed_mesh

DAY = "groq/default/requests/day"
ACCOUNTS = {
    vendor: {"limits": {"free": [{"unit": "requests", "window": "day", "amount": 1_000}]}}
    for vendor in ("groq", "gemini")
}
CHAIN = ["groq/openai/gpt-oss-120b", "gemini/gemini-2.5-flash", "ollama/llama3.1:8b"]
CONFIG = {
    "vendors": {**ACCOUNTS, "openai": {}},
    "use_cases": {
        "chain": {"default_tier": "free", "candidates": {"free": CHAIN}},
        "dear": {"default_tier": "premium", "candidates": {"premium": ["openai/gpt-4o"]}},
    },
}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customer]:
    keys = {"GROQ_API_KEY": key_of("groq", "key1"), "GEMINI_API_KEY": key_of("gemini", "key1")}
    keys["OPENAI_API_KEY"] = key_of("openai", "key1")
    with keyed_mesh(tmp_path_factory.mktemp("ledger"), config=CONFIG, keys=keys) as customer:
        yield customer


@pytest.mark.product("P-CMD-12")
def test_an_override_of_a_quota_makes_the_next_vendor_serve_at_once_and_is_undone_by_clear(mesh):
    assert mesh.generate(use_case="chain").route.vendor == "groq"
    done = mesh.command("ledger", "override", "groq", "--left", "0", "--until", "reset", "--author", "ann")
    assert done.returncode == 0, done.stderr
    route = mesh.generate(use_case="chain").route
    assert route.vendor == "gemini"
    listed = json.loads(mesh.command("ledger", "override", "list", "--json").stdout)["overrides"]
    (day,) = [each for each in listed if each["budget"] == DAY]
    (state,) = [budget for budget in mesh.budgets().budgets if budget.id == DAY]
    assert (day["limit"], day["declared_limit"], day["author"]) == (0, 1_000, "ann")
    assert day["expires_at"] == state.resets_at.ToJsonString()
    assert re.search(rf'"time":[0-9.]+,.*"event":"overruled".*{DAY} 0 by ann', mesh.mesh.log("quota"))
    assert mesh.command("ledger", "override", "groq", "--clear", "--author", "bob").returncode == 0
    assert mesh.generate(use_case="chain").route.vendor == "groq"
    assert re.search(rf'"time":[0-9.]+,.*"event":"overruled".*{DAY} as declared by bob', mesh.mesh.log("quota"))


def test_the_costs_of_replies_are_what_the_report_says_was_spent_by_whom(mesh):
    headers = {"x-llm-mesh-labels": "team=search"}
    asked = [({}, {"use_case": "dear"}), (headers, {"use_case": "dear"}), (headers, {"use_case": "chain"})]
    costs = Counter()
    for more, words in asked:
        reply = mesh.http.post(
            "/v1/chat/completions", json={"messages": [user("say: yes")], "llm_mesh": words}, headers=more
        )
        assert reply.status_code == 200, reply.text
        told = reply.json()["llm_mesh"]
        costs[more.get("x-llm-mesh-labels", "").removeprefix("team="), told["vendor"]] += round(
            told["cost_usd"] * 10**9
        )
    assert sum(costs.values()) > 0
    done = mesh.command("ledger", "spend", "--by", "label:team,vendor", "--csv")
    spent = {
        (row["label:team"], row["vendor"]): int(row["cost_nanos"]) for row in csv.DictReader(io.StringIO(done.stdout))
    }
    for who, cost in costs.items():
        assert spent[who] == cost, who


def test_the_ledger_of_a_mesh_that_has_served_is_right(mesh):
    mesh.generate(use_case="chain")
    done = mesh.command("ledger", "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["right"] is True
