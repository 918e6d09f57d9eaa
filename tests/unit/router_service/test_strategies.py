"""Each strategy orders what may serve by what it looks at, and nothing else."""

from collections import Counter
from typing import Any

import pytest
from fixtures.small_mesh import catalog, mesh, model, price, vendor

from catalog.model import ModelRef
from router_service.offers import Planned, VendorState, offers_of
from router_service.strategies import STRATEGIES, Ranked, Sight

KNOWN = catalog(
    vendor("alpha", model("one", price=price(4))),
    vendor("beta", model("two", price=price(1))),
    vendor("gamma", model("three", price=price(2))),
    vendor("home", model("llama"), plan="local", local=True),
    vendor("odd", model("unpriced", price=None)),
)
NAMES = {"alpha": "one", "beta": "two", "gamma": "three", "home": "llama", "odd": "unpriced"}


def ranked(*vendors: str) -> list[Ranked]:
    """One offer of each vendor, in this order of preference."""
    refs = [ModelRef(name, NAMES[name]) for name in vendors]
    offers = [offers_of(mesh(KNOWN), ref, VendorState(slots=(1,)))[0] for ref in refs]
    return [Ranked(rank, Planned(offer, 10, 10, 1)) for rank, offer in enumerate(offers)]


def order(strategy: str, *vendors: str, waits: dict[str, float] | None = None, **sight: Any) -> list[str]:
    told = {f"{name}/{NAMES[name]}#1": seconds for name, seconds in (waits or {}).items()}
    made = STRATEGIES[strategy](ranked(*vendors), Sight(wait=lambda text: told.get(text, 0.0), **sight))
    return [planned.offer.vendor.id for _, planned in made]


def test_priority_and_spread_keep_the_list_whatever_else_there_is_to_see():
    for strategy in ("priority", "spread"):
        assert order(strategy, "gamma", "alpha", "beta", waits={"gamma": 9}) == ["gamma", "alpha", "beta"]


def test_fastest_goes_by_the_wait_and_begins_with_whom_nobody_has_measured():
    assert order("fastest", "alpha", "beta", "gamma", waits={"alpha": 0.9, "beta": 0.3}) == ["gamma", "beta", "alpha"]
    assert order("fastest", "beta", "alpha") == ["beta", "alpha"]


@pytest.mark.parametrize(
    ("waits", "first"),
    [
        ({"alpha": 0.2, "beta": 0.2, "gamma": 0.2}, "beta"),  # all as fast: the cheapest
        ({"alpha": 0.2, "beta": 4.0, "gamma": 1.0}, "gamma"),  # neither the fastest, who is dearest, nor the cheapest
        ({"alpha": 0.2, "beta": 0.4, "gamma": 4.0}, "beta"),  # twice as slow is little where another is so much slower
        ({"alpha": 0.1, "beta": 5.0, "gamma": 5.0}, "alpha"),  # so much faster that it may cost four times as much
    ],
)
def test_balanced_weighs_price_and_speed_against_the_dearest_and_the_slowest(waits, first):
    waits |= {"alpha": waits["alpha"] / 10} if first == "alpha" else {}
    assert order("balanced", "alpha", "beta", "gamma", waits=waits)[0] == first


def test_balanced_takes_an_unknown_price_for_the_dearest_and_copes_with_nothing_at_all():
    assert order("balanced", "odd", "alpha", "beta") == ["beta", "odd", "alpha"]
    assert order("balanced", "odd", "home", waits={"odd": 1.0, "home": 1.0}) == ["home", "odd"]
    assert STRATEGIES["balanced"]([], Sight()) == []


def test_weighted_puts_vendors_first_as_often_as_they_weigh_and_those_without_a_weight_last():
    weights = {"alpha": 6.0, "beta": 3.0, "gamma": 1.0}
    drawn = [order("weighted", "home", "gamma", "beta", "alpha", weights=weights, chance=n) for n in range(4_000)]
    first = Counter(vendors[0] for vendors in drawn)
    assert {vendors[-1] for vendors in drawn} == {"home"}
    assert first["alpha"] == pytest.approx(2_400, rel=0.1)
    assert first["beta"] == pytest.approx(1_200, rel=0.1)
    assert first["gamma"] == pytest.approx(400, rel=0.25)


def test_weighted_draws_the_same_for_the_same_chance_whoever_may_serve():
    weights = {"alpha": 1.0, "beta": 1.0, "gamma": 1.0}
    for chance in range(50):
        all_three = order("weighted", "alpha", "beta", "gamma", weights=weights, chance=chance)
        assert order("weighted", "gamma", "alpha", weights=weights, chance=chance) == [
            name for name in all_three if name != "beta"
        ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_every_offer_once_and_changes_nothing(strategy):
    given = ranked("odd", "home", "gamma", "beta", "alpha")
    before = list(given)
    made = STRATEGIES[strategy](given, Sight(wait=lambda text: len(text) % 3, chance=7, weights={"beta": 1.0}))
    assert sorted(made, key=lambda each: each.rank) == before == given
