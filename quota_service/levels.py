"""Keeps what is used and held on one budget, window by window; rolling windows by a running total."""

from collections import deque
from collections.abc import Sequence

from quota_service.budgets import Budget, parts, unit_place
from quota_service.credit import Grant, expired, span_of
from quota_service.windows import Span, neighbour_of, span_at

# Beyond this a store that counts in floats is no longer exact, so nobody counts beyond it (I15).
MOST = 2**53 - 1


class Level:
    """How full something is: settled, held, and used at the vendor by others; the vendor's own limit when lower."""

    __slots__ = ("external", "held", "used", "vendor_limit")

    def __init__(self, used: int = 0, held: int = 0, external: int = 0, vendor_limit: int | None = None) -> None:
        self.used = used
        self.held = held
        self.external = external
        self.vendor_limit = vendor_limit

    @property
    def taken(self) -> int:
        """Return what admission must count (I1)."""
        return self.used + self.held + self.external

    def limit(self, configured: int) -> int:
        """Return the limit that holds: the vendor's own when it is lower, never when it is higher."""
        return configured if self.vendor_limit is None or self.vendor_limit > configured else self.vendor_limit

    def room(self, limit: int, *, hard: bool, kept: int = 0) -> int:
        """Return how large a leg may be: what is left and not kept; anything while a soft limit is not used up."""
        if self.vendor_limit is not None and self.vendor_limit < limit:
            limit = self.vendor_limit
        if hard:
            return limit - kept - self.used - self.held - self.external
        return MOST - self.taken if self.used + self.external < limit - kept else 0


class Cell(Level):
    """One key of a budget's window.

    `index` is its unit's place in UNITS. `draws` counts those with remembered holds; `forgotten` is what forgotten ones
    had settled, so that `used` can always be recomputed (I2). `total` is the running total the cell is part of: of the
    rolling window while it sees the cell, of a credit for ever.
    """

    __slots__ = ("budget", "counts_until", "draws", "end", "forgotten", "index", "start", "stored", "total")

    def __init__(self, budget: str, index: int, span: Span) -> None:
        super().__init__()
        self.budget = budget
        self.index = index
        self.start = span.start
        self.end = span.end
        self.counts_until = span.counts_until
        self.forgotten = 0
        self.draws = 0
        self.stored = False
        self.total: Level | None = None

    def book(self, used: int, held: int) -> None:
        """Add to what is settled and held, here and in the total."""
        self.used += used
        self.held += held
        if self.total is not None:
            self.total.used += used
            self.total.held += held


class Credit(Level):
    """The running total of a one-off credit; when its grants expire its limit is what has not expired unused."""

    __slots__ = ("_cells", "_now", "grants")

    def __init__(self, grants: Sequence[Grant]) -> None:
        super().__init__()
        self.grants = grants
        self._cells: list[Cell] = []
        self._now = 0

    def join(self, cell: Cell, now: int) -> None:
        """Take in a cell, in the order of starts, and the moment."""
        self._now = now
        if cell.total is not self:
            cell.total = self
            self._cells.append(cell)
            self.used += cell.used
            self.held += cell.held
            self.external += cell.external

    @property
    def expired(self) -> int:
        """Return how much nobody took while it lasted."""
        if not self.grants:
            return 0
        return expired(self.grants, ((cell.start, cell.taken) for cell in self._cells), self._now)

    def limit(self, configured: int) -> int:
        """Return the limit that holds: what was granted without what has expired unused."""
        return super().limit(configured) - self.expired

    def room(self, limit: int, *, hard: bool, kept: int = 0) -> int:
        """Return how large a leg may be, out of what has not expired."""
        return super().room(limit, hard=hard, kept=kept + self.expired)


