"""Orders offers that may all serve: one pure function for each strategy, chosen by a configuration word."""

from collections.abc import Callable, Mapping, Sequence

from router_service.offers import Offer

# Each offer comes with its rank: its place in the list of candidates, 0 first. Offers of one model come in the order of
# their turns, which every strategy keeps where it has no other preference.
Ranked = tuple[int, Offer]
Strategy = Callable[[Sequence[Ranked]], list[Ranked]]


def priority(offers: Sequence[Ranked]) -> list[Ranked]:
    """As listed."""
    return sorted(offers, key=lambda ranked: ranked[0])


def cheapest(offers: Sequence[Ranked]) -> list[Ranked]:
    """By blended price under the plan, local models last among equals, then as listed."""
    return sorted(offers, key=lambda ranked: (_price(ranked[1]), ranked[1].vendor.local, ranked[0]))


def spread(offers: Sequence[Ranked]) -> list[Ranked]:
    """As listed, but each account serves no more than its share of a day while others have some of theirs left.

    Who has how much left only the ledger knows, for all routers at once: it is asked for offers within their shares
    first (`offers_left.py`), and takes the first that fits.
    """
    return priority(offers)


STRATEGIES: Mapping[str, Strategy] = {"priority": priority, "cheapest": cheapest, "spread": spread}


def _price(offer: Offer) -> float:
    price = offer.blended_price
    return float("inf") if price is None else float(price)
