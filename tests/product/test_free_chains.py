"""Rows of vendors with two stated quotas, or a place in a chain: each figure is a scenario file, and is enforced."""

import json
import re
from pathlib import Path

import pytest
import yaml
from fixtures.customer import together, vendor_of
from fixtures.keyed_mesh import key_of, keyed_mesh
from fixtures.observation import wait_until
from fixtures.promised_vendors import agrees
from fixtures.sandbox_mesh import ROOT
from fixtures.shipped import shipped

from catalog.loader import load_catalog
from catalog.mesh import catalog_place, load_mesh
from quota_service.expansion import definitions_of

SCENARIOS = Path(__file__).parents[1] / "scenarios"
TEN = "free_chain_ten"
MONTHLY = "mistral/default/tokens/month"


def budgets(scenario):
    """Return what a scenario allows, by budget."""
    file = SCENARIOS / f"{scenario}.yaml"
    catalog = load_catalog(catalog_place(file, {}))
    return {budget.id: budget for budget in definitions_of(catalog, load_mesh(file, {}, catalog)).budgets()}


def chain(scenario):
    """Return the vendors of a scenario's chain, in order."""
    read = yaml.safe_load((SCENARIOS / f"{scenario}.yaml").read_text(encoding="utf-8"))
    return [vendor_of(model) for model in read["use_cases"]["chain"]["candidates"]["free"]]


@pytest.fixture(scope="module")
def _ten(tmp_path_factory):
    config = yaml.safe_load((SCENARIOS / f"{TEN}.yaml").read_text(encoding="utf-8"))
    # From the eighth on; with a rate for which a test need not wait a minute.
    tail = config["use_cases"]["chain"]["candidates"]["free"][chain(TEN).index("huggingface") :]
    config["use_cases"]["tail"] = {"default_tier": "free", "candidates": {"free": tail}}
    rate = {"unit": "requests", "window": "rolling 6s", "amount": 3}
    config["vendors"]["huggingface"] = {"limits": {"free": [rate]}}
    vendors = [vendor for vendor in shipped().vendors.values() if vendor.id in chain(TEN) and vendor.key_env]
    keys = {vendor.key_env[0]: key_of(vendor.id, "free") for vendor in vendors}
    with keyed_mesh(tmp_path_factory.mktemp("ten"), config=config, keys=keys) as customer:
        yield customer


@pytest.fixture
def ten(_ten):
    """Use a mesh of the ten-vendor chain, whose vendors still have the models of then."""
    _ten.tap.forget()
    _ten.tap.standing("groq", revived_models=["llama-3.1-70b-versatile"])
    _ten.tap.standing("openrouter", revived_models=["deepseek/deepseek-chat:free"])
    return _ten


@pytest.mark.product("P-VENDOR-8")
def test_groq_is_first_in_both_chains_and_both_stated_quotas_exist_as_scenarios(row, catalogue):
    agrees(row("P-VENDOR-8"), catalogue)
    assert [chain(name)[0] for name in ("free_chain_five", TEN)] == ["groq", "groq"]
    for name, stated in (("free_chain_five", 14_000), ("free_chain_five_14400", 14_400), (TEN, 14_400)):
        daily = budgets(name)["groq/default/requests/day"]
        assert (daily.limit, f"{stated:,} requests per day" in row("P-VENDOR-8")["free_quota"]) == (stated, True)


@pytest.mark.product("P-VENDOR-3")
def test_the_two_stated_allowances_of_mistral_are_scenarios_of_tokens_in_a_calendar_month(row, catalogue):
    agrees(row("P-VENDOR-3"), catalogue)
    for name, stated in ((TEN, 1_000_000), ("free_chain_five_stated", 1_000_000_000)):
        own = {budget.unit: budget for budget in budgets(name).values() if budget.subject.startswith("mistral/")}
        assert set(own) == {"tokens"}
        assert (own["tokens"].id, own["tokens"].limit, own["tokens"].window.kind) == (MONTHLY, stated, "calendar")
        assert any(text.startswith(f"{stated:,} tokens per month") for text in row("P-VENDOR-3")["free_quota"])


