"""Callers who would rather wait than be denied: first come first tried, and how long each still waits."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from quota_service.jobs import Task
from quota_service.operations import Reserve, Waiting

# Beyond this many a patient reserve is answered at once: waiting costs memory and a look after every batch.
MOST_PARKED = 1_000


@dataclass(slots=True)
class Parked:
    """One waiting reserve; moments are seconds of the monotonic clock, `limiting` the budgets it waits for."""

    task: Task
    reserve: Reserve
    deadline: float
    due: float
    limiting: frozenset[str]


class ParkingLot:
    """Waiting reserves in the order of their arrival."""

    def __init__(self, most: int = MOST_PARKED) -> None:
        self._parked: dict[Task, Parked] = {}
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
            known = self._parked[task] = Parked(task, reserve, now + reserve.patience / 1_000, 0.0, frozenset())
        known.due = min(now + wait, known.deadline)
        known.limiting = frozenset(denial.budget for denial in waiting.denials)
        return True

    def leave(self, task: Task) -> None:
        """Forget a reserve that was answered or abandoned."""
        self._parked.pop(task, None)

    def to_retry(self, freed: Iterable[str], now: float) -> Iterator[Task]:
        """Return, in order, the reserves worth trying again, with the patience they have left."""
        freed = frozenset(freed)
        for parked in list(self._parked.values()):
            if parked.task.abandoned:
                del self._parked[parked.task]
            elif parked.due <= now or not freed.isdisjoint(parked.limiting):
                left = max(0, int((parked.deadline - now) * 1_000))
                parked.task.operation = parked.reserve.impatient(left)
                yield parked.task

    def everyone(self) -> list[Task]:
        """Return all who wait, in order."""
        return list(self._parked)

    def next_due(self) -> float | None:
        """Return when the next reserve must be tried, in monotonic seconds."""
        return min((parked.due for parked in self._parked.values()), default=None)
