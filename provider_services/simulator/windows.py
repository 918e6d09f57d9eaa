"""Counts amounts in the windows vendors use, sliding or by the calendar; the caller says what time it is."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

SPAN_SECONDS = {"second": 1.0, "minute": 60.0, "day": 86_400.0, "month": 30 * 86_400.0}


@dataclass(slots=True)
class Charge:
    """An amount counted at a moment; it can be corrected while it still counts."""

    at: float
    amount: int
    counts: bool = True


class Window(Protocol):
    """A counter that forgets by a rule of its own."""

    def used(self, now: float) -> int:
        """Return what counts now."""

    def add(self, now: float, amount: int) -> Charge:
        """Count an amount from now on."""

    def correct(self, charge: Charge, amount: int) -> None:
        """Replace the amount of an earlier charge."""

    def empty_in(self, now: float) -> float:
        """Return the seconds until nothing counts any more."""

    def fits_in(self, now: float, room: int) -> float:
        """Return the seconds until no more than `room` counts."""


class Rolling:
    """Counts what happened in the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._charges: deque[Charge] = deque()
        self._used = 0

    def used(self, now: float) -> int:
        """Return what counts now."""
        edge = now - self._seconds
        charges = self._charges
        while charges and charges[0].at <= edge:
            gone = charges.popleft()
            gone.counts = False
            self._used -= gone.amount
        return self._used

    def add(self, now: float, amount: int) -> Charge:
        """Count an amount from now on."""
        charge = Charge(now, amount)
        self._charges.append(charge)
        self._used += amount
        return charge

    def correct(self, charge: Charge, amount: int) -> None:
        """Replace the amount of an earlier charge, unless it has left the window."""
        if charge.counts:
            self._used += amount - charge.amount
            charge.amount = amount

    def empty_in(self, now: float) -> float:
        """Return the seconds until the latest charge leaves."""
        if not self.used(now):
            return 0.0
        return self._charges[-1].at + self._seconds - now

    def fits_in(self, now: float, room: int) -> float:
        """Return the seconds until enough charges have left."""
        left = self.used(now)
        for charge in self._charges:
            if left <= room:
                return 0.0
            left -= charge.amount
            if left <= room:
                return charge.at + self._seconds - now
        return self._seconds if left > room else 0.0


class Calendar:
    """Counts what happened since the current period began."""

    def __init__(self, period_of: Callable[[float], tuple[float, float]]) -> None:
        self._period_of = period_of
        self._period = (0.0, 0.0)
        self._used = 0

    def used(self, now: float) -> int:
        """Return what counts now."""
        if not self._period[0] <= now < self._period[1]:
            self._period = self._period_of(now)
            self._used = 0
        return self._used

    def add(self, now: float, amount: int) -> Charge:
        """Count an amount in the current period."""
        self._used = self.used(now) + amount
        return Charge(now, amount)

    def correct(self, charge: Charge, amount: int) -> None:
        """Replace the amount of an earlier charge, unless its period is over."""
        if charge.at >= self._period[0]:
            self._used += amount - charge.amount
            charge.amount = amount

    def empty_in(self, now: float) -> float:
        """Return the seconds until the period ends."""
        self.used(now)
        return self._period[1] - now

    def fits_in(self, now: float, room: int) -> float:
        """Return the seconds until the period ends, or nothing when there is room."""
        return 0.0 if self.used(now) <= room else self.empty_in(now)


class Store:
    """Counts for ever: what is used up never comes back."""

    def __init__(self) -> None:
        self._used = 0

    def used(self, now: float) -> int:
        """Return what was ever counted."""
        return self._used

    def add(self, now: float, amount: int) -> Charge:
        """Count an amount for good."""
        self._used += amount
        return Charge(now, amount)

    def correct(self, charge: Charge, amount: int) -> None:
        """Replace the amount of an earlier charge."""
        self._used += amount - charge.amount
        charge.amount = amount

    def empty_in(self, now: float) -> float:
        """Return for ever, unless nothing was used."""
        return math.inf if self._used else 0.0

    def fits_in(self, now: float, room: int) -> float:
        """Return for ever, unless there is room."""
        return math.inf if self._used > room else 0.0


class Gate:
    """Counts what is inside at this moment: an amount leaves when its charge is corrected to nothing."""

    def __init__(self) -> None:
        self._inside = 0

    def used(self, now: float) -> int:
        """Return what is inside."""
        return self._inside

    def add(self, now: float, amount: int) -> Charge:
        """Let an amount in."""
        self._inside += amount
        return Charge(now, amount)

    def correct(self, charge: Charge, amount: int) -> None:
        """Replace the amount of an earlier charge."""
        self._inside += amount - charge.amount
        charge.amount = amount

    def empty_in(self, now: float) -> float:
        """Return a guess: nobody knows when the last one leaves."""
        return 1.0 if self.used(now) else 0.0

    def fits_in(self, now: float, room: int) -> float:
        """Return a guess: nobody knows when the next one leaves."""
        return 1.0 if self.used(now) > room else 0.0


def _day(zone: tzinfo) -> Callable[[float], tuple[float, float]]:
    def period(now: float) -> tuple[float, float]:
        start = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
        end = (start + timedelta(days=1)).replace(hour=0)
        return start.timestamp(), end.timestamp()

    return period


def _month(zone: tzinfo) -> Callable[[float], tuple[float, float]]:
    def period(now: float) -> tuple[float, float]:
        moment = datetime.fromtimestamp(now, zone)
        start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = (start + timedelta(days=32)).replace(day=1)
        return start.timestamp(), end.timestamp()

    return period


def _minute(now: float) -> tuple[float, float]:
    start = now - now % 60
    return start, start + 60


def open_window(per: str, resets: str | None) -> Window:
    """Open an empty window; without a reset rule seconds, minutes and days slide and months follow UTC."""
    if per == "once":
        return Store()
    rule = resets or ("utc" if per == "month" else "rolling")
    if rule == "rolling":
        return Rolling(SPAN_SECONDS[per])
    if per == "minute":
        return Calendar(_minute)
    zone: tzinfo = UTC if rule == "utc" else ZoneInfo("America/Los_Angeles")
    return Calendar(_day(zone) if per == "day" else _month(zone))
