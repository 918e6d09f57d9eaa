"""Callers who would rather wait than be denied: first come first tried, and how long each still waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quota_service import rules
from quota_service.budgets import UNITS, parts
from quota_service.jobs import Task
from quota_service.operations import NOBODY, Reserve, Waiting

# Beyond this many a patient reserve is answered at once: each takes two kilobytes here, and more in its call.
MOST_PARKED = 10_000


@dataclass(slots=True)
class Parked:
    """One waiting reserve; moments are seconds of the monotonic clock, `limiting` the budgets it waits for.

    `wanted` is how much it waits for of those that only small reserves would find room on for ever (I16).
    """

    task: Task
    reserve: Reserve
    deadline: float
    due: float
    limiting: frozenset[str]
    wanted: Mapping[str, int]


class ParkingLot:
    """Waiting reserves in the order of their arrival.

    Of those who wait for a call to end, one for each call that ends is tried, not all: everybody takes one place, so
    when there is none for the first there is none for those behind. Whoever is tried passes the budget on when it no
    longer waits for it.

    What the first in line waits for is kept from all others, parked or new: else small reserves would take what a
    large one waits for as often as it is freed. Its patience is the bound. Places are passed on one by one.
    """

    def __init__(self, most: int = MOST_PARKED) -> None:
        self._parked: dict[Task, Parked] = {}
        self._passed_on: set[str] = set()
        self._wanting = 0
        self._most = most

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, task: Task, waiting: Waiting, wait: float, now: float) -> bool:
        """Let a reserve wait; one that waits already keeps its place. False when there is no more room.

        Args:
            task: the reserve; its patience counts from its first parking.
            waiting: what it waits for.
            wait: seconds until it would fit if nothing else happened.
            now: monotonic seconds.
        """
        known = self._parked.get(task)
        if known is None:
            if len(self._parked) >= self._most or not isinstance(task.operation, Reserve):
                return False
            reserve = task.operation
            known = self._parked[task] = Parked(task, reserve, now + reserve.patience / 1_000, 0.0, frozenset(), NOBODY)
        known.due = min(now + wait, known.deadline)
        limiting = frozenset(denial.budget for denial in waiting.denials)
        self._passed_on |= known.limiting - limiting
        known.limiting = limiting
        wanted = _wanted(known.reserve, waiting)
        self._wanting += bool(wanted) - bool(known.wanted)
        known.wanted = wanted
        return True

    def leave(self, task: Task) -> None:
        """Forget a reserve that was answered or abandoned."""
        known = self._parked.pop(task, None)
        if known is not None:
            self._passed_on |= known.limiting
            self._wanting -= bool(known.wanted)

    def to_retry(self, freed: frozenset[str] | None, now: float) -> Iterator[Task]:
        """Return, in order, the reserves worth trying again, with the patience they have left.

        `freed` names the budgets that have more room than before; None when it may be any.
        """
        if freed is None:
            freed = frozenset().union(*(parked.limiting for parked in self._parked.values()))
        freed = freed.union(self._passed_on)
        self._passed_on = set()
        tried: set[str] = set()
        kept: Mapping[str, int] = NOBODY
        for parked in list(self._parked.values()):
            if parked.task.abandoned:
                del self._parked[parked.task]
                self._wanting -= bool(parked.wanted)
                freed |= parked.wanted.keys()
                continue
            if parked.due <= now or self._is_its_turn(freed & parked.limiting, tried):
                left = max(0, int((parked.deadline - now) * 1_000))
                parked.task.operation = parked.reserve.impatient(left).queued(kept)
                yield parked.task
            kept = {**parked.wanted, **kept} if parked.wanted else kept

    def kept(self) -> Mapping[str, int]:
        """Return how much of which budgets is kept from newcomers: what the first in line waits for."""
        kept: dict[str, int] = {}
        for parked in reversed(self._parked.values()) if self._wanting else ():
            if parked.wanted and not parked.task.abandoned:
                kept.update(parked.wanted)
        return kept

    def everyone(self) -> list[Task]:
        """Return all who wait, in order."""
        return list(self._parked)

    def next_due(self) -> float | None:
        """Return when the next reserve must be tried, in monotonic seconds."""
        return min((parked.due for parked in self._parked.values()), default=None)

    @staticmethod
    def _is_its_turn(freed: frozenset[str], tried: set[str]) -> bool:
        """Tell whether a reserve may fit now that these of its budgets have been freed; `tried` grows by places."""
        if freed <= tried:
            return False
        tried |= {budget for budget in freed if parts(budget)[1] == "concurrency"}
        return True


def _wanted(reserve: Reserve, waiting: Waiting) -> dict[str, int]:
    """Return how much a reserve needs of the budgets it waits for, places apart."""
    needs = {offer.offer: offer.in_units() for offer in reserve.offers}
    return {
        denial.budget: needs[denial.offer][UNITS.index(denial.unit)]
        for denial in waiting.denials
        if denial.unit not in ("", "concurrency") and rules.worth_waiting((denial,), reserve.patience)
    }
