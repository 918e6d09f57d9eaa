"""Tells the simulator's time, which can be moved forward so that windows pass without waiting."""

from collections.abc import Callable


class ShiftedClock:
    """Another clock, some seconds ahead; seconds since the epoch."""

    def __init__(self, below: Callable[[], float]) -> None:
        self._below = below
        self._ahead = 0.0

    def __call__(self) -> float:
        """Return the simulator's now."""
        return self._below() + self._ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._ahead += seconds
