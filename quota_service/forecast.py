"""Says which budgets will be used up before they reset, if the present pace goes on: two paces and a straight line."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from quota_service.budgets import Budget
from quota_service.standing import BudgetStanding, Standing
from quota_service.windows import FOREVER, HOUR, SECOND, span_at

SAMPLES_EVERY = 60 * SECOND
REMEMBERED = 600 * SECOND
# Limits of shorter windows are rates: they are full and empty again before a forecast is read.
SHORTEST = HOUR


class Outlook(StrEnum):
    """What will become of a budget."""

    LASTS = "lasts"
    RESETS_FIRST = "resets_first"
    RUNS_OUT = "runs_out"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True)
class Forecast:
    """How one budget will fare; paces are per millisecond, None where there is no figure for one."""

    budget: Budget
    outlook: Outlook
    exhausted_at: int | None
    recent: float | None
    average: float | None

    @property
    def pace(self) -> float:
        """Return the faster of the two paces."""
        return max(self.recent or 0.0, self.average or 0.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was used of each budget at a moment, with the end of its window; without those nothing was used of."""

    now: int
    used: Mapping[str, tuple[int, int | None]]


class Paces:
    """Remembers what was used of each budget, minute by minute, for ten minutes."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def take(self, standing: Standing) -> None:
        """Remember how budgets stand, once a minute; call as often as is convenient."""
        if self._samples and standing.now < self._samples[-1].now + SAMPLES_EVERY:
            return
        used = {row.budget.id: (row.used, row.resets_at) for row in standing.budgets if row.used}
        self._samples.append(Sample(standing.now, used))
        while self._samples[0].now < standing.now - REMEMBERED:
            self._samples.popleft()

    def recent(self, row: BudgetStanding, now: int) -> float | None:
        """Return how fast a level has risen since the oldest sample of its window; None for lack of samples."""
        for sample in self._samples:
            if now - sample.now < SAMPLES_EVERY:
                return None
            used, resets_at = sample.used.get(row.budget.id, (0, row.resets_at))
            if resets_at == row.resets_at:
                return max(0.0, (row.used - used) / (now - sample.now))
        return None


def forecasts(standing: Standing, paces: Paces) -> list[Forecast]:
    """Return the forecast of each budget whose window is long enough to have one."""
    now = standing.now
    return [forecast(row, now, paces.recent(row, now)) for row in standing.budgets if has_forecast(row.budget)]


def has_forecast(budget: Budget) -> bool:
    """Tell whether a budget is spent rather than a rate."""
    return budget.window.kind != "now" and (
        budget.window.kind != "sliding" or budget.window.seconds * SECOND >= SHORTEST
    )


def forecast(row: BudgetStanding, now: int, recent: float | None) -> Forecast:
    """Draw a straight line from what is left at the faster of the recent pace and the window's average.

    What is held counts as used, as in admission. A window that slides has no average here: what leaves it is as much a
    part of its pace as what enters; it lasts when the line would be longer than the window itself.
    """
    average = _average(row, now)
    pace = max(recent or 0.0, average or 0.0)
    if row.left <= 0:
        return Forecast(row.budget, Outlook.USED_UP, None, recent, average)
    lasts_for = row.left / pace if pace else float("inf")
    sliding = row.budget.window.kind == "sliding"
    horizon = row.budget.window.seconds * SECOND if sliding else FOREVER - now
    if lasts_for >= horizon:
        return Forecast(row.budget, Outlook.LASTS, None, recent, average)
    ends = now + int(lasts_for)
    if row.resets_at is not None and ends >= row.resets_at:
        return Forecast(row.budget, Outlook.RESETS_FIRST, None, recent, average)
    return Forecast(row.budget, Outlook.RUNS_OUT, ends, recent, average)


def _average(row: BudgetStanding, now: int) -> float | None:
    """Return the pace of the current window so far; the first seconds of one say nothing yet."""
    if row.budget.window.kind != "calendar":
        return None
    elapsed = now - span_at(row.budget.window, now).start
    return row.used / max(elapsed, SAMPLES_EVERY)
