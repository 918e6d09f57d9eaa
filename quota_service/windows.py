"""Turns a window and a moment into the keys to charge: pure arithmetic over UTC milliseconds (I8, I9).

Every moment in this room is an int of milliseconds since 1970 UTC. A key is the start of its span; spans of one
calendar window follow one another without gap or overlap, whatever the zone does.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from catalog.window import Window

SECOND = 1_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# How far a vendor's clock and the way to it may differ from ours.
GUARD = 2 * SECOND
# The last moment of year 9998: "never", and still a valid timestamp.
FOREVER = 253_370_764_799_000
# Shortest cell of a sliding window; a window of a second is then at most 20 % too cautious.
SHORTEST_CELL = 100
CELLS = 60


@dataclass(frozen=True, slots=True)
class Span:
    """One key of a window: it is charged from `start` until `end` and weighs on admission until `counts_until`."""

    start: int
    end: int
    counts_until: int


ETERNITY = Span(0, FOREVER, FOREVER)


def span_at(window: Window, now: int, not_before: int = 0, guard: int = 0) -> Span:
    """Return the span a charge at `now` belongs to; that of a calendar weighs on for `guard`.

    `not_before` is the end of the span charged last: when zone data or a reset hour changed in between, the new span
    begins there and nothing is counted twice or forgotten (I9).
    """
    if window.kind == "sliding":
        return _cell(window.seconds, now)
    if window.kind == "calendar":
        start, end = _CALENDARS[window.per](window, now)
        return Span(max(start, not_before), end, end + guard)
    return ETERNITY


def neighbour_of(span: Span, window: Window, now: int, guard: int) -> Span | None:
    """Return the other span to charge at `now`, within `guard` of the edge of a calendar span; None elsewhere (I9)."""
    if now >= span.end - guard:
        return span_at(window, span.end, span.end, guard)
    if now < span.start + guard:
        before = span_at(window, span.start - 1, guard=guard)
        return Span(before.start, span.start, span.start + guard)
    return None


def cell_length(seconds: int) -> int:
    """Return how long a cell of a sliding window of so many seconds is, in milliseconds."""
    return max(SHORTEST_CELL, seconds * SECOND // CELLS)


def sliding_guard(seconds: int) -> int:
    """Return how much longer than its window a cell weighs: the guard, but at most a tenth of a short window."""
    return min(GUARD, seconds * SECOND // 10)


def _cell(seconds: int, now: int) -> Span:
    """Return the cell around `now`; it weighs until its last moment has left the window, and the guard longer."""
    length = cell_length(seconds)
    start = now // length * length
    end = start + length
    return Span(start, end, end + seconds * SECOND + sliding_guard(seconds))


def _hour(window: Window, now: int) -> tuple[int, int]:
    """Return the hour of the zone's wall clock around `now`; a change of offset begins a new one."""
    zone = _zone(window.zone)
    offset = _offset(zone, now)
    start = (now + offset) // HOUR * HOUR - offset
    end = start + HOUR
    if _offset(zone, start) != offset:
        start = _change_of_offset(zone, start, now)
    if _offset(zone, end - 1) != offset:
        end = _change_of_offset(zone, now, end - 1)
    return start, end


def _day(window: Window, now: int) -> tuple[int, int]:
    """Return the day of the zone around `now`, from its reset hour to the next."""
    today = _local(window.zone, now).date()
    return _between(window, now, [today + timedelta(days=step) for step in range(-2, 4)])


def _month(window: Window, now: int) -> tuple[int, int]:
    """Return the month of the zone around `now`, from the reset hour of its first day to that of the next."""
    first = _local(window.zone, now).date().replace(day=1)
    before = (first - timedelta(days=1)).replace(day=1)
    after = first + timedelta(days=calendar.monthrange(first.year, first.month)[1])
    return _between(window, now, [before, first, after])


_CALENDARS = {"hour": _hour, "day": _day, "month": _month}


def _between(window: Window, now: int, days: list[date]) -> tuple[int, int]:
    """Return the last reset at or before `now` and the first one after it, among those of the days."""
    resets = [_reset(window, day) for day in days]
    return max(moment for moment in resets if moment <= now), min(moment for moment in resets if moment > now)


def _reset(window: Window, day: date) -> int:
    """Return when the window resets on a date of its zone.

    A wall time the zone skips is the moment of the jump; of one that comes twice the first is meant (PEP 495, fold 0).
    """
    wall = datetime(day.year, day.month, day.day, window.reset_hour, tzinfo=_zone(window.zone))
    return round(wall.timestamp()) * SECOND


def _local(zone: str, now: int) -> datetime:
    return datetime.fromtimestamp(now // SECOND, _zone(zone))


def _offset(zone: ZoneInfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment // SECOND, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * SECOND


def _change_of_offset(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first whole second in (low, high] whose offset is that of `high`."""
    wanted = _offset(zone, high)
    low, high = low // SECOND, high // SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * SECOND) == wanted:
            high = middle
        else:
            low = middle
    return high * SECOND


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def day_start(day: date) -> int:
    """Return when a day begins in UTC."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def utc_day(moment: int) -> str:
    """Return the UTC date of a moment as YYYY-MM-DD."""
    return _utc_day(moment // DAY)


@lru_cache(64)
def _utc_day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY // SECOND, UTC).strftime("%Y-%m-%d")