@pytest.mark.product("P-VENDOR-3")
def test_a_request_draws_its_tokens_from_the_month_of_mistral_and_when_it_is_used_up_the_next_serves(ten):
    def month():
        return next(budget for budget in ten.budgets().budgets if budget.id == MONTHLY)

    before = month()
    answer = ten.generate("say: " + "word " * 50, model="mistral/mistral-large-latest")
    usage = answer.completion.usage
    wait_until(lambda: month().held == 0, 10, "the request to be settled")
    assert month().used - before.used == usage.input_tokens + usage.output_tokens > 50
    assert before.limit == 1_000_000


@pytest.mark.product("P-VENDOR-12")
def test_ai21_stands_between_cohere_and_gemini_in_the_chain_of_ten(row, table, ten, catalogue):
    agrees(row("P-VENDOR-12"), catalogue)
    promised = sorted((each["chain10"], each["vendor"]) for each in table["vendors"] if each.get("chain10"))
    order = [vendor_of(offer.offer) for offer in ten.explain(use_case="chain").offers]
    assert order == chain(TEN) == [vendor for _, vendor in promised] == row("P-QUOTA-6")["order"]
    place = order.index("ai21")
    assert order[place - 1 : place + 2] == ["cohere", "ai21", "gemini"]


@pytest.mark.product("P-VENDOR-16")
def test_huggingface_is_unlimited_with_a_rate_beyond_which_the_next_serves_until_the_rate_allows_again(
    row, ten, catalogue
):
    agrees(row("P-VENDOR-16"), catalogue)
    assert "huggingface" in ten.command("vendors").stdout.partition("unlimited: ")[2]
    routes = [answer.route for answer in together(8, lambda: ten.generate(use_case="tail"))]
    served = sorted(route.vendor for route in routes)
    assert served == ["huggingface"] * 3 + ["openrouter"] * 5
    assert {route.primary_error.split(" has ")[0] for route in routes if route.fallback_used} == {
        "huggingface/default/requests/rolling:6s"
    }
    wait_until(lambda: ten.generate(use_case="tail").route.vendor == "huggingface", 30, "the rate to allow it again")


@pytest.mark.product("P-VENDOR-16")
def test_when_huggingface_itself_says_it_is_too_much_the_next_serves_until_its_pause_is_over(ten):
    wait_until(lambda: ten.generate(use_case="tail").route.vendor == "huggingface", 30, "the rate to allow it")
    ten.tap.faults("huggingface", {"kind": "status", "status": 429, "headers": {"retry-after": "1"}, "times": 1})
    wait_until(
        lambda: ten.generate(use_case="tail").route.primary_error.startswith("VENDOR_THROTTLED"), 30, "the throttling"
    )
    wait_until(lambda: ten.generate(use_case="tail").route.vendor == "huggingface", 30, "its pause to be over")


def quotas_of(vendors, kind, figure):
    """Add up a figure of the quotas of one unit and period."""
    rows = [quota for vendor in vendors for quota in vendor["quotas"] if (quota["unit"], quota["period"]) == kind]
    return sum(row[figure] for row in rows)


@pytest.mark.product("P-QUOTA-7")
def test_the_vendors_command_adds_up_requests_tokens_and_the_credit_of_the_ten_each_apart(ten):
    told = json.loads(ten.command("vendors", "--json").stdout)
    totals = {
        ("requests", "day"): ("requests_per_day_left", 17_055),
        ("tokens", "month"): ("tokens_per_month_left", 1_000_000),
        ("nanodollars", "once"): ("credit_left_nanos", 5_000_000_000),
    }
    for kind, (name, promised) in totals.items():
        assert quotas_of(told["vendors"], kind, "limit") == promised
        assert told["totals"][name] == promised - quotas_of(told["vendors"], kind, "used")
    assert told["totals"]["unlimited"] == ["huggingface", "ollama"]


@pytest.mark.product("P-QUOTA-12")
def test_the_page_on_quotas_names_every_figure_of_each_contradiction(row):
    page = (ROOT / "docs/quotas.md").read_text(encoding="utf-8")
    for contradiction in row("P-QUOTA-12")["contradictions"]:
        told = set(re.findall(r"[0-9][0-9,]*(?:M|B|\+)?", contradiction.rstrip(".")))
        assert {figure for figure in told if figure.rstrip(",") not in page} == set(), contradiction
    for word in ("gemini before mistral", "America/Los_Angeles", "OpenAI and Anthropic", "Nothing is required"):
        assert word in page
