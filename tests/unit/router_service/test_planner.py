"""Which offers may serve, in which order, and why every other one may not."""

import datetime as dt
from typing import Any

import pytest
from fixtures.small_mesh import TEXT, TIERS, USD, catalog, mesh, model, price, use_case, vendor
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, Plan
from meshkit.errors import StartError
from router_service import demand, planner
from router_service.estimate import Estimator
from router_service.offers import Signals, VendorState
from router_service.prompt_facts import PromptFacts

TODAY = dt.date(2026, 11, 20)
UP = VendorState(slots=(1,))
FACTS = PromptFacts(text_bytes=3_200, messages=1, max_output_tokens=100)  # about 1,007 tokens in, 100 out


def plan(
    known: Catalog,
    *,
    facts: PromptFacts = FACTS,
    states: dict[str, VendorState] | None = None,
    plans: dict[str, dict[int, str]] | None = None,
    breakers: dict[str, float] | None = None,
    turns: dict[str, int] | None = None,
    **intent: Any,
) -> planner.Plan:
    configured = mesh(known, plans=plans)
    asked = demand.read(router_pb2.Intent(**intent), facts, known, TIERS, TODAY)
    signals = Signals(TODAY, dict.fromkeys(known.vendors, UP) | (states or {}), breakers or {}, turns or {})
    return planner.Planner(configured, Estimator()).plan(asked, signals)


def order(made: planner.Plan) -> list[str]:
    return [planned.offer.text for planned in made.offers]


def reasons(made: planner.Plan) -> dict[str, str]:
    return {exclusion.text: exclusion.reason for exclusion in made.excluded}


def detail(made: planner.Plan, text: str) -> str:
    return next(exclusion.detail for exclusion in made.excluded if exclusion.text == text)


def one(**row: Any) -> Catalog:
    return catalog(vendor("alpha", model("one", **row)))


LISTED = use_case(
    candidates={"standard": ("alpha/one", "beta/two", "gamma/three"), "premium": ("alpha/one", "beta/two")}
)
THREE = catalog(
    vendor("alpha", model("one", price=price(2))),
    vendor("beta", model("two", price=price(1))),
    vendor("gamma", model("three", price=price(0)), plan="local", local=True),
    use_cases=(LISTED, use_case("cheap", strategy="cheapest"), use_case("any")),
)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (VendorState(reason="not_configured", detail="no API key for alpha"), "not_configured"),
        (VendorState(reason="key_malformed", detail="the key of alpha is malformed: short"), "key_malformed"),
        (VendorState(reason="disabled", detail="alpha is switched off"), "disabled"),
        (VendorState(reason="unreachable", detail="its provider service does not answer"), "unreachable"),
    ],
)
def test_a_vendor_without_a_usable_slot_is_left_out_with_its_own_words(state, reason):
    made = plan(THREE, states={"alpha": state})
    assert order(made) == ["beta/two#1", "gamma/three#1"]
    assert reasons(made) == {"alpha/one": reason}
    assert made.why_not_first() == state.detail
    assert str(made.first) == "alpha/one"


FILTERED = [
    (one(status="retired", retired_on=dt.date(2026, 1, 2)), {}, "retired", "alpha/one was retired on 2026-01-02"),
    (one(retired_on=TODAY), {}, "retired", "alpha/one was retired on 2026-11-20"),
    (
        catalog(vendor("alpha", model("one"), retired_on=dt.date(2026, 7, 30))),
        {},
        "retired",
        "alpha ended on 2026-07-30",
    ),
    (one(), {"deny_vendors": ["alpha"]}, "denied", "the request denies alpha"),
    (one(), {"requirements": ["vision", "reasoning"]}, "capability", "alpha/one has no reasoning, vision"),
    (one(model_class="embedding"), {"model": "alpha/one"}, "capability", "alpha/one makes embeddings, not answers"),
    (one(context_window=1_006), {}, "context", "about 1007 tokens; alpha/one takes 1006"),
    (one(), {"data_policy": router_pb2.DATA_POLICY_LOCAL_ONLY}, "data_policy", "alpha is not on a machine of ours"),
    (
        catalog(vendor("alpha", model("one"), trains_on={"paid": True})),
        {"data_policy": router_pb2.DATA_POLICY_NO_TRAINING},
        "data_policy",
        "alpha trains on requests of its paid plan",
    ),
    (
        catalog(vendor("alpha", model("one"), plans={"paid": Plan("paid", models=("other-*",))})),
        {},
        "plan",
        "the paid plan of alpha does not include one",
    ),
    (one(price=None), {}, "unpriced", "the price of alpha/one is unknown"),
    (
        one(),
        {"tier": router_pb2.TIER_FREE},
        "price_cap",
        "a paid slot costs money: 1 USD per 1M blended; the cap of tier free is 0",
    ),
    (one(price=price(5)), {}, "price_cap", "5 USD per 1M blended; the cap of tier standard is 3"),
    (one(), {"max_cost_nanos": 1_106_999}, "cost_cap", "estimated 1107000 nano-dollars; the request allows 1106999"),
]


