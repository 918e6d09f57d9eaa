"""The whole of a ledger, apart from any store: what is exported, and imported elsewhere with nothing changed (I20).

Ended holds are left out: they are remembered only so that an operation repeated within minutes is told the same.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from msgspec import Struct

from quota_service import rules
from quota_service.budgets import UNITS, parts, unit_place
from quota_service.changes import Changes, Entry, SpendKey
from quota_service.definitions import Definitions
from quota_service.holds import Draw, Hold, State, Who
from quota_service.levels import Cell
from quota_service.operations import OfferAmounts, Outcome, Units
from quota_service.overrides import Override, Overrides
from quota_service.spend import SpendLine, figures
from quota_service.windows import DAY, Span, day_start

FORMAT, SCHEMA = "llm-mesh-ledger", 1
REMEMBERED = (State.HELD, State.LAPSED)


class Header(Struct, frozen=True, tag_field="kind", tag="header", forbid_unknown_fields=True):
    """Where and when an image was taken: the store's epoch, its clock in milliseconds, its version of definitions."""

    format: str
    schema: int
    store: str
    epoch: str
    clock: int
    version: int


def header(store: str, epoch: str, clock: int, version: int) -> Header:
    """Return the first line."""
    return Header(FORMAT, SCHEMA, store, epoch, clock, version)


class Window(Struct, frozen=True, tag_field="kind", tag="window", forbid_unknown_fields=True):
    """One key of one budget that still weighs."""

    budget: str
    start: int
    end: int
    counts_until: int
    used: int
    held: int
    external: int
    vendor_limit: int | None

    @property
    def key(self) -> tuple[str, int]:
        """Return what a leg names it by."""
        return self.budget, self.start


class HoldLine(Struct, frozen=True, tag_field="kind", tag="hold", forbid_unknown_fields=True):
    """A hold that is open, or has lapsed and may be corrected; its legs are windows, their amounts follow from it."""

    attempt_id: str
    fingerprint: str
    tenant: str
    use_case: str
    offer: str
    vendor: str
    model: str
    plan: str
    version: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    created: int
    expires: int
    state: str
    ended: int
    legs: tuple[tuple[str, int], ...]

    def amount(self, budget: str) -> int:
        """Return what the hold takes of a budget."""
        needs = (self.requests, self.input_tokens + self.output_tokens, self.cost_nanos, 1)
        return needs[unit_place(budget)]


class ClosureLine(Struct, frozen=True, tag_field="kind", tag="closure", forbid_unknown_fields=True):
    """A subject that a vendor closed."""

    subject: str
    until: int
    reason: str


class OverrideLine(Struct, frozen=True, tag_field="kind", tag="override", forbid_unknown_fields=True):
    """A limit that counts instead of the declared one."""

    budget: str
    limit: int
    author: str
    reason: str
    made: int
    until: int


class Spent(Struct, frozen=True, tag_field="kind", tag="spend", forbid_unknown_fields=True):
    """What was spent: a row of the table."""

    day: str
    tenant: str
    use_case: str
    vendor: str
    model: str
    plan: str
    outcome: str
    labels: str
    attempts: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost_nanos: int
    assumed: int

    @property
    def key(self) -> SpendKey:
        """Return what it is summed by."""
        columns = (self.day, self.tenant, self.use_case, self.vendor, self.model, self.plan, self.outcome)
        return SpendKey(*columns, self.labels)

    @property
    def sums(self) -> tuple[int, ...]:
        """Return its figures in the order of the table's columns."""
        amounts = (self.requests, self.input_tokens, self.output_tokens, self.cost_nanos)
        return (self.attempts, *amounts, self.assumed)


@dataclass(frozen=True, slots=True)
class Image:
    """A whole ledger."""

    header: Header
    windows: Sequence[Window] = ()
    holds: Sequence[HoldLine] = ()
    closures: Sequence[ClosureLine] = ()
    overrides: Sequence[OverrideLine] = ()
    spend: Sequence[Spent] = ()

    def faults(self) -> Iterator[str]:
        """Say where it does not add up: held is the sum of the open holds, used covers the lapsed ones (I2)."""
        held: Counter[tuple[str, int]] = Counter()
        lapsed: Counter[tuple[str, int]] = Counter()
        known = {window.key for window in self.windows}
        for hold in self.holds:
            sums = held if hold.state == State.HELD else lapsed
            for budget, start in hold.legs:
                if (budget, start) not in known:
                    yield f"attempt {hold.attempt_id} has a leg on {budget} at {start}, which is not there"
                sums[budget, start] += hold.amount(budget) if sums is held else _charged(hold, budget)
        for window in self.windows:
            where = f"{window.budget} at {window.start}"
            if window.held != held[window.key]:
                yield f"{where}: held is {window.held}, the open holds sum to {held[window.key]}"
            if window.used < lapsed[window.key]:
                yield f"{where}: used is {window.used}, the lapsed holds sum to {lapsed[window.key]}"


def _charged(hold: HoldLine, budget: str) -> int:
    """Return what a lapsed hold was charged: all but the place it was lent."""
    return 0 if parts(budget)[1] == "concurrency" else hold.amount(budget)


