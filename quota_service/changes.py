"""What a batch changed: the rows a store must write, and what waiting callers must be told."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from quota_service.definitions import Definitions
from quota_service.holds import Hold, State
from quota_service.levels import Cell
from quota_service.operations import Amounts, Outcome
from quota_service.overrides import Change
from quota_service.windows import utc_day


class SpendKey(NamedTuple):
    """What spend is summed by."""

    day: str
    tenant: str
    use_case: str
    vendor: str
    model: str
    plan: str
    outcome: str
    labels: str = ""


class SpendDelta(NamedTuple):
    """What is added to one row of spend; negative when a lapse is corrected."""

    key: SpendKey
    attempts: int
    amounts: Amounts
    assumed: int


def spent(hold: Hold, sign: int, labels: str = "") -> tuple[SpendDelta, ...]:
    """Return what an ended hold adds to the spend of the day it was made on, or takes back (I8)."""
    if hold.outcome is None or hold.outcome == Outcome.RELEASED:
        return ()
    day = utc_day(hold.created)
    key = SpendKey(day, hold.tenant, hold.use_case, hold.vendor, hold.model, hold.plan, hold.outcome, labels)
    told = hold.charged
    amounts = Amounts(sign * told.requests, sign * told.input_tokens, sign * told.output_tokens, sign * told.cost_nanos)
    return (SpendDelta(key, sign, amounts, sign if hold.state == State.LAPSED else 0),)


def summed(spend: Iterable[SpendDelta]) -> Iterator[SpendDelta]:
    """Return what is added to each row of spend, once for each row."""
    rows: dict[SpendKey, list[int]] = {}
    for key, attempts, amounts, assumed in spend:
        row = rows.setdefault(key, [0] * 6)
        row[0] += attempts
        row[1] += amounts.requests
        row[2] += amounts.input_tokens
        row[3] += amounts.output_tokens
        row[4] += amounts.cost_nanos
        row[5] += assumed
    for key, (attempts, *told, assumed) in rows.items():
        yield SpendDelta(key, attempts, Amounts(*told), assumed)


class Entry(Struct, frozen=True, gc=False):
    """One line of the journal: what was done to a hold, and by how much it moved (start, used, held) of budgets."""

    at: int
    kind: str
    attempt_id: str
    note: str
    moves: Sequence[tuple[str, int, int, int]]


@dataclass(slots=True)
class Changes:
    """What a batch changed. Cells and holds are the ledger's own: read them before the next batch.

    `holds` are new, extended or ended; `legs` are those of them whose legs are new or changed. `freed` names budgets
    that have more room than before; `overage` sums, by unit, what was charged beyond what was held; `late` counts
    settles of lapsed holds. `overriding` are the changes of limits asked for, `definitions` those that count from now
    on, when they are others than before.
    """

    now: int
    cells: dict[Cell, None] = field(default_factory=dict)
    dropped: list[Cell] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    legs: dict[str, Hold] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    closures: dict[str, tuple[int, str]] = field(default_factory=dict)
    spend: list[SpendDelta] = field(default_factory=list)
    journal: list[Entry] = field(default_factory=list)
    freed: set[str] = field(default_factory=set)
    overage: Counter[str] = field(default_factory=Counter)
    lapsed: int = 0
    late: int = 0
    overriding: list[Change] = field(default_factory=list)
    definitions: Definitions | None = None

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to write."""
        if self.definitions is not None:
            return False
        return not (self.cells or self.dropped or self.holds or self.forgotten or self.closures or self.journal)
