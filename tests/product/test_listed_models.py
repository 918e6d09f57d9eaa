"""The live lists of vendors: what stands only there may be pinned, at the price that is told there.

The list of a local server is tried where such a server is, in test_local_server.py.
"""

import json
from fractions import Fraction
from math import ceil

import pytest
from fixtures.customer import TIERS

from meshkit.errors import Reason

# Listed, and in no row of the catalogue: the prices are those of the simulated vendor, US dollars per million tokens.
PRICED = {
    ("openrouter", "openai/gpt-4.1-mini"): (Fraction("0.4"), Fraction("1.6")),
    ("openrouter", "anthropic/claude-sonnet-4.5"): (Fraction(3), Fraction(15)),
    ("huggingface", "Qwen/Qwen2.5-7B-Instruct"): (Fraction("0.3"), Fraction("0.3")),
    ("huggingface", "moonshotai/Kimi-K2-Instruct-0905"): (Fraction("0.6"), Fraction("2.5")),
}
# One whose price varies, and one whose host tells none.
UNPRICED = [("openrouter", "openrouter/auto"), ("huggingface", "zai-org/GLM-4.7")]
EACH_PRICED = pytest.mark.parametrize(("vendor", "name"), list(PRICED))
EACH_UNPRICED = pytest.mark.parametrize(("vendor", "name"), UNPRICED)
NANOS = 10**9


def cost(vendor, name, usage):
    """Return what an answer costs by the vendor's list, in nano-dollars, rounded up."""
    into, out = PRICED[vendor, name]
    return ceil((usage.input_tokens * into + usage.output_tokens * out) * NANOS / 10**6)


@EACH_PRICED
@pytest.mark.product("P-MODEL-8")
def test_a_model_of_a_live_list_may_be_pinned_and_costs_its_tokens_times_the_listed_price(
    whole, catalogue, vendor, name
):
    assert name not in catalogue.vendors[vendor].models
    response = whole.generate("tokens: 40", model=f"{vendor}/{name}")
    assert (response.route.vendor, response.route.model) == (vendor, name)
    assert whole.tap.chats[-1].json["model"] == name
    usage = response.completion.usage
    assert usage.input_tokens > 0
    assert usage.output_tokens >= 40
    assert usage.cached_input_tokens == usage.cache_write_tokens == 0
    assert not usage.unpriced
    assert usage.cost_nanos == response.route.total_cost_nanos == cost(vendor, name, usage) > 0


@EACH_PRICED
@pytest.mark.product("P-MODEL-8")
def test_the_price_of_a_live_list_is_shown_where_models_are_listed(whole, vendor, name):
    into, out = PRICED[vendor, name]
    shown = {model["id"]: model for model in whole.http.get("/models", params={"all": "true"}).json()["data"]}
    listed = shown[f"{vendor}/{name}"]
    assert (listed["input_usd_per_1m"], listed["output_usd_per_1m"]) == (float(into), float(out))
    assert listed["context_window"] > 0
    printed = json.loads(whole.command("models", "--vendor", vendor, "--all", "--json").stdout)["models"]
    prices = {model["id"]: (model.get("input_price_nanos"), model.get("output_price_nanos")) for model in printed}
    assert prices[f"{vendor}/{name}"] == (into * NANOS, out * NANOS)


@pytest.mark.product("P-MODEL-8")
def test_the_listed_price_is_what_tiers_cap_and_what_a_plan_expects(whole):
    (mini,) = whole.explain("Hi", model="openrouter/openai/gpt-4.1-mini", tier=TIERS["standard"]).offers
    assert (mini.offer, mini.blended_price_nanos) == ("openrouter/openai/gpt-4.1-mini#2", 7 * NANOS // 10)
    assert mini.cost_nanos == ceil(mini.input_tokens * 400 + mini.output_tokens * 1_600)
    refused = whole.refused(model="openrouter/openai/gpt-4.1-mini", tier=TIERS["economy"])
    assert refused.reason is Reason.NO_OFFER
    assert "0.7 USD per 1M blended; the cap of tier economy is 0.4" in refused.message
    served = whole.generate(model="openrouter/openai/gpt-4.1-mini", tier=TIERS["standard"])
    assert served.route.model == "openai/gpt-4.1-mini"


@EACH_UNPRICED
@pytest.mark.product("P-MODEL-8")
def test_a_listed_model_without_a_price_is_refused_under_a_cap_because_its_price_is_unknown(
    whole, catalogue, vendor, name
):
    assert name not in catalogue.vendors[vendor].models
    for cap in ({"tier": TIERS["standard"]}, {"tier": TIERS["premium"], "max_cost_nanos": NANOS}):
        refused = whole.refused(model=f"{vendor}/{name}", **cap)
        assert refused.reason is Reason.NO_OFFER
        assert f"the price of {vendor}/{name} is unknown" in refused.message
        excluded = whole.explain(model=f"{vendor}/{name}", **cap).excluded
        assert "unpriced" in {each.reason for each in excluded}
    assert not whole.tap.chats


@EACH_UNPRICED
@pytest.mark.product("P-MODEL-8")
def test_a_listed_model_without_a_price_serves_where_no_cap_is_and_the_reply_says_that_its_price_is_unknown(
    whole, vendor, name
):
    intent = {"model": f"{vendor}/{name}", "tier": TIERS["premium"]}
    response = whole.generate(sampling={"max_output_tokens": 50}, **intent)
    assert response.route.model == name
    usage = response.completion.usage
    assert usage.unpriced
    assert usage.cost_nanos > 0  # never nothing: what was held is charged
    reply = whole.chat(model=f"{vendor}/{name}", max_tokens=50).json()
    assert reply["llm_mesh"]["unpriced"] is True
    priced = whole.chat(model="huggingface/Qwen/Qwen2.5-7B-Instruct", max_tokens=50).json()
    assert "unpriced" not in priced["llm_mesh"]


@pytest.mark.parametrize("vendor", ["openrouter", "huggingface", "ollama"])
@pytest.mark.product("P-MODEL-8")
def test_an_id_that_is_in_no_list_is_refused_by_its_name(whole, vendor):
    refused = whole.refused(model=f"{vendor}/nobody/lists-this")
    assert refused.reason is Reason.UNKNOWN_MODEL
    assert f"unknown model `{vendor}/nobody/lists-this`" in refused.message
    assert [violation.field for violation in refused.fields] == ["intent.model"]
    assert not whole.tap.chats
