"""The operations of the ledger, as a person steers them, on a mesh of their own."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from fixtures.customer import Customer, user
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.valkey import Server
from llmmesh.quota.v1 import quota_pb2

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


def counts(mesh: Customer) -> tuple[dict[str, int], int, int]:
    """What is used of each budget, what is held of them all, and what was spent."""
    budgets = mesh.budgets().budgets
    spent = mesh.quota.QuerySpend(quota_pb2.QuerySpendRequest(), timeout=20).rows
    used = {budget.id: budget.used for budget in budgets if budget.used}
    return used, sum(budget.held for budget in budgets), spent[0].attempts if spent else 0


@pytest.fixture(params=["sqlite", "redis"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Customer, Server | None]]:
    """A mesh whose ledger is in a file, or in a store of its own."""
    store = Server() if request.param == "redis" else None
    variables = {} if store is None else {"MESH_LEDGER_URL": store.url.reveal()}
    keys = {"GROQ_API_KEY": key_of("groq", "key1"), "GEMINI_API_KEY": key_of("gemini", "key1")}
    try:
        with keyed_mesh(tmp_path, config=CONFIG, keys=keys, environment=variables) as customer:
            yield customer, store
    finally:
        if store is not None:
            store.close()


def first_choice_serves(mesh: Customer) -> bool:
    """Ask once; while hard budgets are closed the local one serves, or nobody when it is not up yet."""
    try:
        return mesh.generate(use_case="chain").route.vendor == "groq"
    except grpc.RpcError:
        return False


@pytest.mark.product("P-OPS-4")
def test_after_kill_9_of_every_process_the_counts_are_what_they_were(kept):
    mesh, store = kept
    # A new ledger in a store is closed for three seconds, in which others could say that it is not new.
    wait_until(lambda: first_choice_serves(mesh), 60, "the ledger to open")
    for _ in range(5):
        mesh.generate(use_case="chain")
    wait_until(lambda: counts(mesh)[1] == 0, 60, "every hold to be settled")
    before = counts(mesh)
    assert before[0][DAY] >= 6
    if store is not None:
        store.kill()
        store.start()
    killed = {name: mesh.mesh.kill(name) for name in mesh.mesh.names}
    wait_until(lambda: all(mesh.mesh.restarts(name) > was for name, was in killed.items()), 90, "the mesh to be back")
    again = Customer(mesh.mesh, mesh.tap, mesh.key, mesh.keys)
    assert counts(again) == before
    wait_until(lambda: first_choice_serves(again), 60, "the ledger to open")
    wait_until(lambda: counts(again)[1] == 0, 60, "the hold to be settled")
    assert counts(again)[0][DAY] == before[0][DAY] + 1
    done = mesh.command("ledger", "verify", "--json")
    assert json.loads(done.stdout)["right"] is True