class Line:
    """All cells of one budget.

    Attributes:
        weighed: the levels that must have room for a new leg: the total of a rolling window or a credit, else those of
            `current`.
        current: the cells a new leg is booked on, first the one around now; two within the guard of an edge (I9).
        stale_at: when `advance` must be called before these are read.
        latest_expiry: when the last lease of a concurrency budget lapses, as far as is known.
    """

    __slots__ = (
        "_live",
        "_outdated",
        "cells",
        "current",
        "id",
        "index",
        "latest_expiry",
        "stale_at",
        "total",
        "weighed",
    )

    def __init__(self, budget_id: str, outdated: list[Cell]) -> None:
        _, _, label = parts(budget_id)
        self.id = budget_id
        self.index = unit_place(budget_id)
        self.total = Level() if label == "minute" or label.startswith("rolling:") else None
        self.cells: dict[int, Cell] = {}
        self.current: tuple[Cell, ...] = ()
        self.weighed: Sequence[Level] = () if self.total is None else (self.total,)
        self.stale_at = 0
        self.latest_expiry = 0
        self._live: deque[Cell] = deque()
        self._outdated = outdated

    def advance(self, now: int, budget: Budget) -> None:
        """Move to the cells of `now`; cells that weigh no longer leave the total, those nobody needs are dropped."""
        self._age(now)
        if budget.window.kind == "once":
            self._draw_on(budget.grants, now)
            return
        if self.total is not None:
            self.current = (self._cell(span_at(budget.window, now)),)
        else:
            self.weighed = self.current = self._covering(now, budget)
        first, guard = self.current[0], budget.guard
        changes_at = next(edge for edge in (first.start + guard, first.end - guard, first.end) if edge > now)
        self.stale_at = min(changes_at, self._live[0].counts_until) if self._live else changes_at

    def add(self, cell: Cell) -> None:
        """Take in a cell that was stored; call in the order of starts."""
        self.cells[cell.start] = cell
        if self.total is not None:
            self._join(cell)

    def forget(self, cell: Cell, now: int) -> None:
        """Drop a cell that no remembered hold and no window needs."""
        if cell.draws == 0 and cell.counts_until <= now and self.cells.pop(cell.start, None) is not None:
            self._outdated.append(cell)

    def spread(self) -> Sequence[Cell]:
        """Return the cells a rolling window sees, oldest first."""
        return tuple(self._live)

    def lower(self, cell: Cell, vendor_limit: int | None) -> None:
        """Remember the vendor's own limit until the cell weighs no longer."""
        cell.vendor_limit = vendor_limit
        if self.total is not None:
            self.total.vendor_limit = self._last_heard()

    def _draw_on(self, grants: Sequence[Grant], now: int) -> None:
        """Move to the cell since the last expiry; grants may have come that end before a stored cell does."""
        span = span_of(grants, now)
        credit = self.weighed[0] if self.weighed else None
        if not isinstance(credit, Credit) or credit.grants != grants:
            credit = Credit(grants)
            for start in sorted(self.cells):
                credit.join(self.cells[start], now)
        cell = self._cell(span)
        credit.join(cell, now)
        self.weighed, self.current, self.stale_at = (credit,), (cell,), span.end

    def _covering(self, now: int, budget: Budget) -> tuple[Cell, ...]:
        """Return the cells to charge now; a stored one keeps its bounds, whatever the zone data say since (I9)."""
        covering = next((cell for cell in self.cells.values() if cell.start <= now < cell.end), None)
        if covering is None:
            last_end = max((cell.end for cell in self.cells.values() if cell.end <= now), default=0)
            covering = self._cell(span_at(budget.window, now, last_end, budget.guard))
        if covering.start + budget.guard <= now < covering.end - budget.guard:
            return (covering,)
        span = Span(covering.start, covering.end, covering.counts_until)
        other = neighbour_of(span, budget.window, now, budget.guard)
        if other is None:
            return (covering,)
        stored = next((cell for cell in self.cells.values() if cell.end == other.end), None)
        return covering, stored or self._cell(other)

    def _cell(self, span: Span) -> Cell:
        cell = self.cells.get(span.start)
        if cell is None:
            cell = self.cells[span.start] = Cell(self.id, self.index, span)
            if self.total is not None:
                self._join(cell)
        return cell

    def _join(self, cell: Cell) -> None:
        """Make a cell part of the running total."""
        assert self.total is not None  # noqa: S101 - only rolling lines get here
        cell.total = self.total
        self._live.append(cell)
        self.total.used += cell.used
        self.total.held += cell.held
        self.total.external += cell.external
        self.total.vendor_limit = self._last_heard()

    def _age(self, now: int) -> None:
        live = self._live
        while live and live[0].counts_until <= now:
            cell = live.popleft()
            cell.total = None
            if self.total is not None:
                self.total.used -= cell.used
                self.total.held -= cell.held
                self.total.external -= cell.external
                self.total.vendor_limit = self._last_heard()
            self.forget(cell, now)
        if self.total is None:
            for cell in [cell for cell in self.cells.values() if cell.counts_until <= now]:
                self.forget(cell, now)

    def _last_heard(self) -> int | None:
        """Return the vendor's limit as last heard in the cells that weigh."""
        return next((cell.vendor_limit for cell in reversed(self._live) if cell.vendor_limit is not None), None)
