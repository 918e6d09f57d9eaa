"""A hold: what one attempt may spend, from its reserve to its one end (I4); and on which budgets."""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from msgspec import Struct, msgpack

from quota_service.budgets import UNITS
from quota_service.levels import Cell
from quota_service.operations import (
    LEASE,
    NOTHING,
    Amounts,
    Denial,
    Held,
    OfferAmounts,
    Outcome,
    Reserve,
    Settle,
    Units,
)

_encode = msgpack.Encoder().encode
_number = int.from_bytes
CONCURRENCY = UNITS.index("concurrency")


class State(StrEnum):
    """HELD, then once SETTLED, RELEASED or LAPSED; a LAPSED hold may once be CORRECTED."""

    HELD = "held"
    SETTLED = "settled"
    RELEASED = "released"
    LAPSED = "lapsed"
    CORRECTED = "corrected"


class Who(NamedTuple):
    """Who pays for a hold and what for, and who is paid."""

    tenant: str
    use_case: str
    vendor: str
    model: str
    plan: str


class Draw:
    """What an offer draws on for a payer, for as long as no window ends: shared by all holds made meanwhile.

    A hold has a leg on each of the cells; its amount there is the one of the hold in the unit of the cell.
    `lease` is for how long a place is lent, 0 when none is; `holds` counts the remembered holds.
    """

    __slots__ = ("cells", "holds", "lease", "who")

    def __init__(self, who: Who, cells: tuple[Cell, ...]) -> None:
        self.who = who
        self.cells = cells
        self.lease = 0
        for cell in cells:
            if cell.index == CONCURRENCY:
                self.lease = LEASE
        self.holds = 0

    def remember(self) -> None:
        """Count one more hold."""
        if not self.holds:
            for cell in self.cells:
                cell.draws += 1
        self.holds += 1

    def forget(self, holds: int, used: Units) -> None:
        """Count so many holds no longer, and keep what they have used."""
        self.holds -= holds
        for cell in self.cells:
            cell.forgotten += used[cell.index]
            if not self.holds:
                cell.draws -= 1


# It is in no cycle, and there are many: the garbage collector need not look at them.
class Hold(Struct, gc=False, eq=False):
    """One hold; everything about it is known at the reserve except how it ends. `number` is its place among all."""

    number: int
    attempt_id: str
    fingerprint: int
    estimate: OfferAmounts
    draw: Draw
    version: int
    created: int
    expires: int
    passed_over: tuple[Denial, ...] = ()
    state: State = State.HELD
    outcome: Outcome | None = None
    charged: Amounts = NOTHING
    settlement: int = 0
    unpriced: bool = False
    ended: int = 0

    @property
    def answer(self) -> Held:
        """Return what the caller was told, so that a repeated reserve is told the same (I6)."""
        who, lease = self.draw.who, self.draw.lease
        return Held(self.estimate.offer, self.expires, self.version, who.plan, self.passed_over, lease)

    @property
    def in_full(self) -> Amounts:
        """Return everything the attempt may have spent by its estimate (I5)."""
        estimate = self.estimate
        return Amounts(estimate.requests, estimate.input_tokens, estimate.output_tokens, estimate.cost_nanos)

    def levels(self) -> Iterator[tuple[Cell, int, int]]:
        """Return of each leg its cell, what has been used there and what is held."""
        used, held = self.charged.in_units(), self.estimate.in_units()
        for cell in self.draw.cells:
            yield cell, used[cell.index], held[cell.index] if self.state == State.HELD else 0


def _digest(content: object) -> int:
    """Return a number of 63 bits that fits a database column and is the same in every process."""
    return _number(blake2b(_encode(content), digest_size=8).digest(), "big") >> 1


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
