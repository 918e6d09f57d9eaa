"""Half, four fifths and nearly all of a budget are noticed once in each window."""

from fixtures.quota import NOON, limit

from quota_service.standing import BudgetStanding, Standing
from quota_service.thresholds import Thresholds
from quota_service.windows import DAY

TODAY, TOMORROW = NOON + DAY // 2, NOON + DAY + DAY // 2
CALENDAR = limit("groq/default", "requests", 100)
ROLLING = limit("groq/default", "requests", 100, "rolling 24h")


def percents(thresholds: Thresholds, used: int, resets_at: int | None = None, external: int = 0, budget=None):
    budget = budget or (ROLLING if resets_at is None else CALENDAR)
    row = BudgetStanding(budget, budget.limit, used, 0, external, 0, resets_at)
    return [crossing.percent for crossing in thresholds.crossed(Standing((row,), {}, 1, NOON, 0, {}))]


def test_each_threshold_is_told_once_in_a_window_and_again_in_the_next():
    thresholds = Thresholds()
    told = [percents(thresholds, used, TODAY) for used in (0, 49, 50, 60, 96, 100, 120)]
    assert told == [[], [], [50], [], [80, 95], [], []]
    assert percents(thresholds, 10, TODAY) == []
    assert percents(thresholds, 85, TOMORROW) == [50, 80]
    assert percents(thresholds, 0, TOMORROW + DAY) == []
    assert percents(thresholds, 50, TOMORROW + DAY) == [50]


def test_what_others_used_at_the_vendor_counts():
    assert percents(Thresholds(), 30, TODAY, external=20) == [50]


def test_a_sliding_window_tells_again_once_its_level_has_fallen_well_below():
    thresholds = Thresholds()
    told = [percents(thresholds, used) for used in (50, 49, 51, 41, 50, 39, 50)]
    assert told == [[50], [], [], [], [], [], [50]]


def test_rates_places_and_blocked_budgets_are_left_out():
    for budget in (limit("a/b", "requests", 5, "minute"), limit("a/b", "concurrency", 5), CALENDAR.overruled(0)):
        assert percents(Thresholds(), 5, TODAY, budget=budget) == []
