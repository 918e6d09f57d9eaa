"""What /api/health and `llm-mesh status` say: on the two free chains of the scenarios."""

import datetime as dt
import json
import re
from pathlib import Path

import pytest
import yaml
from fixtures.customer import together, vendor_of
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_replies import follows
from fixtures.shipped import shipped
from llmmesh.quota.v1 import quota_pb2

SCENARIOS = Path(__file__).parents[1] / "scenarios"
REVIVED = {"groq": "llama-3.1-70b-versatile", "openrouter": "deepseek/deepseek-chat:free"}


def chain_mesh(directory, scenario):
    """Run a mesh of a scenario, with a key of every vendor of its chain."""
    config = yaml.safe_load((SCENARIOS / f"{scenario}.yaml").read_text(encoding="utf-8"))
    chain = [vendor_of(model) for model in config["use_cases"]["chain"]["candidates"]["free"]]
    vendors = [vendor for vendor in shipped().vendors.values() if vendor.id in chain and vendor.key_env]
    keys = {vendor.key_env[0]: key_of(vendor.id, "free") for vendor in vendors}
    return keyed_mesh(directory, config=config, keys=keys)


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Use a mesh of the free chain of five."""
    with chain_mesh(tmp_path_factory.mktemp("five"), "free_chain_five") as customer:
        for vendor, model in REVIVED.items():
            customer.tap.standing(vendor, revived_models=[model])
        yield customer


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """Use a mesh of the free chain of ten."""
    with chain_mesh(tmp_path_factory.mktemp("ten"), "free_chain_ten") as customer:
        yield customer


def health(customer):
    """Ask how the mesh is."""
    reply = customer.http.get("/api/health")
    assert reply.status_code == 200, reply.text
    return reply.json()


def settled(customer):
    """Wait until nothing is held, and return the ledger's budgets."""
    wait_until(lambda: not any(budget.held for budget in customer.budgets().budgets), 20, "every request to be settled")
    return customer.budgets().budgets


def left(budgets, unit, window):
    """Add up what the ledger has left of one unit and window, over the vendors."""
    return sum(each.left for each in budgets if each.unit == unit and each.window == window and "/" in each.subject)


def overrule(customer, budget):
    """Leave nothing of a budget."""
    request = quota_pb2.SetOverrideRequest(budget=budget, limit=0, author="ann", reason="a test")
    customer.quota.SetOverride(request, timeout=20)


@pytest.mark.product("P-QUOTA-5")
def test_the_totals_of_the_chain_of_five_are_in_health_and_in_the_list_of_vendors(five):
    totals = health(five)["totals"]
    used = sum(each.used for each in settled(five) if each.unit == "requests" and each.window == "day")
    assert totals["requests_per_day_left"] + used == 14_000 + 1_500 + 50 == 15_550
    assert totals["tokens_per_month_left"] == left(settled(five), "tokens", "month") <= 750_000
    assert totals["unlimited"] == ["ollama"]
    printed = five.command("vendors").stdout.splitlines()[-1]
    requests, tokens = totals["requests_per_day_left"], totals["tokens_per_month_left"]
    assert printed.startswith(f"left: {requests:,} requests per day, {tokens:,} tokens per month")
    assert printed.endswith("unlimited: ollama")


@pytest.mark.product("P-QUOTA-7")
def test_the_totals_of_the_chain_of_ten_never_add_requests_tokens_and_money(ten):
    totals = health(ten)["totals"]
    assert totals["requests_per_day_left"] == 14_400 + 100 + 1_000 + 1_500 + 5 + 50 == 17_055
    assert totals["tokens_per_month_left"] == 1_000_000
    assert totals["credit_usd_left"] == 5
    assert totals["unlimited"] == ["huggingface", "ollama"]
    assert (totals["requests_per_month_left"], totals["tokens_per_day_left"], totals["unlimited_paid"]) == (0, 0, [])
    printed = ten.command("vendors").stdout.splitlines()[-1]
    assert printed == (
        "left: 17,055 requests per day, 1,000,000 tokens per month, $5 credit; "
        "unlimited: huggingface (rate limited), ollama"
    )


