"""The forecast of a budget: two paces, a straight line, and when it says nothing."""

import pytest
from fixtures.quota import NOON, limit

from quota_service.forecast import Outlook, Paces, forecast, forecasts
from quota_service.standing import BudgetStanding, Standing
from quota_service.windows import DAY, HOUR, SECOND

MINUTE = 60 * SECOND
MIDNIGHT = NOON + 12 * HOUR
CALENDAR = limit("groq/default", "requests", 1_200)
ROLLING = limit("groq/default", "tokens", 1_200, "rolling 24h")
CREDIT = limit("groq/default", "nanodollars", 1_200, "once")


def row(budget, used: int, held: int = 0, resets_at: int | None = None) -> BudgetStanding:
    left = budget.limit - used - held
    return BudgetStanding(budget, budget.limit, used, held, 0, left, resets_at)


def standing(now: int, *rows: BudgetStanding) -> Standing:
    return Standing(rows, {}, 1, now, 0, {})


@pytest.mark.parametrize(
    ("used", "held", "recent", "outlook", "in_hours"),
    [
        (0, 0, None, Outlook.LASTS, None),
        (0, 0, 0.0, Outlook.LASTS, None),
        (600, 0, None, Outlook.RESETS_FIRST, None),  # 50 an hour for half a day: exactly until midnight
        (612, 0, None, Outlook.RUNS_OUT, 588 / 51),
        (600, 200, None, Outlook.RUNS_OUT, 8),  # what is held is as good as used
        (120, 0, 0.0, Outlook.RESETS_FIRST, None),
        (120, 0, 540.0, Outlook.RUNS_OUT, 2),  # the recent pace is the faster one
        (600, 0, 1.0, Outlook.RESETS_FIRST, None),  # the average is the faster one
        (1_200, 0, 5.0, Outlook.USED_UP, None),
        (1_000, 200, None, Outlook.USED_UP, None),
    ],
)
def test_a_calendar_window_runs_out_at_the_faster_pace_unless_it_resets_first(used, held, recent, outlook, in_hours):
    told = forecast(row(CALENDAR, used, held, MIDNIGHT), NOON, None if recent is None else recent / HOUR)
    assert told.outlook is outlook
    ends = None if in_hours is None else NOON + in_hours * HOUR
    assert told.exhausted_at == (None if ends is None else pytest.approx(ends, abs=1))


def test_the_first_seconds_of_a_window_are_no_pace():
    begins = MIDNIGHT + 1
    told = forecast(row(CALENDAR, 10, 0, MIDNIGHT + DAY), begins, None)
    assert told.average == pytest.approx(10 / MINUTE)


@pytest.mark.parametrize(
    ("budget", "recent", "outlook"),
    [
        (ROLLING, None, Outlook.LASTS),
        (ROLLING, 10.0, Outlook.LASTS),  # 600 left last 60 hours: what is used now has left by then
        (ROLLING, 100.0, Outlook.RUNS_OUT),
        (CREDIT, None, Outlook.LASTS),
        (CREDIT, 10.0, Outlook.RUNS_OUT),
    ],
)
def test_what_slides_or_never_ends_is_reckoned_by_the_recent_pace_alone(budget, recent, outlook):
    told = forecast(row(budget, 600), NOON, None if recent is None else recent / HOUR)
    assert (told.outlook, told.average) == (outlook, None)
    if outlook is Outlook.RUNS_OUT:
        assert told.exhausted_at == pytest.approx(NOON + 600 / recent * HOUR, abs=1)


def test_the_recent_pace_is_measured_over_the_last_ten_minutes_of_the_same_window():
    paces = Paces()
    for minute in range(25):
        paces.take(standing(NOON + minute * MINUTE, row(CALENDAR, minute * minute, 0, MIDNIGHT)))
        paces.take(standing(NOON + minute * MINUTE + 1, row(CALENDAR, 10**6, 0, MIDNIGHT)))  # too soon after the last
    now = NOON + 24 * MINUTE
    assert paces.recent(row(CALENDAR, 24 * 24, 0, MIDNIGHT), now) == pytest.approx((24 * 24 - 14 * 14) / (10 * MINUTE))
    assert paces.recent(row(CALENDAR, 5, 0, MIDNIGHT + DAY), now) is None


def test_there_is_no_recent_pace_in_the_first_minute_nor_a_negative_one():
    paces = Paces()
    assert paces.recent(row(ROLLING, 50), NOON) is None
    paces.take(standing(NOON, row(ROLLING, 50)))
    assert paces.recent(row(ROLLING, 60), NOON + MINUTE - 1) is None
    assert paces.recent(row(ROLLING, 60), NOON + MINUTE) == pytest.approx(10 / MINUTE)
    assert paces.recent(row(ROLLING, 20), NOON + MINUTE) == 0.0


def test_rates_and_places_have_no_forecast():
    rates = [limit("a/b", "requests", 5, "minute"), limit("a/b", "concurrency", 5), limit("a/b", "tokens", 5, "second")]
    rows = [row(budget, 1) for budget in (*rates, CALENDAR, ROLLING, CREDIT)]
    assert [told.budget for told in forecasts(standing(NOON, *rows), Paces())] == [CALENDAR, ROLLING, CREDIT]
