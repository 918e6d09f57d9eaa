"""Orders offers that may all serve: one pure function for each strategy, chosen by a configuration word."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from router_service.offers import Planned


class Ranked(NamedTuple):
    """An offer with its rank: its model's place in the list of candidates, 0 first."""

    rank: int
    planned: Planned


@dataclass(frozen=True, slots=True)
class Sight:
    """What strategies may look at beside the offers.

    `wait` tells how many seconds an offer is expected to take to begin its answer, 0 while nobody knows; `chance` is
    any number, the same for all requests of a conversation and another one for each other request; `weights` are the
    use case's, by vendor.
    """

    wait: Callable[[str], float] = lambda _: 0.0
    chance: int = 0
    weights: Mapping[str, float] = field(default_factory=dict)


# Offers come by rank, those of one model in the order of their turns; a strategy that sorts keeps that among equals.
Strategy = Callable[[Sequence[Ranked], Sight], list[Ranked]]


def priority(offers: Sequence[Ranked], _sight: Sight) -> list[Ranked]:
    """As listed."""
    return sorted(offers, key=_rank)


def cheapest(offers: Sequence[Ranked], _sight: Sight) -> list[Ranked]:
    """By blended price under the plan, local models last among equals, then as listed."""
    return sorted(offers, key=lambda ranked: (_price(ranked), ranked.planned.offer.vendor.local, ranked.rank))


def fastest(offers: Sequence[Ranked], sight: Sight) -> list[Ranked]:
    """By how soon an answer is expected to begin, then as listed; who was never measured is tried first."""
    return sorted(offers, key=lambda ranked: (sight.wait(ranked.planned.offer.text), ranked.rank))


def balanced(offers: Sequence[Ranked], sight: Sight) -> list[Ranked]:
    """By price and speed together, each as a part of the dearest and of the slowest of those that may serve."""
    dearest = max((price for ranked in offers if (price := _price(ranked)) != NEVER), default=0.0) or 1.0
    waits = [sight.wait(ranked.planned.offer.text) for ranked in offers]
    slowest = max(waits, default=0.0) or 1.0
    scores = {
        ranked.planned.offer.text: min(_price(ranked) / dearest, 1.0) + wait / slowest
        for ranked, wait in zip(offers, waits, strict=True)
    }
    return sorted(offers, key=lambda ranked: (scores[ranked.planned.offer.text], ranked.rank))


def spread(offers: Sequence[Ranked], sight: Sight) -> list[Ranked]:
    """As listed, but each account serves no more than its share of a day while others have some of theirs left.

    Who has how much left only the ledger knows, for all routers at once: it is asked for offers within their shares
    first (`offers_left.py`), and takes the first that fits.
    """
    return priority(offers, sight)


def weighted(offers: Sequence[Ranked], sight: Sight) -> list[Ranked]:
    """By lot, a vendor of twice the weight first twice as often; who has no weight comes after all that have one."""
    draw = Random(sight.chance)  # noqa: S311 - a lot, no secret
    # When a vendor's turn would come if turns came at random, `weight` times a second: the soonest is first.
    lots = {vendor: draw.expovariate(weight) for vendor, weight in sight.weights.items()}
    return sorted(offers, key=lambda ranked: (lots.get(ranked.planned.offer.vendor.id, NEVER), ranked.rank))


NEVER = float("inf")
STRATEGIES: Mapping[str, Strategy] = {
    "priority": priority,
    "cheapest": cheapest,
    "fastest": fastest,
    "balanced": balanced,
    "spread": spread,
    "weighted": weighted,
}


def _rank(ranked: Ranked) -> int:
    return ranked.rank


def _price(ranked: Ranked) -> float:
    price = ranked.planned.offer.blended_price
    return NEVER if price is None else float(price)
