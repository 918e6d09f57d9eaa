"""A hold: what one attempt may spend, leg by leg, from its reserve to its one end (I4)."""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b

from msgspec import Struct, msgpack

from quota_service.levels import Cell
from quota_service.operations import LEASE, NOTHING, Amounts, Denial, Held, OfferAmounts, Outcome, Reserve, Settle

_encode = msgpack.Encoder().encode


class State(StrEnum):
    """HELD, then once SETTLED, RELEASED or LAPSED; a LAPSED hold may once be CORRECTED."""

    HELD = "held"
    SETTLED = "settled"
    RELEASED = "released"
    LAPSED = "lapsed"
    CORRECTED = "corrected"


# Neither is in a cycle, and there are many of each: the garbage collector need not look at them.
class Leg(Struct, gc=False, eq=False):
    """An amount on one cell of one budget: what was held, and what was charged in the end."""

    cell: Cell
    unit: str
    held: int
    used: int = 0


class Hold(Struct, gc=False, eq=False):
    """One hold; everything about it is known at the reserve except how it ends."""

    attempt_id: str
    fingerprint: int
    tenant: str
    use_case: str
    estimate: OfferAmounts
    vendor: str
    model: str
    plan: str
    version: int
    created: int
    expires: int
    passed_over: tuple[Denial, ...] = ()
    legs: Sequence[Leg] = ()
    state: State = State.HELD
    outcome: Outcome | None = None
    charged: Amounts = NOTHING
    settlement: int = 0
    unpriced: bool = False
    ended: int = 0

    @property
    def answer(self) -> Held:
        """Return what the caller was told, so that a repeated reserve is told the same (I6)."""
        lease = 0
        for leg in self.legs:
            if leg.unit == "concurrency":
                lease = LEASE
        return Held(self.estimate.offer, self.expires, self.version, self.plan, self.passed_over, lease)

    @property
    def in_full(self) -> Amounts:
        """Return everything the attempt may have spent by its estimate (I5)."""
        estimate = self.estimate
        return Amounts(estimate.requests, estimate.input_tokens, estimate.output_tokens, estimate.cost_nanos)


def _digest(content: object) -> int:
    """Return a number of 63 bits that fits a database column and is the same in every process."""
    return int.from_bytes(blake2b(_encode(content), digest_size=8).digest(), "big") >> 1


def fingerprint(reserve: Reserve) -> int:
    """Tell reserves of one attempt id apart; patience is left out, for a retry has less of it."""
    told = (reserve.tenant, reserve.use_case, reserve.offers, reserve.instead_of, reserve.ttl)
    said = (reserve.tier, "beyond share") if reserve.beyond_share else (reserve.tier,) if reserve.tier else ()
    return _digest((*told, *said))


def settlement(settle: Settle) -> int:
    """Tell settles of one hold apart; giving back is the same whatever amounts are named."""
    if settle.outcome == Outcome.RELEASED:
        return 1
    return _digest((settle.outcome, settle.amounts, settle.unpriced))
