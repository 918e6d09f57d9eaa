"""Opens when an endpoint keeps failing, lets one probe through after a while, closes when the probe succeeds."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Settings:
    """When a breaker opens and for how long; times in seconds.

    It opens after `failures_in_a_row`, or when at least `failure_share` of the last `window` seconds' calls failed and
    there were `least_calls` of them. Each further opening lasts twice as long, up to `longest_open`, with ±20 % jitter.
    """

    failures_in_a_row: int = 5
    failure_share: float = 0.5
    least_calls: int = 10
    window: float = 30.0
    first_open: float = 5.0
    longest_open: float = 120.0


class Breaker:
    """The breaker of one subject. `now` is monotonic seconds; `jitter()` gives numbers from 0 to 1."""

    def __init__(self, settings: Settings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._calls: deque[tuple[float, bool]] = deque(maxlen=200)
        self._in_a_row = 0
        self._openings = 0
        self._probing = False
        self.state = State.CLOSED
        self.probe_at = 0.0

    def admits(self, now: float) -> bool:
        """Say whether a call may go out: always when closed; one probe at a time once the open time is over."""
        if self.state is State.CLOSED:
            return True
        return now >= self.probe_at and not self._probing

    def enter(self, now: float) -> bool:
        """A call goes out; return whether it is the probe."""
        if self.state is State.CLOSED or not self.admits(now):
            return False
        self.state = State.HALF_OPEN
        self._probing = True
        return True

    def record(self, succeeded: bool | None, now: float, *, probe: bool) -> None:
        """A call ended.

        Args:
            succeeded: None when it says nothing of the endpoint (the caller went away).
            now: when it ended.
            probe: what `enter` said of it. Calls that began before the breaker opened decide nothing any more.
        """
        if probe:
            self._probing = False
        if succeeded is None:
            return
        if self.state is not State.CLOSED:
            if probe:
                self._close() if succeeded else self._open(now)
            return
        self._calls.append((now, succeeded))
        self._in_a_row = 0 if succeeded else self._in_a_row + 1
        if not succeeded and self._too_many(now):
            self._open(now)
        elif succeeded and self._openings:
            self._openings -= 1

    def _too_many(self, now: float) -> bool:
        if self._in_a_row >= self._settings.failures_in_a_row:
            return True
        recent = [ok for at, ok in self._calls if at > now - self._settings.window]
        failed = recent.count(False)
        return len(recent) >= self._settings.least_calls and failed >= self._settings.failure_share * len(recent)

    def _open(self, now: float) -> None:
        length = self._settings.first_open * 2**self._openings
        if length < self._settings.longest_open:
            self._openings += 1  # no further: an outage of days must not outgrow a float
        length = min(length, self._settings.longest_open)
        self.state = State.OPEN
        self.probe_at = now + length * (0.8 + 0.4 * self._jitter())

    def _close(self) -> None:
        self.state = State.CLOSED
        self._calls.clear()
        self._in_a_row = 0
