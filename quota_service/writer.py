"""The one writer: collects what callers ask, applies it as one batch, answers what is durable (group commit).

Nothing waits when the store is idle; what arrives while a batch is being written travels in the next one.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter

from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from quota_service.jobs import Job, Task
from quota_service.metrics import Metrics
from quota_service.operations import Answer, Operation, Reserve, Waiting
from quota_service.parking import ParkingLot
from quota_service.stores.protocol import Applied, Store

MOST_IN_BATCH = 512
# Holds lapse, and a store in trouble is tried again, this often at most.
SWEEP_SECONDS = 1.0


async def _unheard(_serving: bool) -> None:
    """Tell nobody about the store's health."""


class Writer:
    """Serialises all writes to a store.

    Args:
        store: where to.
        clock: measures patience.
        metrics: what to count.
        on_health: told whenever the store begins or ceases to take writes.
    """

    def __init__(
        self, store: Store, clock: Clock, metrics: Metrics, on_health: Callable[[bool], Awaitable[None]] = _unheard
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._on_health = on_health
        self._queue: deque[Task] = deque()
        self._lot = ParkingLot()
        self._arrived = asyncio.Event()
        self._closed = False
        self._healthy = True
        self._reserves_next = False
        self._freed: frozenset[str] | None = frozenset()

    async def submit(self, operations: Sequence[Operation]) -> list[Answer]:
        """Do operations and return their answers, in order, once they are durable.

        Raises:
            MeshError: QUOTA_UNAVAILABLE; repeat with the same ids.
        """
        if self._closed:
            raise _closing()
        if not operations:
            return []
        job = Job(operations)
        self._queue.extend(job.tasks)
        self._arrived.set()
        try:
            return await job.done
        except asyncio.CancelledError:
            self._arrived.set()  # a parked reserve of this caller gives up its place now
            raise

    async def run(self) -> None:
        """Write batches until `close`; then finish what is queued and turn away who is parked."""
        try:
            while not (self._closed and not self._queue):
                retries = self._to_retry()
                if not retries and not self._queue:
                    await self._idle()
                    retries = self._to_retry()
                self._hear(await self._write(retries, self._collect()))
                self._store.listen(self._hear_elsewhere if len(self._lot) else None)
        finally:
            self._closed = True
            self._turn_away([*self._lot.everyone(), *self._queue])

    def _to_retry(self) -> list[Task]:
        """Return who is worth trying again after what has been freed since it was last asked."""
        freed, self._freed = self._freed, frozenset()
        return list(self._lot.to_retry(freed, self._clock.monotonic()))

    def _hear(self, freed: frozenset[str] | None) -> None:
        self._freed = None if freed is None or self._freed is None else self._freed | freed

    def _hear_elsewhere(self, freed: frozenset[str] | None) -> None:
        """Wake up for what another process freed."""
        self._hear(freed)
        self._arrived.set()

    def close(self) -> None:
        """Take no more; `run` ends when what is queued is done."""
        self._closed = True
        self._arrived.set()

    async def _idle(self) -> None:
        """Sleep until something arrives, a parked reserve is due, or a hold may lapse."""
        self._arrived.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._idle_seconds()):
                await self._arrived.wait()

    def _idle_seconds(self) -> float | None:
        if not self._healthy:
            return SWEEP_SECONDS
        expiry, due = self._store.until_next_expiry(), self._lot.next_due()
        waits = [] if expiry is None else [max(expiry, SWEEP_SECONDS)]
        waits += [] if due is None else [max(0.0, due - self._clock.monotonic())]
        return min(waits, default=None)

    def _collect(self) -> list[Task]:
        """Take what has arrived.

        While someone is parked, endings and reserves travel in turns: what an ending frees belongs first to who came
        first, not to a reserve that happens to travel with it.
        """
        tasks: list[Task] = []
        kept = self._lot.kept()
        while self._queue and len(tasks) < MOST_IN_BATCH:
            task = self._queue.popleft()
            if not (task.abandoned and isinstance(task.operation, Reserve)):
                tasks.append(task)
                if kept and isinstance(task.operation, Reserve):
                    task.operation = task.operation.queued(kept)
        return self._one_kind(tasks) if len(self._lot) else tasks

    def _one_kind(self, tasks: list[Task]) -> list[Task]:
        """Keep the reserves or the others, whose turn it is, and put the rest back in front."""
        reserves = [task for task in tasks if isinstance(task.operation, Reserve)]
        others = [task for task in tasks if not isinstance(task.operation, Reserve)]
        if not reserves or not others:
            return tasks
        now, later = (reserves, others) if self._reserves_next else (others, reserves)
        self._reserves_next = not self._reserves_next
        self._queue.extendleft(reversed(later))
        return now

    async def _write(self, retries: list[Task], arrived: list[Task]) -> frozenset[str]:
        """Apply one batch, parked reserves before new ones, and hand out the answers; return what it freed."""
        tasks = [*retries, *arrived]
        began = perf_counter()
        try:
            applied = await self._store.apply([task.operation for task in tasks])
        except MeshError as error:
            await self._tell_health(serving=False)
            for task in tasks:
                self._lot.leave(task)
                task.job.fail(error)
            return frozenset()
        self._metrics.batch(len(tasks), perf_counter() - began, applied)
        await self._tell_health(serving=True)
        for task, answer in zip(tasks, applied.answers, strict=True):
            self._hand_out(task, answer, applied)
        self._metrics.waiting(len(self._lot))
        return applied.freed

    def _hand_out(self, task: Task, answer: Answer, applied: Applied) -> None:
        if isinstance(answer, Waiting):
            if task.abandoned:
                self._lot.leave(task)
                return
            wait = max(0.0, (answer.wake_at - applied.now) / 1_000)
            if not self._lot.park(task, answer, wait, self._clock.monotonic()):
                self._refuse_to_wait(task)
            return
        self._lot.leave(task)
        self._metrics.decided(task.operation, answer)
        task.job.answer(task.place, answer)

    def _refuse_to_wait(self, task: Task) -> None:
        """Decide a patient reserve at once, in the next batch: nobody more can be parked."""
        if isinstance(task.operation, Reserve):
            task.operation = task.operation.impatient()
            self._queue.appendleft(task)
            self._arrived.set()

    async def _tell_health(self, *, serving: bool) -> None:
        if serving != self._healthy:
            self._healthy = serving
            await self._on_health(serving)

    def _turn_away(self, tasks: Sequence[Task]) -> None:
        self._queue.clear()
        for task in tasks:
            self._lot.leave(task)
            task.job.fail(_closing())


def _closing() -> MeshError:
    return MeshError(Reason.QUOTA_UNAVAILABLE, "the quota service is stopping", retry_after=SWEEP_SECONDS)