@pytest.mark.parametrize(("known", "intent", "reason", "why"), FILTERED, ids=lambda v: v if isinstance(v, str) else "")
def test_an_offer_is_left_out_with_its_reason_and_particulars(known, intent, reason, why):
    made = plan(known, **({"model": "alpha/one"} if "retired" in reason else {}) | intent)
    assert made.offers == ()
    assert list(reasons(made).values()) == [reason]
    assert made.excluded[0].detail == why
    assert made.why_not_first() == why


def test_of_several_keys_one_whose_plan_includes_the_model_says_why_it_was_left_out():
    plans = {"free": Plan("free", models=("other-*",)), "paid": Plan("paid")}
    known = catalog(vendor("alpha", model("one", price=None), plans=plans, plan="free"))
    made = plan(known, states={"alpha": VendorState(slots=(1, 2))}, plans={"alpha": {2: "paid"}})
    assert reasons(made) == {"alpha/one#1": "plan", "alpha/one#2": "unpriced"}
    assert made.why_not_first() == "the price of alpha/one is unknown"


FITTING = [
    (one(retired_on=TODAY + dt.timedelta(days=1)), {}),
    (catalog(vendor("alpha", model("one"), retired_on=TODAY + dt.timedelta(days=1))), {}),
    (one(capabilities=TEXT | {"vision"}), {"requirements": ["vision", "tools"]}),
    (one(context_window=1_007), {}),
    (one(context_window=0), {}),
    (one(price=price(3)), {}),
    (one(price=price(3.5, 1.5)), {}),
    (one(price=price(500)), {"tier": router_pb2.TIER_PREMIUM}),
    (one(price=None), {"tier": router_pb2.TIER_PREMIUM}),
    (one(), {"max_cost_nanos": 1_107_000}),
    (one(), {"allow_vendors": ["alpha"]}),
    (one(), {"data_policy": router_pb2.DATA_POLICY_NO_TRAINING}),
    (
        catalog(vendor("alpha", model("one"), plan="local", local=True)),
        {"data_policy": router_pb2.DATA_POLICY_LOCAL_ONLY},
    ),
]


@pytest.mark.parametrize(("known", "intent"), FITTING)
def test_bounds_are_inclusive_and_what_is_unknown_is_given_a_chance(known, intent):
    assert order(plan(known, **intent)) == ["alpha/one#1"]


def test_other_vendors_than_the_allowed_are_left_out():
    made = plan(THREE, allow_vendors=["beta"])
    assert order(made) == ["beta/two#1"]
    assert detail(made, "alpha/one#1") == "the request allows only beta"
    assert reasons(made)["gamma/three#1"] == "not_allowed"


@pytest.mark.parametrize(("slot", "fits"), [("free", True), ("credit", True), ("local", True), ("paid", False)])
def test_tier_free_takes_free_credit_and_local_slots(slot, fits):
    made = plan(one(price=price(50)), plans={"alpha": {1: slot}}, tier=router_pb2.TIER_FREE)
    assert bool(made.offers) == fits


def test_a_free_slot_is_below_every_cap_and_a_credit_slot_costs_list_price():
    dear = one(price=price(50))
    assert plan(dear, plans={"alpha": {1: "free"}}, tier=router_pb2.TIER_ECONOMY).offers[0].cost == 0
    assert reasons(plan(dear, plans={"alpha": {1: "credit"}})) == {"alpha/one#1": "price_cap"}


