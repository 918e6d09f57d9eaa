"""One call's operations on their way to the store, and their answers on the way back."""

import asyncio
from collections.abc import Sequence

from quota_service.operations import Answer, Operation


class Job:
    """The operations of one call; done when each has its answer."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.done: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self.tasks = [Task(self, place, operation) for place, operation in enumerate(operations)]
        self._answers: dict[int, Answer] = {}

    def answer(self, place: int, answer: Answer) -> None:
        """Take one answer; the last one wakes the caller."""
        self._answers[place] = answer
        if len(self._answers) == len(self.tasks) and not self.done.done():
            self.done.set_result([self._answers[place] for place in range(len(self.tasks))])

    def fail(self, error: Exception) -> None:
        """Wake the caller with an error."""
        if not self.done.done():
            self.done.set_exception(error)


class Task:
    """One operation of a job; identity matters, contents do not."""

    __slots__ = ("job", "operation", "place")

    def __init__(self, job: Job, place: int, operation: Operation) -> None:
        self.job = job
        self.place = place
        self.operation = operation

    @property
    def abandoned(self) -> bool:
        """Tell whether nobody waits for the answer any more."""
        return self.job.done.done()
