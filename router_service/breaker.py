"""Opens when its subject keeps failing, lets one probe through after a while, closes when the probe succeeds."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum


class State(StrEnum):
    """Where a breaker stands; the last two are an operator's word."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"


FORCED = frozenset({State.FORCED_OPEN, State.FORCED_CLOSED})


class Gate(Enum):
    """What a breaker has to say to a call.

    PASS: it goes out. PROBE: it goes out as the probe. WAIT: not now, for the subject has just recovered; as a last
    resort it goes out. LAST: it may be a probe before its time, as a last resort. SHUT: not at all.
    """

    PASS = 0
    PROBE = 1
    WAIT = 2
    LAST = 3
    SHUT = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """When a breaker opens and for how long; times in seconds.

    It opens after `failures_in_a_row`, or when at least `failure_share` of the last `window` seconds' calls failed and
    there were `least_calls` of them. Each further opening lasts twice as long, up to `longest_open`, with ±20 % jitter:
    whoever is well again is used again within half a minute. Probes before their time are `least_apart`. When it has
    closed, `first_room` calls may be under way at once, one more with each success, any number once there were
    `warm_after` successes.
    """

    failures_in_a_row: int = 5
    failure_share: float = 0.5
    least_calls: int = 10
    window: float = 30.0
    first_open: float = 5.0
    longest_open: float = 24.0
    least_apart: float = 1.0
    first_room: int = 2
    warm_after: int = 30


class Breaker:
    """The breaker of one subject. `now` is monotonic seconds; `jitter()` gives numbers from 0 to 1."""

    def __init__(self, settings: Settings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._calls: deque[tuple[float, bool]] = deque(maxlen=200)
        self._in_a_row = 0
        self._openings = 0
        self._probing = False
        self._probed_at = float("-inf")
        self._under_way = 0
        self._recovered: int | None = None
        self._forced: State | None = None
        self._own = State.CLOSED
        self.probe_at = 0.0

    @property
    def state(self) -> State:
        """Return where it stands."""
        return self._forced or self._own

    def gate(self, now: float) -> Gate:
        """Say what may go out now."""
        if self._forced is not None:
            return Gate.SHUT if self._forced is State.FORCED_OPEN else Gate.PASS
        if self._own is State.CLOSED:
            return Gate.PASS if self._has_room() else Gate.WAIT
        if self._probing:
            return Gate.SHUT
        if now >= self.probe_at:
            return Gate.PROBE
        return Gate.LAST if now >= self._probed_at + self._settings.least_apart else Gate.SHUT

    def admits(self, now: float) -> bool:
        """Say whether a call may go out that has others to fall back on."""
        return self.gate(now) in (Gate.PASS, Gate.PROBE)

    def claim(self, now: float, *, last_resort: bool = False) -> bool:
        """Make a call that is about to go out the probe, if it may be; no other one is until its end is recorded."""
        if self.gate(now) is not Gate.PROBE and not (last_resort and self.gate(now) is Gate.LAST):
            return False
        self._own, self._probing, self._probed_at = State.HALF_OPEN, True, now
        return True

    def enter(self) -> None:
        """A call goes out."""
        self._under_way += 1

    def refuse(self, now: float, seconds: float) -> None:
        """Take the claim back: somebody else is probing, and will perhaps be done in so long."""
        self._probing = False
        self.probe_at = max(self.probe_at, now + seconds * (1.0 + self._jitter()))

    def record(self, succeeded: bool | None, now: float, *, probe: bool) -> None:
        """A call ended.

        Args:
            succeeded: None when it says nothing of the subject (the caller went away).
            now: when it ended.
            probe: whether it was claimed. Calls that began before the breaker opened decide nothing any more.
        """
        self._under_way = max(0, self._under_way - 1)
        if probe:
            self._probing = False
        if succeeded is None:
            return
        if self._own is not State.CLOSED:
            if probe:
                self._close() if succeeded else self._open(now)
            return
        self._calls.append((now, succeeded))
        self._in_a_row = 0 if succeeded else self._in_a_row + 1
        if not succeeded and self._too_many(now):
            self._open(now)
        elif succeeded:
            self._openings = max(0, self._openings - 1)
            self._warm_up()

    def heard_open(self, probe_at: float, now: float) -> None:
        """Another router has opened it, until then."""
        if self._own is State.CLOSED:
            self._openings += 1
        if self._own is State.CLOSED or probe_at > self.probe_at:
            self._own = State.HALF_OPEN if self._probing else State.OPEN
            # Not all at the same moment: who asks first gets the probe, who asks later need not.
            self.probe_at = max(now, probe_at)

    def heard_closed(self) -> None:
        """Another router's probe has succeeded."""
        if self._own is not State.CLOSED:
            self._close()

    def force(self, state: State | None, now: float) -> None:
        """Let an operator decide, or with None itself again: by a probe if calls were refused."""
        if state is None and self._forced is State.FORCED_OPEN:
            self._own, self.probe_at, self._probing = State.OPEN, now, False
        elif state is None and self._forced is State.FORCED_CLOSED:
            self._close()
        self._forced = state

    def reset(self) -> None:
        """Forget every failure, and what an operator has forced."""
        self._close()
        self._openings, self._recovered, self._forced, self._probing = 0, None, None, False

    def _has_room(self) -> bool:
        return self._recovered is None or self._under_way < self._settings.first_room + self._recovered

    def _warm_up(self) -> None:
        if self._recovered is not None:
            self._recovered = self._recovered + 1 if self._recovered < self._settings.warm_after else None

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
        self._own = State.OPEN
        self.probe_at = now + length * (0.8 + 0.4 * self._jitter())

    def _close(self) -> None:
        self._own = State.CLOSED
        self._calls.clear()
        self._in_a_row = 0
        self._recovered = 0