def test_a_cost_cap_holds_for_credit_on_tier_free_too():
    made = plan(one(), plans={"alpha": {1: "credit"}}, tier=router_pb2.TIER_FREE, max_cost_nanos=0)
    assert reasons(made) == {"alpha/one#1": "cost_cap"}


def test_each_slot_is_judged_by_its_own_plan():
    made = plan(one(price=price(50)), states={"alpha": VendorState(slots=(1, 2))}, plans={"alpha": {2: "free"}})
    assert order(made) == ["alpha/one#2"]
    assert reasons(made) == {"alpha/one#1": "price_cap"}


def test_a_model_of_unknown_status_serves_only_when_pinned():
    known = one(status="unknown")
    assert order(plan(known, model="alpha/one")) == ["alpha/one#1"]
    case = use_case(candidates={"standard": ("alpha/one",)})
    listed = catalog(*known.vendors.values(), use_cases=(case,))
    assert reasons(plan(listed)) == {"alpha/one#1": "not_candidate"}


def test_an_offer_says_what_it_is_expected_to_need():
    (planned,) = plan(one(price=price(1, 4))).offers
    assert (planned.input_tokens, planned.output_tokens, planned.cost) == (1_007, 100, 1_007_000 + 400_000)
    amounts = planned.amounts()
    assert (amounts.offer, amounts.cost_nanos) == ("alpha/one#1", 1_407_000)


def test_an_open_breaker_leaves_an_offer_out_while_another_may_serve():
    made = plan(THREE, breakers={"alpha": 50.0})
    assert order(made) == ["beta/two#1", "gamma/three#1"]
    assert reasons(made) == {"alpha/one#1": "breaker_open"}
    assert made.why_not_first() == "alpha keeps failing; its breaker is open"


def test_with_all_breakers_open_the_one_due_first_is_left():
    made = plan(THREE, breakers={"alpha": 50.0, "beta": 40.0, "gamma": 60.0})
    assert order(made) == ["beta/two#1"]
    assert reasons(made) == {"alpha/one#1": "breaker_open", "gamma/three#1": "breaker_open"}


def test_the_last_usable_offer_is_never_left_out_for_its_breaker():
    made = plan(THREE, breakers={"gamma": 9.0}, deny_vendors=["alpha", "beta"])
    assert order(made) == ["gamma/three#1"]


def test_priority_keeps_the_list_and_the_slots_of_a_model_together():
    made = plan(THREE, states={"alpha": VendorState(slots=(2, 1))})
    assert order(made) == ["alpha/one#1", "alpha/one#2", "beta/two#1", "gamma/three#1"]


SEVERAL = {"alpha": VendorState(slots=(1, 2, 3, 4))}


@pytest.mark.parametrize("case", ["default", "cheap"])
@pytest.mark.parametrize(("turn", "slots"), [(0, "1234"), (1, "2341"), (3, "4123"), (4, "1234"), (5, "2341")])
def test_keys_of_one_plan_take_turns_under_every_strategy(case, turn, slots):
    made = plan(THREE, use_case=case, states=SEVERAL, turns={"alpha/one": turn, "beta/two": 7})
    assert [text[-1] for text in order(made) if text.startswith("alpha")] == list(slots)
    assert made.shared == ("alpha/one",)


@pytest.mark.parametrize(("turn", "slots"), [(0, "1324"), (1, "3142"), (2, "1324")])
def test_keys_under_different_plans_keep_their_order_and_take_turns_among_their_like(turn, slots):
    plans = {"alpha": {1: "credit", 2: "paid", 3: "credit", 4: "paid"}}
    made = plan(one(price=price(1)), states=SEVERAL, plans=plans, turns={"alpha/one": turn})
    assert [text[-1] for text in order(made)] == list(slots)


def test_a_conversation_stays_with_one_key_whoever_else_asks():
    begins = [
        {order(plan(THREE, states=SEVERAL, turns={"alpha/one": turn}, conversation_id=name))[0] for turn in range(4)}
        for name in map(str, range(20))
    ]
    assert {len(firsts) for firsts in begins} == {1}
    assert len(set.union(*begins)) == 4  # but not all of them with the same


def test_one_key_takes_no_turns():
    assert plan(THREE, turns={"alpha/one": 1}).shared == ()


def test_cheapest_orders_by_price_and_its_first_is_the_first_choice():
    made = plan(THREE, use_case="cheap")
    assert order(made) == ["gamma/three#1", "beta/two#1", "alpha/one#1"]
    assert str(made.first) == "gamma/three"


