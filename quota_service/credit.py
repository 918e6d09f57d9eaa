"""What a one-off credit has lost to expiry: pure arithmetic over what was taken between one expiry and the next.

A credit is the sum of its grants. Whatever is taken comes out of the grant that ends first; what a grant has left when
it ends is lost. What is taken is booked on the key of the last expiry before it, so no job has to run when one ends.
"""

from collections.abc import Iterable
from typing import NamedTuple

from quota_service.windows import FOREVER, Span


class Grant(NamedTuple):
    """One part of a credit: until when, and how much."""

    until: int
    amount: int


def span_of(grants: Iterable[Grant], now: int) -> Span:
    """Return the key what is taken now belongs to: from the last expiry to the next; it weighs for ever."""
    ends = [grant.until for grant in grants]
    start = max((end for end in ends if end <= now), default=0)
    return Span(start, min((end for end in ends if end > now), default=FOREVER), FOREVER)


def expired(grants: Iterable[Grant], taken: Iterable[tuple[int, int]], now: int) -> int:
    """Return how much of the grants that have ended by now nobody took while they lasted.

    Args:
        grants: in the order of their ends.
        taken: since which expiry how much was taken, in that order.
        now: the moment.
    """
    left = [[grant.until, grant.amount] for grant in grants]
    for since, amount in taken:
        rest = amount
        for grant in left:
            part = min(rest, grant[1]) if grant[0] > since else 0
            grant[1] -= part
            rest -= part
    return sum(amount for until, amount in left if until <= now)
