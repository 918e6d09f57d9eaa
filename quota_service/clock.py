"""The ledger's one clock: milliseconds that never go back, not even over a restart (I10)."""

from meshkit.clock import Clock


class LedgerClock:
    """Reads a clock so that moments never go back.

    When the wall clock is behind the last moment told, time goes on at half its pace until the wall has caught up:
    holds still lapse and rolling windows still refill, never faster than they may.

    Args:
        clock: where time comes from.
        last: the last moment a store remembers, in milliseconds.
    """

    def __init__(self, clock: Clock, last: int = 0) -> None:
        self._clock = clock
        self._last = float(last)
        self._read_at = clock.monotonic()

    def now(self) -> int:
        """Return the moment, in milliseconds since 1970 UTC."""
        wall, monotonic = self._clock.now() * 1_000, self._clock.monotonic()
        slewed = self._last + max(0.0, monotonic - self._read_at) * 500
        self._last = max(wall, slewed)
        self._read_at = monotonic
        return int(self._last)

    def not_before(self, moment: int) -> None:
        """Never again tell a moment before this one."""
        self._last = max(self._last, float(moment))