def test_the_first_choice_of_a_strategy_counts_a_vendor_that_recovers():
    made = plan(THREE, use_case="cheap", breakers={"gamma": 9.0})
    assert order(made) == ["beta/two#1", "alpha/one#1"]
    assert str(made.first) == "gamma/three"
    assert made.why_not_first() == "gamma keeps failing; its breaker is open"


@pytest.mark.parametrize("case", ["cheap", "any", "default"])
def test_a_preferred_model_leads_under_every_strategy(case):
    made = plan(THREE, use_case=case, preferred_model="alpha/one")
    assert order(made)[0] == "alpha/one#1"
    assert str(made.first) == "alpha/one"


def test_a_pinned_model_comes_before_cheaper_hosts():
    family = catalog(
        vendor("alpha", model("one", family="f", price=price(2))),
        vendor("beta", model("two", family="f", price=price(1))),
        use_cases=(use_case(strategy="cheapest"),),
    )
    assert order(plan(family, model="alpha/one")) == ["alpha/one#1", "beta/two#1"]


def test_without_a_list_the_first_choice_is_the_first_that_may_serve():
    unset = VendorState(reason="not_configured", detail="no API key for alpha")
    made = plan(THREE, use_case="any", states={"alpha": unset})
    assert str(made.first) == "beta/two"
    assert made.why_not_first() == ""


def test_an_empty_plan_still_names_its_first_choice():
    made = plan(THREE, states=dict.fromkeys(THREE.vendors, VendorState(reason="unreachable", detail="gone")))
    assert (made.offers, str(made.first), len(made.excluded)) == ((), "alpha/one", 3)


def test_cheapest_breaks_ties_for_hosted_before_local_then_as_listed_then_by_slot():
    tied = catalog(
        vendor("home", model("m"), plan="local", local=True),
        vendor("alpha", model("m"), plan="free"),
        vendor("beta", model("m"), plan="free"),
        use_cases=(use_case(strategy="cheapest"),),
    )
    made = plan(tied, states={"alpha": VendorState(slots=(2, 1))})
    assert order(made) == ["alpha/m#1", "alpha/m#2", "beta/m#1", "home/m#1"]


def test_an_unknown_price_is_the_dearest():
    known = catalog(
        vendor("alpha", model("m", price=None)),
        vendor("beta", model("m", price=price(90))),
        use_cases=(use_case(strategy="cheapest"),),
    )
    assert order(plan(known, tier=router_pb2.TIER_PREMIUM)) == ["beta/m#1", "alpha/m#1"]


def test_a_strategy_nobody_has_written_stops_the_start():
    known = catalog(vendor("alpha", model("m")), use_cases=(use_case("quick", strategy="thrifty"),))
    with pytest.raises(StartError, match=r"use case `quick` asks for the strategy thrifty.*priority, cheapest"):
        planner.Planner(mesh(known), Estimator())


def test_prices_are_compared_blended():
    made = plan(one(price=price(1, 9.01)))
    assert detail(made, "alpha/one#1") == "3.0025 USD per 1M blended; the cap of tier standard is 3"
    assert plan(one(price=price(1, 9))).offers[0].offer.blended_price == 3 * USD


def test_a_model_whose_price_nobody_knows_is_held_at_a_dear_price_never_at_nothing():
    (planned,) = plan(one(price=None), model="alpha/one", tier=router_pb2.TIER_PREMIUM).offers
    tokens = planned.input_tokens, planned.output_tokens
    assert planned.cost == tokens[0] * 10_000 + tokens[1] * 30_000  # 10 and 30 USD per million tokens


