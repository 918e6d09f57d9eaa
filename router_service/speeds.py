"""Measures how soon offers begin to answer: the peaks count at once, what is quicker only by and by."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import exp

from meshkit.clock import Clock
from router_service.attempt import Attempt

# Seconds after which a measurement counts for a third: who was slow is tried again in a while.
MEMORY = 60.0
# Seconds that an offer nobody has measured is expected to take while its first call is under way.
UNMEASURED = 60.0


@dataclass(slots=True)
class _Peak:
    seconds: float = 0.0
    at: float = 0.0


class Speeds:
    """The peak-weighted mean of each offer's seconds to its first piece, with the calls that are under way.

    Streams are measured apart from whole answers, whose first piece is all of it.
    """

    def __init__(self) -> None:
        self._peaks: dict[tuple[bool, str], _Peak] = {}
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def following(self, attempt: Attempt, clock: Clock, *, streamed: bool) -> Iterator[None]:
        """Count a call while it is under way, and learn from it when it is over."""
        offer = attempt.offer_text
        self._under_way[offer] += 1
        answered = False
        try:
            yield
            answered = attempt.ended is not None
        finally:
            self._under_way[offer] -= 1
            began, now = attempt.began, clock.monotonic()
            if attempt.first_token_at is not None or answered:
                self.observe(offer, (attempt.first_token_at or now) - began, now, streamed=streamed)
            elif now - began > self._seconds(offer, now, streamed=streamed) > 0:
                # It has not begun yet and took longer than usual: a fault, or a caller who went away, tells no more.
                self.observe(offer, now - began, now, streamed=streamed)

    def observe(self, offer: str, seconds: float, now: float, *, streamed: bool) -> None:
        """Add a measurement."""
        known = self._peaks.setdefault((streamed, offer), _Peak())
        share = exp((known.at - now) / MEMORY)
        seconds = max(seconds, 1e-6)
        known.seconds = seconds if seconds > known.seconds * share else known.seconds * share + seconds * (1 - share)
        known.at = now

    def wait(self, now: float, *, streamed: bool) -> Callable[[str], float]:
        """Return what tells how many seconds an offer is expected to take to begin now; 0 while nobody knows."""

        def seconds(offer: str) -> float:
            known, under_way = self._seconds(offer, now, streamed=streamed), self._under_way[offer]
            return known * (under_way + 1) if known else UNMEASURED * under_way

        return seconds

    def _seconds(self, offer: str, now: float, *, streamed: bool) -> float:
        known = self._peaks.get((streamed, offer))
        return 0.0 if known is None else known.seconds * exp((known.at - now) / MEMORY)
