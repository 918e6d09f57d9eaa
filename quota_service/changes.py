"""What a batch changed: the rows a store must write, and what waiting callers must be told."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Struct

from quota_service.definitions import Definitions
from quota_service.holds import Draw, Hold, State, Who
from quota_service.levels import Cell
from quota_service.operations import NO_UNITS, Amounts, Outcome, Units
from quota_service.overrides import Change
from quota_service.windows import DAY, utc_day


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


class Entry(Struct, frozen=True, gc=False):
    """One line of the journal: what was done to a hold, and by how much it moved used and held of cells, by unit."""

    kind: str
    attempt_id: str
    note: str
    cells: tuple[Cell, ...] = ()
    used: Units = NO_UNITS
    held: Units = NO_UNITS


@dataclass(slots=True)
class Changes:
    """What a batch changed. Cells and holds are the ledger's own: read them before the next batch.

    `cells` have changed, `draws` are those whose holds changed some. `made`, `extended` and `ended` are holds, one
    perhaps in each; `forgotten` ones are gone. `sums` are attempts, amounts and assumed by who, day, outcome, labels.
    `freed` names budgets that have more room than before; `overage` sums, by unit, what was charged beyond what was
    held; `late` counts settles of lapsed holds. `overriding` are the changes of limits asked for, `definitions` those
    that count from now on, when they are others than before.
    """

    now: int
    cells: dict[Cell, None] = field(default_factory=dict)
    draws: dict[Draw, None] = field(default_factory=dict)
    dropped: list[Cell] = field(default_factory=list)
    made: list[Hold] = field(default_factory=list)
    extended: dict[str, Hold] = field(default_factory=dict)
    ended: dict[str, Hold] = field(default_factory=dict)
    forgotten: list[Hold] = field(default_factory=list)
    closures: dict[str, tuple[int, str]] = field(default_factory=dict)
    sums: dict[tuple[Who, int, str, str], list[int]] = field(default_factory=dict)
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
        rows = self.cells or self.dropped or self.made or self.extended or self.ended or self.forgotten
        return not (rows or self.closures or self.journal)

    def gather(self, outdated: list[Cell]) -> None:
        """Gather the cells to be written, and of those that are outdated the ones to be dropped."""
        for draw in self.draws:
            for cell in draw.cells:
                self.cells[cell] = None
        for cell in outdated:
            self.cells.pop(cell, None)
            if cell.stored:
                self.dropped.append(cell)
        outdated.clear()
        for cell in self.cells:
            cell.stored = True

    def add_spend(self, hold: Hold, sign: int, labels: str) -> None:
        """Add what an ended hold has spent, on the day it was made on (I8), or take it back."""
        outcome = hold.outcome
        if outcome is None or outcome is Outcome.RELEASED:
            return
        key = (hold.draw.who, hold.created // DAY, outcome, labels)
        row = self.sums.get(key)
        if row is None:
            row = self.sums[key] = [0, 0, 0, 0, 0, 0]
        charged = hold.charged
        row[0] += sign
        row[1] += sign * charged.requests
        row[2] += sign * charged.input_tokens
        row[3] += sign * charged.output_tokens
        row[4] += sign * charged.cost_nanos
        if hold.state is State.LAPSED:
            row[5] += sign

    @property
    def spend(self) -> Iterator[SpendDelta]:
        """Return what is added to each row of spend."""
        for (who, day, outcome, labels), (attempts, *told, assumed) in self.sums.items():
            yield SpendDelta(SpendKey(utc_day(day * DAY), *who, outcome, labels), attempts, Amounts(*told), assumed)