def test_what_was_worked_out_for_the_same_words_is_worked_out_again_when_anything_of_it_has_changed():
    ends = dt.date(2026, 12, 1)
    known = catalog(
        vendor("alpha", model("one", retired_on=ends)), vendor("beta", model("two")), use_cases=(LISTED, use_case())
    )
    reader, made = demand.Reader(known, TIERS), planner.Planner(mesh(known), Estimator())
    up = dict.fromkeys(known.vendors, UP)

    def planned(today: dt.date = TODAY, states: dict[str, VendorState] = up, facts: PromptFacts = FACTS) -> list[str]:
        return order(made.plan(reader.read(router_pb2.Intent(), facts, today), Signals(today, states)))

    assert planned() == planned() == ["alpha/one#1", "beta/two#1"]
    two = VendorState(slots=(1, 2))
    assert planned(states=up | {"beta": two}) == ["alpha/one#1", "beta/two#1", "beta/two#2"]
    assert planned(states=up | {"alpha": VendorState()}) == ["beta/two#1"]
    assert planned(today=ends) == ["beta/two#1"]
    assert planned(facts=PromptFacts(text_bytes=100, messages=1, needs=frozenset({"vision"}))) == []
    assert planned(facts=PromptFacts(text_bytes=1_000_000, messages=1)) == []
    assert planned() == ["alpha/one#1", "beta/two#1"]


def test_an_intent_is_read_once_but_what_belongs_to_one_request_never_is_another_s():
    reader = demand.Reader(THREE, TIERS)
    intents = [
        router_pb2.Intent(conversation_id="a", labels={"team": "x"}, max_cost_nanos=5),
        router_pb2.Intent(conversation_id="b"),
    ]
    first, second = (reader.read(intent, FACTS, TODAY) for intent in intents)
    assert first.origin is second.origin
    assert (first.conversation, first.labels, first.max_cost) == ("a", (("team", "x"),), 5)
    assert (second.conversation, second.labels, second.max_cost) == ("b", (), None)
    seeing = reader.read(intents[1], PromptFacts(needs=frozenset({"vision"})), TODAY)
    assert (seeing.needs, second.needs) == (frozenset({"vision"}), frozenset())


def test_words_beyond_what_is_remembered_are_read_all_the_same():
    reader = demand.Reader(THREE, TIERS)
    long = router_pb2.Intent(allow_vendors=["alpha"] * 1_000)
    assert [reader.read(long, FACTS, TODAY).allow_vendors for _ in range(2)] == [frozenset({"alpha"})] * 2
    for day in range(demand.MOST_REMEMBERED + 10):
        reader.read(router_pb2.Intent(), FACTS, TODAY + dt.timedelta(days=day))
    assert len(reader._known) <= demand.MOST_REMEMBERED


def test_an_open_breaker_of_one_model_leaves_its_vendor_s_others():
    known = catalog(vendor("alpha", model("one"), model("two")))
    made = plan(known, breakers={"alpha/one": 5.0})
    assert order(made) == ["alpha/two#1"]
    assert reasons(made) == {"alpha/one#1": "breaker_open"}
    assert detail(made, "alpha/one#1") == "alpha/one keeps failing; its breaker is open"
    assert order(plan(known, breakers={"alpha/one": 9.0, "alpha": 5.0})) == ["alpha/two#1"]


@pytest.mark.parametrize(
    ("asked", "tried", "capped"),
    [
        ({}, ["alpha/one#1", "gamma/three#1"], {"beta/two#1"}),
        ({"tier": router_pb2.TIER_FREE}, ["gamma/three#1"], {"alpha/one#1", "beta/two#1"}),
        ({"use_case": "default"}, ["gamma/three#1"], {"alpha/one#1", "beta/two#1"}),
        ({"tier": router_pb2.TIER_PREMIUM}, ["alpha/one#1", "gamma/three#1", "beta/two#1"], set()),
    ],
)
def test_a_preferred_model_named_alone_is_called_at_its_price_and_its_substitutes_stay_under_the_cap(
    asked, tried, capped
):
    thrifty = catalog(*THREE.vendors.values(), use_cases=(use_case(default_tier="free", strategy="cheapest"),))
    made = plan(thrifty, preferred_model="alpha/one", **asked)
    assert order(made) == tried
    assert {text for text, reason in reasons(made).items() if reason == "price_cap"} == capped


def test_a_preferred_model_of_unknown_price_is_called_too_and_a_cost_cap_still_counts():
    thrifty = catalog(*one(price=None).vendors.values(), use_cases=(use_case(default_tier="free"),))
    assert order(plan(thrifty, preferred_model="alpha/one")) == ["alpha/one#1"]
    dear = catalog(*one(price=price(100)).vendors.values(), use_cases=(use_case(default_tier="free"),))
    assert reasons(plan(dear, preferred_model="alpha/one", max_cost_nanos=1)) == {"alpha/one#1": "cost_cap"}
