"""The tiers: what a request may cost, asked of the plan and of calls that every vendor turns down."""

import pytest
from fixtures.customer import TIERS, vendor_of
from fixtures.promised_meshes import PRICED
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason

NOT_FOUND = {"kind": "status", "status": 404, "body": {"error": {"message": "no such model here"}}}
NANOS = 1_000_000_000


@pytest.fixture(scope="session")
def costs(catalogue):
    """Return what an offer of the whole mesh costs, blended, in US dollars per million tokens: nothing when free."""
    listed = {
        f"{vendor.id}/{model.id}": (model.price.input / NANOS, model.price.output / NANOS)
        for vendor in catalogue.vendors.values()
        for model in vendor.models.values()
        if model.price is not None
    }
    listed |= {f"openai/{model}": price for model, price in PRICED.items()}

    def blended(offer):
        model, _, slot = offer.rpartition("#")
        if slot == "1" and catalogue.vendors[vendor_of(offer)].default_plan in ("free", "local"):
            return 0
        return (3 * listed[model][0] + listed[model][1]) / 4

    return blended


def attempted(customer, **intent):
    """Have every vendor turn a request down, and return the offers that were tried."""
    for vendor in customer.vendors():
        customer.tap.faults(vendor, NOT_FOUND)
    error = customer.refused(**intent)
    offers = [attempt.offer for attempt in error.detail(router_pb2.RouteFailure).route.attempts]
    assert len(offers) == len(customer.tap.chats) > 0
    return offers


@pytest.mark.product("P-TIER-1")
def test_tier_free_plans_and_calls_free_plans_and_local_models_only(whole, catalogue, costs):
    for use_case in catalogue.use_cases:
        for offer in whole.explain(use_case=use_case, tier=TIERS["free"]).offers:
            assert offer.plan in ("free", "local"), offer
            assert offer.blended_price_nanos == offer.cost_nanos == 0
    for use_case in ("conversation", "code_generation"):
        whole.tap.forget()
        assert {costs(offer) for offer in attempted(whole, use_case=use_case, tier=TIERS["free"])} == {0}
    keys = {heard.headers.get("authorization", "")[-4:] for heard in whole.tap.chats if heard.vendor == "groq"}
    assert keys == {"key1"}


@pytest.mark.product("P-TIER-1")
def test_tier_free_takes_one_off_credit_and_never_the_paid_key_beside_it(partial):
    explained = partial.explain(use_case="quick", tier=TIERS["free"])
    assert [offer.plan for offer in explained.offers if vendor_of(offer.offer) == "groq"] == ["credit", "credit"]
    excluded = {offer.offer: offer.reason for offer in explained.excluded}
    assert excluded["groq/openai/gpt-oss-20b#1"] == "price_cap"
    assert partial.generate(use_case="quick", tier=TIERS["free"]).route.offer == "groq/openai/gpt-oss-20b#2"
    assert partial.tap.chats[-1].headers["authorization"].endswith("grq2")


@pytest.mark.parametrize(
    ("id_", "use_case"),
    [
        pytest.param("P-TIER-2", "conversation", marks=pytest.mark.product("P-TIER-2")),
        pytest.param("P-TIER-3", "conversation", marks=pytest.mark.product("P-TIER-3")),
        pytest.param("P-TIER-4", "conversation", marks=pytest.mark.product("P-TIER-4")),
        pytest.param("P-TIER-2", "code_generation", marks=pytest.mark.product("P-TIER-2")),
        pytest.param("P-TIER-3", "code_generation", marks=pytest.mark.product("P-TIER-3")),
        pytest.param("P-TIER-4", "code_generation", marks=pytest.mark.product("P-TIER-4")),
    ],
)
def test_no_offer_above_the_cap_is_attempted(row, whole, costs, id_, use_case):
    offers = attempted(whole, use_case=use_case, tier=TIERS[row(id_)["tier"]])
    assert max(costs(offer) for offer in offers) <= row(id_)["cap"]


@pytest.mark.parametrize(
    "id_",
    [
        pytest.param("P-TIER-2", marks=pytest.mark.product("P-TIER-2")),
        pytest.param("P-TIER-3", marks=pytest.mark.product("P-TIER-3")),
        pytest.param("P-TIER-4", marks=pytest.mark.product("P-TIER-4")),
    ],
)
def test_no_offer_above_the_cap_is_in_the_plan_of_any_use_case(row, whole, catalogue, id_):
    cap = round(row(id_)["cap"] * NANOS)
    for use_case in catalogue.use_cases:
        explained = whole.explain(use_case=use_case, tier=TIERS[row(id_)["tier"]])
        assert explained.price_cap_nanos == cap
        assert all(offer.blended_price_nanos <= cap for offer in explained.offers)


@pytest.mark.product("P-TIER-4")
def test_a_conversation_without_a_tier_is_standard(row, whole):
    assert row("P-TIER-4")["tier"] == "standard"
    assert whole.explain(use_case="conversation").tier == TIERS["standard"]
    assert whole.chat(llm_mesh={"use_case": "conversation"}).json()["llm_mesh"]["tier"] == "standard"


@pytest.mark.product("P-TIER-5")
def test_tier_premium_has_no_cap(whole, catalogue):
    for use_case in catalogue.use_cases:
        explained = whole.explain(use_case=use_case, tier=TIERS["premium"])
        assert not explained.HasField("price_cap_nanos")
        assert "price_cap" not in {offer.reason for offer in explained.excluded}
    dearest = whole.generate(model="openai/gpt-6-astra", tier=TIERS["premium"])
    assert dearest.route.model == "gpt-6-astra"


@pytest.mark.product("P-TIER-6")
@pytest.mark.parametrize(
    ("tier", "cap"), [("free", "0"), ("ultra_economy", "0.12"), ("economy", "0.4"), ("standard", "3")]
)
def test_an_offer_above_the_cap_is_left_out_with_reason_price_cap_its_blended_price_and_the_cap(whole, tier, cap):
    explained = whole.explain(model="openai/gpt-4o", tier=TIERS[tier])
    assert [(offer.offer, offer.reason) for offer in explained.excluded] == [("openai/gpt-4o#1", "price_cap")]
    figures = explained.excluded[0].detail.replace(";", " ").split()
    assert "4.375" in figures
    assert cap in figures


@pytest.mark.product("P-TIER-6")
@pytest.mark.parametrize("group", ["cost_optimised", "speed", "enterprise"])
def test_the_groups_of_vendors_are_not_tiers(whole, group):
    reply = whole.chat(llm_mesh={"tier": group})
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "llm_mesh.tier"
    assert whole.refused(model=f"use_case:quick/{group}").reason is Reason.UNKNOWN_MODEL


@pytest.mark.product("P-TIER-6")
def test_tier_premium_is_not_the_vendors_of_the_group_premium(whole, catalogue):
    offers = whole.explain(use_case="conversation", tier=TIERS["premium"]).offers
    groups = {catalogue.vendors[vendor_of(offer.offer)].group for offer in offers}
    assert groups > {"premium"}
