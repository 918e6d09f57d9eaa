"""What the ledger remembers for a while, so that a repeated operation finds it: ended holds, fresh denials (I6)."""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush

from quota_service.holds import Hold, State
from quota_service.operations import Denied
from quota_service.windows import SECOND

DENIAL_MEMORY = SECOND
EIGHTH = SECOND // 8


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended holds are remembered, in milliseconds, and how many of each kind at most.

    Each takes a little more than a kilobyte of memory. Beyond the bound only an operation repeated after as many others
    is refused instead of answered as before; routers repeat themselves for seconds.
    """

    ended: int = 900 * SECOND
    lapsed: int = 86_400 * SECOND
    most: int = 15_000


class EndedHolds:
    """Holds in the order they ended; lapsed ones are kept longer, for their settle may still come."""

    def __init__(self, retention: Retention) -> None:
        self._most = retention.most
        self._ended: deque[Hold] = deque()
        self._lapsed: deque[Hold] = deque()
        self._queues = ((self._ended, retention.ended), (self._lapsed, retention.lapsed))

    def add(self, hold: Hold) -> None:
        """Remember a hold that has ended."""
        queue = self._lapsed if hold.state in (State.LAPSED, State.CORRECTED) else self._ended
        queue.append(hold)

    def outlived(self, now: int, at_most: int) -> list[Hold]:
        """Take out up to so many of each kind whose time is over, and the oldest ones beyond the bound."""
        gone: list[Hold] = []
        for queue, keep in self._queues:
            last, beyond = now - keep, len(queue) - self._most
            for number in range(min(at_most, len(queue))):
                if queue[0].ended > last and number >= beyond:
                    break
                gone.append(queue.popleft())
        return gone


class Deadlines:
    """When open holds lapse. They are kept by eighths of a second, so that one that ends is taken out at once."""

    def __init__(self) -> None:
        self._open: dict[int, dict[str, int]] = {}
        self._order: list[int] = []

    def add(self, hold: Hold) -> None:
        """Expect a hold to lapse when it expires."""
        part = hold.expires // EIGHTH
        known = self._open.get(part)
        if known is None:
            known = self._open[part] = {}
            heappush(self._order, part)
        known[hold.attempt_id] = hold.expires

    def remove(self, hold: Hold) -> None:
        """Expect it no longer: it has ended, or is about to expire at another time."""
        self._open.get(hold.expires // EIGHTH, {}).pop(hold.attempt_id, None)

    def soonest(self) -> int | None:
        """Return when the next hold lapses, None when none is open."""
        while self._order:
            known = self._open[self._order[0]]
            if known:
                return min(known.values())
            del self._open[heappop(self._order)]
        return None

    def take_due(self, now: int) -> list[str]:
        """Take out the holds whose time is over, in the order of their ends."""
        over: list[tuple[int, str]] = []
        while self._order and self._order[0] <= now // EIGHTH:
            part = self._order[0]
            known = self._open[part]
            over += [(expires, attempt_id) for attempt_id, expires in known.items() if expires <= now]
            if part == now // EIGHTH:
                break
            del self._open[heappop(self._order)]
        return [attempt_id for _, attempt_id in sorted(over)]


class RecentDenials:
    """Denials of the last second: a repeated reserve is told the same, a different one is decided afresh."""

    def __init__(self) -> None:
        self._denied: dict[str, tuple[int, int, Denied]] = {}

    def add(self, attempt_id: str, mark: int, denied: Denied, now: int) -> None:
        """Remember a denial, but not longer than until asking again makes sense."""
        again = (denial.retry_after for denial in denied.denials if denial.retry_after is not None)
        until = now + min(DENIAL_MEMORY, min(again, default=DENIAL_MEMORY))
        self._denied[attempt_id] = (until, mark, denied)

    def find(self, attempt_id: str, mark: int, now: int) -> Denied | None:
        """Return what the same reserve was told just now."""
        until, known, denied = self._denied.get(attempt_id, (0, 0, None))
        return denied if until > now and known == mark else None

    def until(self, attempt_id: str, mark: int) -> int:
        """Return until when the same reserve is told the same; 0 when it was not denied."""
        until, known, _ = self._denied.get(attempt_id, (0, 0, None))
        return until if known == mark else 0

    def forget(self, now: int) -> None:
        """Forget the oldest ones whose time is over."""
        while self._denied:
            oldest = next(iter(self._denied))
            if self._denied[oldest][0] > now:
                return
            del self._denied[oldest]
