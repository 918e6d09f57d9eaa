"""Enforces one vendor's quotas on itself: which windows a request is charged to and which limit refuses it."""

import math
from dataclasses import dataclass

from provider_services.simulator.rows import LimitRow
from provider_services.simulator.windows import Charge, Gate, Window, open_window


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a quota counts: an account and the model it asked for."""

    account: str
    model: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One charge of one request, and where it was counted."""

    unit: str
    window: Window
    charge: Charge


@dataclass(frozen=True, slots=True)
class Denial:
    """The limit that refused a request, what it had counted and when it would have room."""

    limit: LimitRow
    used: int
    requested: int
    retry_after: float

    @property
    def too_large(self) -> bool:
        """Tell whether the request alone is more than the limit allows."""
        return self.limit.unit == "tokens" and self.requested > self.limit.amount

    @property
    def wait(self) -> float | None:
        """Return the seconds until there is room; nothing when there will never be."""
        return None if math.isinf(self.retry_after) else self.retry_after


@dataclass(frozen=True, slots=True)
class Gauge:
    """What a rate header tells about one window."""

    limit: int
    remaining: int
    reset_s: float


class Quotas:
    """The windows behind a list of limits."""

    def __init__(self, limits: tuple[LimitRow, ...]) -> None:
        self.limits = limits
        self._windows: dict[tuple[str, ...], Window] = {}

    def deny(self, subject: Subject, tokens: int, now: float) -> Denial | None:
        """Name the limit with the longest wait among those without room, or nobody."""
        worst: Denial | None = None
        for limit in self.limits:
            if not limit.covers(subject.model):
                continue
            window = self._window(limit, subject)
            requested = tokens if limit.unit == "tokens" else 1
            room = limit.amount - requested
            used = window.used(now)
            if used <= room:
                continue
            wait = window.fits_in(now, room) if room >= 0 else window.empty_in(now)
            if worst is None or wait > worst.retry_after:
                worst = Denial(limit, used, requested, wait)
        return worst

    def charge(self, subject: Subject, tokens: int, now: float) -> tuple[Entry, ...]:
        """Count an admitted request in every window that covers it, once per window."""
        entries: dict[int, Entry] = {}
        for limit in self.limits:
            window = self._window(limit, subject)
            if limit.covers(subject.model) and id(window) not in entries:
                amount = tokens if limit.unit == "tokens" else 1
                entries[id(window)] = Entry(limit.unit, window, window.add(now, amount))
        return tuple(entries.values())

    def gauge(self, subject: Subject, unit: str, per: str, now: float) -> Gauge | None:
        """Tell the tightest limit of a unit and period, or nothing when there is none."""
        tightest: Gauge | None = None
        for limit in self.limits:
            if limit.unit != unit or limit.per != per or not limit.covers(subject.model):
                continue
            window = self._window(limit, subject)
            remaining = max(0, limit.amount - window.used(now))
            if tightest is None or remaining < tightest.remaining:
                tightest = Gauge(limit.amount, remaining, window.empty_in(now))
        return tightest

    def _window(self, limit: LimitRow, subject: Subject) -> Window:
        counted = (subject.model,) if limit.scope == "model" else ("*", *limit.models)
        key = (limit.unit, limit.per, limit.resets or "", subject.account, *counted)
        window = self._windows.get(key)
        if window is None:
            concurrent = limit.unit == "concurrency"
            window = self._windows[key] = Gate() if concurrent else open_window(limit.per, limit.resets)
        return window


def settle(entries: tuple[Entry, ...], tokens: int) -> None:
    """End the charges of a request: tokens become what they really were and its place becomes free."""
    for entry in entries:
        if entry.unit == "tokens":
            entry.window.correct(entry.charge, tokens)
        elif entry.unit == "concurrency":
            entry.window.correct(entry.charge, 0)