@pytest.mark.product("P-HTTP-2")
def test_health_has_the_promised_shape_and_its_numbers_are_the_ledger_s(row, five):
    together(20, lambda: five.generate(use_case="chain"))
    budgets = settled(five)
    told = health(five)
    (groq,) = [each for each in told["providers"] if each["name"] == "groq"]
    template = row("P-HTTP-2")["reply"]
    used = next(each for each in budgets if each.id == "groq/default/requests/day")
    quota = template["providers"][0]["quotas"][0] | {"used": used.used, "left": used.left}
    follows(template | {"providers": [{"name": "groq", "status": "active", "breaker": "closed", "quotas": [quota]}]},
            told | {"providers": [groq]})  # fmt: skip
    assert used.used >= 20
    assert {each["name"] for each in told["providers"]} == set(shipped().vendors)
    for provider in told["providers"]:
        for quota in provider["quotas"]:
            own = [each for each in budgets if each.subject.startswith(f"{provider['name']}/default")]
            (there,) = [each for each in own if (each.unit, each.window) == (quota["unit"], quota["window"])]
            figures = (there.limit, there.used, there.held, there.left, there.resets_at.ToJsonString())
            assert figures == tuple(quota[key] for key in ("limit", "used", "held", "left", "resets_at"))
            assert dt.datetime.fromisoformat(quota["resets_at"]) > dt.datetime.now(dt.UTC)
    assert {each["name"] for each in told["providers"] if each["quotas"]} >= {"groq", "mistral", "gemini"}


@pytest.mark.product("P-HTTP-2")
def test_health_says_who_serves_now_and_since_when_the_local_server_stands_in(five):
    five.generate(use_case="chain")
    assert (health(five)["serving_now"], health(five)["local_fallback"]) == ("groq", {"active": False, "since": None})
    remote = ("groq", "mistral", "gemini", "openrouter")
    began = dt.datetime.now(dt.UTC)
    known = [each.id for each in five.budgets().budgets if each.window in ("day", "month")]
    lasting = [budget for budget in known if vendor_of(budget) in remote]
    try:
        for vendor, following in zip(remote, (*remote[1:], "ollama"), strict=True):
            for budget in [each for each in lasting if vendor_of(each) == vendor]:
                overrule(five, budget)
            assert health(five)["serving_now"] == following
        assert five.generate(use_case="chain").route.vendor == "ollama"
        told = health(five)
        assert (told["status"], told["serving_now"], told["local_fallback"]["active"]) == ("ok", "ollama", True)
        since = dt.datetime.fromisoformat(told["local_fallback"]["since"])
        assert began <= since <= dt.datetime.now(dt.UTC)
        assert told["totals"]["requests_per_day_left"] == 0
        printed = five.command("status").stdout
        assert "serving now (use case chain): ollama/llama3.1:8b#1" in printed
        assert "local fallback: active, since " in printed
    finally:
        for budget in lasting:
            five.quota.RemoveOverride(quota_pb2.RemoveOverrideRequest(budget=budget, author="ann", reason="a test"))
    assert five.generate(use_case="chain").route.vendor == "groq"
    assert (health(five)["serving_now"], health(five)["local_fallback"]) == ("groq", {"active": False, "since": None})


@pytest.mark.product("P-CMD-8")
def test_status_is_what_health_says_as_a_table_and_as_json(five):
    settled(five)
    told = health(five)
    as_json = five.command("status", "--json")
    assert as_json.returncode == 0, as_json.stderr
    here = json.loads(as_json.stdout)
    assert (here["can_serve"], here["serving_now"][0]) == (True, told["serving_offer"])
    assert (here["local_fallback"], here["warnings"]) == (told["local_fallback"], told["warnings"])
    assert {key: here["totals"][key] for key in ("requests_per_day_left", "tokens_per_month_left", "unlimited")} == {
        key: told["totals"][key] for key in ("requests_per_day_left", "tokens_per_month_left", "unlimited")
    }
    printed = five.command("status").stdout
    for provider in told["providers"]:
        line = re.search(rf"^{provider['name']} .*$", printed, re.MULTILINE)
        assert line is not None
        assert provider["status"] in line[0]
        if provider["quotas"]:
            quota = provider["quotas"][0]
            for figure in ("used", "left"):
                assert f"{quota[figure]:,} {quota['unit']}/{quota['window']}" in line[0]
            assert re.search(r"in \d", line[0].partition(f"/{quota['window']}")[2])
    assert f"{told['totals']['requests_per_day_left']:,} requests per day" in printed
