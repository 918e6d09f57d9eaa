"""Notices when half, four fifths and nearly all of a budget are used: once in each window."""

from collections.abc import Iterator
from typing import NamedTuple

from quota_service.forecast import has_forecast
from quota_service.standing import BudgetStanding, Standing

PERCENTS = (50, 80, 95)
# A window that slides has no end: it is noticed again once the level has fallen under this share of a threshold.
FORGETS_BELOW = 0.8


class Crossing(NamedTuple):
    """So many percent of a budget are used."""

    row: BudgetStanding
    percent: int


class Thresholds:
    """Remembers what was told of each budget in its current window. Limits of short windows are rates, and left out."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int | None, set[int]]] = {}

    def crossed(self, standing: Standing) -> Iterator[Crossing]:
        """Give each threshold that was reached since it was last asked."""
        for row in standing.budgets:
            if row.limit > 0 and has_forecast(row.budget):
                yield from self._crossed(row)

    def _crossed(self, row: BudgetStanding) -> Iterator[Crossing]:
        share = 100 * (row.used + row.external) / row.limit
        window, told = self._told.get(row.budget.id, (row.resets_at, set()))
        if window != row.resets_at:
            told = set()
        if row.resets_at is None:
            told = {percent for percent in told if share >= percent * FORGETS_BELOW}
        reached = [percent for percent in PERCENTS if share >= percent]
        yield from (Crossing(row, percent) for percent in reached if percent not in told)
        if told or reached:
            self._told[row.budget.id] = (row.resets_at, told | set(reached))
        else:
            self._told.pop(row.budget.id, None)