class Taken(NamedTuple):
    """What is known of a ledger whose state is in this process."""

    cells: Iterable[Cell]
    holds: Iterable[Hold]
    closures: dict[str, rules.Closure]
    overrides: Overrides
    spend: Iterable[SpendLine]


def image_of(taken: Taken, header: Header) -> Image:
    """Return the image of a ledger as of the moment in the header."""
    weighing = [cell for cell in taken.cells if cell.counts_until > header.clock]
    windows = {(cell.budget, cell.start) for cell in weighing}
    return Image(
        header=header,
        windows=[_window(cell) for cell in weighing],
        holds=[_hold(hold, windows) for hold in taken.holds if hold.state in REMEMBERED],
        closures=[ClosureLine(subject, *closure) for subject, closure in taken.closures.items()],
        overrides=[OverrideLine(budget, *override) for budget, override in taken.overrides.items()],
        spend=[spent_of(line) for line in taken.spend],
    )


def _window(cell: Cell) -> Window:
    bounds = (cell.budget, cell.start, cell.end, cell.counts_until)
    return Window(*bounds, cell.used, cell.held, cell.external, cell.vendor_limit)


def _hold(hold: Hold, windows: set[tuple[str, int]]) -> HoldLine:
    estimate = hold.estimate
    who = hold.draw.who
    legs = [(cell.budget, cell.start) for cell in hold.draw.cells]
    return HoldLine(
        attempt_id=hold.attempt_id,
        fingerprint=f"{hold.fingerprint:x}",
        tenant=who.tenant,
        use_case=who.use_case,
        offer=estimate.offer,
        vendor=who.vendor,
        model=who.model,
        plan=who.plan,
        version=hold.version,
        requests=estimate.requests,
        input_tokens=estimate.input_tokens,
        output_tokens=estimate.output_tokens,
        cost_nanos=estimate.cost_nanos,
        created=hold.created,
        expires=hold.expires,
        state=hold.state.value,
        ended=hold.ended,
        legs=tuple(leg for leg in legs if leg in windows),
    )


def spent_of(line: SpendLine) -> Spent:
    """Return a row of spend that was asked for by every stored column."""
    return Spent(*SpendKey(**line.group), line.attempts, *figures(line.amounts), line.assumed)


def changes_of(image: Image, definitions: Definitions) -> Changes:
    """Return what an empty ledger must take in to be what the image shows."""
    changes = Changes(image.header.clock)
    cells = {window.key: _cell(window) for window in image.windows}
    draws: dict[tuple[Who, tuple[Cell, ...]], Draw] = {}
    for number, line in enumerate(image.holds, 1):
        who = Who(line.tenant, line.use_case, line.vendor, line.model, line.plan)
        key = (who, tuple(cells[leg] for leg in line.legs))
        hold = _hold_of(number, line, draws.setdefault(key, Draw(*key)))
        for cell, used, _ in hold.levels():
            cell.forgotten -= used
        changes.made.append(hold)
        if hold.state != State.HELD:
            changes.ended[hold.attempt_id] = hold
    changes.cells = dict.fromkeys(cells.values())
    changes.closures = {line.subject: rules.Closure(line.until, line.reason) for line in image.closures}
    for row in image.spend:
        who = Who(row.tenant, row.use_case, row.vendor, row.model, row.plan)
        day = day_start(date.fromisoformat(row.day)) // DAY
        changes.sums[who, day, row.outcome, row.labels] = list(row.sums)
    note = f"epoch {image.header.epoch} version {image.header.version}"
    for cell in cells.values():
        changes.journal.append(Entry("import", "", note, (cell,), _in_unit(cell, cell.used), _in_unit(cell, cell.held)))
    changes.definitions = redefined(image, definitions)
    return changes


def redefined(image: Image, definitions: Definitions) -> Definitions:
    """Return our definitions under a version later than any hold's, with the overrides of the image (I14)."""
    overrides = {
        line.budget: Override(line.limit, line.author, line.reason, line.made, line.until) for line in image.overrides
    }
    return definitions.numbered(max(definitions.version, image.header.version) + 1, overrides)


def _cell(window: Window) -> Cell:
    cell = Cell(window.budget, unit_place(window.budget), Span(window.start, window.end, window.counts_until))
    cell.used = cell.forgotten = window.used
    cell.held, cell.external, cell.vendor_limit = window.held, window.external, window.vendor_limit
    return cell


def _in_unit(cell: Cell, amount: int) -> Units:
    """Return an amount in the unit of a cell."""
    requests, tokens, cost, places = (amount if unit == cell.index else 0 for unit in range(len(UNITS)))
    return requests, tokens, cost, places


def _hold_of(number: int, line: HoldLine, draw: Draw) -> Hold:
    estimate = OfferAmounts(line.offer, line.input_tokens, line.output_tokens, line.cost_nanos, line.requests)
    mark = int(line.fingerprint, 16)
    hold = Hold(number, line.attempt_id, mark, estimate, draw, line.version, line.created, line.expires)
    hold.state = State(line.state)
    if hold.state == State.LAPSED:
        hold.outcome, hold.ended, hold.charged = Outcome.LAPSED, line.ended, hold.in_full
    return hold
