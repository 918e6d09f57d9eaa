"""I8, I9: windows partition time, in every zone, whatever its clocks do."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.window import Window, parse_window
from quota_service.windows import (
    DAY,
    ETERNITY,
    GUARD,
    HOUR,
    cell_length,
    neighbour_of,
    sliding_guard,
    span_at,
    utc_day,
)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def told(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


CALENDAR = [
    # an ordinary day, and its edges
    ("day", "2026-11-20T12:00:00", "2026-11-20T00:00:00", "2026-11-21T00:00:00"),
    ("day", "2026-11-20T00:00:00", "2026-11-20T00:00:00", "2026-11-21T00:00:00"),
    ("day", "2026-11-20T23:59:59", "2026-11-20T00:00:00", "2026-11-21T00:00:00"),
    ("day at 9", "2026-11-20T08:59:59", "2026-11-19T09:00:00", "2026-11-20T09:00:00"),
    ("day at 9", "2026-11-20T09:00:00", "2026-11-20T09:00:00", "2026-11-21T09:00:00"),
    # Pacific midnight in winter and in summer
    ("day America/Los_Angeles", "2026-01-15T07:59:59", "2026-01-14T08:00:00", "2026-01-15T08:00:00"),
    ("day America/Los_Angeles", "2026-07-15T07:00:00", "2026-07-15T07:00:00", "2026-07-16T07:00:00"),
    # 23 and 25 hours: Paris on 29 March and 25 October 2026, Los Angeles on 8 March and 1 November 2026
    ("day Europe/Paris", "2026-03-29T12:00:00", "2026-03-28T23:00:00", "2026-03-29T22:00:00"),
    ("day Europe/Paris", "2026-10-25T12:00:00", "2026-10-24T22:00:00", "2026-10-25T23:00:00"),
    ("day America/Los_Angeles", "2026-03-08T20:00:00", "2026-03-08T08:00:00", "2026-03-09T07:00:00"),
    ("day America/Los_Angeles", "2026-11-01T20:00:00", "2026-11-01T07:00:00", "2026-11-02T08:00:00"),
    # a reset hour the zone skips is the moment of the jump; of one that comes twice the first is meant
    ("day Europe/Paris at 2", "2026-03-29T12:00:00", "2026-03-29T01:00:00", "2026-03-30T00:00:00"),
    ("day Europe/Paris at 2", "2026-10-25T12:00:00", "2026-10-25T00:00:00", "2026-10-26T01:00:00"),
    # month ends, the leap day, the year's end
    ("month", "2026-01-31T23:59:59", "2026-01-01T00:00:00", "2026-02-01T00:00:00"),
    ("month", "2028-02-29T12:00:00", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ("month", "2026-12-31T12:00:00", "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ("month America/Los_Angeles", "2026-12-01T07:59:59", "2026-11-01T07:00:00", "2026-12-01T08:00:00"),
    ("month at 5", "2026-03-01T04:59:59", "2026-02-01T05:00:00", "2026-03-01T05:00:00"),
    ("day", "2028-02-29T12:00:00", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
    # a day the zone never had: Samoa went from 29 to 31 December 2011
    ("day Pacific/Apia", "2011-12-30T09:59:59", "2011-12-29T10:00:00", "2011-12-30T10:00:00"),
    ("day Pacific/Apia", "2011-12-30T10:00:00", "2011-12-30T10:00:00", "2011-12-31T10:00:00"),
    # hours: of a zone off by half an hour; the repeated one is two; a jump of half an hour cuts one
    ("hour", "2026-11-20T12:34:56", "2026-11-20T12:00:00", "2026-11-20T13:00:00"),
    ("hour Asia/Kolkata", "2026-11-20T12:34:56", "2026-11-20T12:30:00", "2026-11-20T13:30:00"),
    ("hour Europe/Paris", "2026-10-25T00:30:00", "2026-10-25T00:00:00", "2026-10-25T01:00:00"),
    ("hour Europe/Paris", "2026-10-25T01:30:00", "2026-10-25T01:00:00", "2026-10-25T02:00:00"),
    ("hour Australia/Lord_Howe", "2026-10-03T15:15:00", "2026-10-03T14:30:00", "2026-10-03T15:30:00"),
    ("hour Australia/Lord_Howe", "2026-10-03T15:45:00", "2026-10-03T15:30:00", "2026-10-03T16:00:00"),
]


@pytest.mark.parametrize(("window", "moment", "start", "end"), CALENDAR)
def test_a_calendar_window_begins_and_ends_where_the_zone_says(window, moment, start, end):
    span = span_at(parse_window(window), at(moment))
    assert (told(span.start), told(span.end)) == (start, end)
    assert span.counts_until == span.end


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Paris", "2026-03-29", 23),
        ("Europe/Paris", "2026-10-25", 25),
        ("America/Los_Angeles", "2026-03-08", 23),
        ("America/Los_Angeles", "2026-11-01", 25),
        ("America/Los_Angeles", "2026-11-02", 24),
    ],
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(zone, day, hours):
    span = span_at(Window("calendar", per="day", zone=zone), at(f"{day}T18:00:00"))
    assert span.end - span.start == hours * HOUR


ZONES = st.sampled_from(
    [
        "UTC",
        "Europe/Paris",
        "America/Los_Angeles",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Pacific/Apia",
        "Africa/Cairo",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    per=st.sampled_from(["hour", "day", "month"]),
    zone=ZONES,
    reset_hour=st.integers(0, 23),
    moment=st.integers(at("2010-01-01T00:00:00"), at("2037-12-31T00:00:00")),
)
def test_windows_partition_time_in_every_zone(per, zone, reset_hour, moment):
    window = Window("calendar", per=per, zone=zone, reset_hour=reset_hour)
    span = span_at(window, moment)
    assert span.start <= moment < span.end
    assert span_at(window, span.start) == span
    assert span_at(window, span.end - 1) == span
    assert span_at(window, span.end).start == span.end
    assert span_at(window, span.start - 1).end == span.start


@pytest.mark.parametrize(
    ("seconds", "cell", "guard"), [(1, 100, 100), (10, 166, 1_000), (60, 1_000, GUARD), (86_400, 1_440_000, GUARD)]
)
def test_a_rolling_window_has_sixty_cells_and_counts_each_until_its_last_moment_has_left(seconds, cell, guard):
    assert (cell_length(seconds), sliding_guard(seconds)) == (cell, guard)
    now = at("2026-11-20T12:00:00") + 777
    span = span_at(Window("sliding", seconds=seconds), now)
    assert span.start <= now < span.end
    assert span.end - span.start == cell
    assert span.counts_until - span.end == seconds * 1_000 + guard


def test_within_the_guard_of_an_edge_the_window_on_its_other_side_is_charged_too():
    day = Window("calendar", per="day")
    midnight = at("2026-11-21T00:00:00")
    today, tomorrow = (span_at(day, moment, guard=GUARD) for moment in (midnight - 1, midnight))
    assert today.counts_until == midnight + GUARD
    assert neighbour_of(today, day, midnight - GUARD - 1, GUARD) is None
    assert neighbour_of(today, day, midnight - GUARD, GUARD) == tomorrow
    assert neighbour_of(today, day, midnight - 1, GUARD) == tomorrow
    assert neighbour_of(tomorrow, day, midnight, GUARD) == today
    assert neighbour_of(tomorrow, day, midnight + GUARD - 1, GUARD) == today
    assert neighbour_of(tomorrow, day, midnight + GUARD, GUARD) is None
    assert neighbour_of(today, day, midnight - 1, 0) is None


def test_one_off_and_concurrency_have_one_eternal_key():
    assert span_at(Window("once"), 5) == span_at(Window("now"), 9**15) == ETERNITY


def test_a_window_never_begins_before_the_one_charged_last_has_ended():
    day = Window("calendar", per="day")
    noon = at("2026-11-20T12:00:00")
    span = span_at(day, noon, not_before=noon - HOUR)
    assert (span.start, span.end) == (noon - HOUR, at("2026-11-21T00:00:00"))
    assert span_at(day, noon + DAY, not_before=noon - HOUR).start == at("2026-11-21T00:00:00")


def test_spend_is_kept_by_utc_day():
    assert utc_day(at("2026-11-20T23:59:59")) == "2026-11-20"
