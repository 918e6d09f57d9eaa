"""Talks to the quota service: whatever waits while one batch is in flight travels in the next.

Settles and observations have no hurry: within a batch the ledger applies them first, so the reserve they travel with,
and every later one of this router, already sees them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

import grpc
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc

from meshkit import durations, logs, tracing
from meshkit.errors import MeshError, Reason
from router_service.open_holds import OpenHolds
from router_service.readings import Readings, unavailable
from router_service.silence import PROBE_EVERY, Silence
from router_service.waiting import Waiting, trace_of

MAX_BATCH = 256
# Settles that could not be delivered are kept this long at most; then their holds have lapsed and been charged.
KEEP_SECONDS = 120.0
RETRY_PAUSE = 0.05
# What nobody waits for goes with the next reserve, or by itself after this many seconds.
LEISURE = 0.01
# While something is held the ledger is asked at least this often whether its store still knows.
LOOK_EVERY = 5.0
log = logs.get("quota_client")

Reply = quota_pb2.Answer


class QuotaClient:
    """Reserves and settles over one channel; what the ledger has is read by `read`.

    Args:
        stub: of the quota service.
        turns: the same over a connection of its own, for reserves that wait: a connection carries a thousand calls at a
            time, and the settle that ends a wait must not stand in line behind those who wait for it.
        grace: seconds a reserve waits while the quota service restarts.
        silence: seconds one batch may stay unanswered.
    """

    def __init__(
        self,
        stub: quota_pb2_grpc.QuotaServiceAsyncStub,
        turns: quota_pb2_grpc.QuotaServiceAsyncStub,
        *,
        grace: float = 5.0,
        silence: float = 2.0,
    ) -> None:
        self.read = Readings(stub, grace)
        self._stub = stub
        self._turns = turns
        self._grace = grace
        self._silence = silence
        self._queue: deque[Waiting] = deque()
        self._filled = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._leisure: asyncio.TimerHandle | None = None
        self._holds = OpenHolds(stub, silence)
        self._hush = Silence(silence)

    async def __aenter__(self) -> Self:
        self._pump = asyncio.create_task(self._deliver(), name="quota-batches")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), self._grace)
        except TimeoutError:
            log.warning("unsettled_at_stop", operations=len(self._queue))
        self._pump.cancel()

    def notes(self) -> dict[str, str]:
        """Return what health says of the ledger: nothing while it answers."""
        return {"ledger": "silent: only what may go on without it is used"} if self._hush.open else {}

    async def reserve(
        self, reserve: quota_pb2.Reserve, deadline: float, *, goes_on: bool = False
    ) -> quota_pb2.Held | quota_pb2.Denied:
        """Hold the first offer that fits, or learn why none does.

        A caller that goes on without the ledger waits for a silent one only until the silence is felt, and once it is
        known to be silent not at all; who cannot waits then for one more try.

        Raises:
            MeshError: QUOTA_UNAVAILABLE when the quota service stays away; its own reason when it refuses.
        """
        operation = quota_pb2.Operation(reserve=reserve)
        patience = durations.to_seconds(reserve.patience)
        with tracing.span("Sent.llmmesh.quota.v1.QuotaService.Apply", tracing.SpanKind.CLIENT):
            if goes_on and self._hush.open:
                raise unavailable("silence")
            if patience > 0:
                answer = await self._alone(operation, patience, deadline)
            else:
                timeout = min(self._silence if self._hush.open else self._grace, deadline)
                answer = await self._batched(operation, timeout, goes_on=goes_on)
        if answer.HasField("refused"):
            raise _refusal(answer.refused)
        return answer.held if answer.HasField("held") else answer.denied

    def settle(self, settle: quota_pb2.Settle) -> None:
        """End a hold, off the caller's path; delivered with the next batch."""
        self._enqueue(quota_pb2.Operation(settle=settle), None, KEEP_SECONDS)

    def extend(self, attempt_id: str, seconds: float) -> None:
        """Keep a hold alive for so long from now, off the caller's path; too late it means nothing any more."""
        extend = quota_pb2.Extend(attempt_id=attempt_id, ttl=durations.to_proto(seconds))
        self._enqueue(quota_pb2.Operation(extend=extend), None, seconds)

    def observe(self, observe: quota_pb2.Observe) -> None:
        """Pass on what a vendor said, off the caller's path; what opens a subject is not said again, so it is kept."""
        keep = KEEP_SECONDS if observe.opened else self._grace
        self._enqueue(quota_pb2.Operation(observe=observe), None, keep)

    async def _batched(self, operation: quota_pb2.Operation, timeout: float, *, goes_on: bool) -> Reply:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._enqueue(operation, answered, timeout)
        try:
            async with asyncio.timeout(timeout):
                return await (self._until_felt(answered) if goes_on else answered)
        except TimeoutError:
            if timeout >= self._grace:
                self._hush.fell("away for longer than is waited for")
            raise unavailable("silence") from None
        except asyncio.CancelledError:
            # Cancelled in the moment between the answer and its reading: the hold is nobody's.
            if not answered.cancelled() and answered.exception() is None and answered.result().HasField("held"):
                self._give_back(operation)
            raise

    async def _until_felt(self, answered: asyncio.Future[Reply]) -> Reply:
        """Wait for an answer until silence is felt; a ledger that refuses connections may be starting again."""
        try:
            while not answered.done():
                await asyncio.wait({answered}, timeout=self._silence / 4)
                if self._hush.felt() and not answered.done():
                    await asyncio.wait({answered}, timeout=RETRY_PAUSE)  # perhaps it was we who stood still
                    if not answered.done():
                        self._hush.fell("no answer in time")
                        raise TimeoutError
            return answered.result()
        finally:
            answered.cancel()  # what is answered later is given back

    async def _alone(self, operation: quota_pb2.Operation, patience: float, deadline: float) -> Reply:
        # A patient reserve may be answered late; in a batch it would make its neighbours wait. What vendors said just
        # now travels with it all the same: nobody must be admitted where the ledger does not know yet what is closed.
        told = self._take_observations()
        clock = asyncio.get_running_loop().time
        patient_until, ends_at = clock() + patience, clock() + deadline
        gone_since: float | None = None
        try:
            while True:
                began = clock()
                left = max(0.0, patient_until - began)
                operation.reserve.patience.CopyFrom(durations.to_proto(left))
                request = quota_pb2.ApplyRequest(operations=[*(waiting.operation for waiting in told), operation])
                timeout, since = min(left + self._silence, ends_at - began), self._holds.epoch
                try:
                    response = await self._turns.Apply(request, timeout=timeout, metadata=tracing.outgoing())
                except grpc.aio.AioRpcError as error:
                    if gone_since is None or clock() - began > self._silence:
                        gone_since = clock()  # it was there when it was asked: this is another outage
                    over = clock() >= min(gone_since + self._grace, ends_at)
                    if error.code() is not grpc.StatusCode.UNAVAILABLE or over:
                        raise unavailable(error.code().name) from None
                    await asyncio.sleep(RETRY_PAUSE)
                else:
                    self._hush.answered()
                    if not await self._holds.heed(response, request.operations, since):
                        return response.answers[-1]
        except (MeshError, asyncio.CancelledError):
            self._queue.extendleft(reversed(told))
            self._give_back(operation)
            raise

    def _take_observations(self) -> list[Waiting]:
        told = [waiting for waiting in self._queue if waiting.operation.HasField("observe")]
        self._queue = deque(waiting for waiting in self._queue if not waiting.operation.HasField("observe"))
        return told

    def _give_back(self, operation: quota_pb2.Operation) -> None:
        """End the hold of a reserve whose caller is gone: nothing was sent, so all of it goes back."""
        if operation.HasField("reserve") and not operation.reserve.dry_run:
            attempt_id = operation.reserve.attempt_id
            self.settle(quota_pb2.Settle(attempt_id=attempt_id, outcome=quota_pb2.OUTCOME_RELEASED))

    def _enqueue(self, operation: quota_pb2.Operation, answered: asyncio.Future[Reply] | None, keep: float) -> None:
        loop = asyncio.get_running_loop()
        self._queue.append(Waiting(operation, answered, loop.time() + keep))
        self._idle.clear()
        if answered is not None:
            self._filled.set()
        elif self._leisure is None:
            self._leisure = loop.call_later(LEISURE, self._filled.set)

    async def _deliver(self) -> None:
        while True:
            await self._until_filled()
            self._filled.clear()
            if self._leisure is not None:
                self._leisure.cancel()
                self._leisure = None
            if batch := self._next_batch():
                await self._send(batch)
            if not self._queue:
                self._idle.set()

    async def _until_filled(self) -> None:
        """Wait for something to send; while something is held not for ever."""
        while True:
            try:
                look = LOOK_EVERY if len(self._holds) and self._holds.epoch else None
                async with asyncio.timeout(PROBE_EVERY if self._hush.open else look):
                    await self._filled.wait()
                    return
            except TimeoutError:
                await self._send([])

    def _next_batch(self) -> list[Waiting]:
        """Take what is next in the queue, without what nobody waits for any more."""
        batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
        if self._queue:
            self._filled.set()
        for waiting in batch:
            if waiting.left and waiting.tried:
                self._give_back(waiting.operation)
        return [waiting for waiting in batch if not waiting.left]

    async def _send(self, batch: list[Waiting]) -> None:
        request = quota_pb2.ApplyRequest(operations=[waiting.operation for waiting in batch])
        self._hush.asked()
        since = self._holds.epoch
        try:
            response = await self._stub.Apply(request, timeout=self._silence, metadata=trace_of(batch))
        except grpc.aio.AioRpcError as error:
            self._hush.failed()
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._hush.fell("a whole try without an answer")
            await self._again(batch, error)
            return
        self._hush.answered()
        lost = await self._holds.heed(response, request.operations, since)
        for place, (waiting, answer) in enumerate(zip(batch, response.answers, strict=True)):
            if place in lost:
                self._queue.append(waiting)
                self._filled.set()
            else:
                self._deliver_answer(waiting, answer)

    def _deliver_answer(self, waiting: Waiting, answer: Reply) -> None:
        if waiting.answered is None:
            operation = waiting.operation  # what is given back was perhaps never held; what is extended may have ended
            expected = operation.settle.outcome == quota_pb2.OUTCOME_RELEASED or operation.HasField("extend")
            if answer.HasField("refused") and not expected:
                log.warning("refused", reason=answer.refused.reason, message=answer.refused.message)
        elif not waiting.answered.done():
            waiting.answered.set_result(answer)
        elif answer.HasField("held"):
            self._give_back(waiting.operation)

    async def _again(self, batch: list[Waiting], error: grpc.aio.AioRpcError) -> None:
        # Every operation is idempotent by its attempt id, so the same batch is simply sent again.
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            self._hush.answered()
            await self._without_the_bad_one(batch, error)
            return
        now = asyncio.get_running_loop().time()
        for waiting in reversed(batch):
            waiting.tried = True
            if now < waiting.give_up_at:
                self._queue.appendleft(waiting)
            else:
                self._give_up(waiting, error)
                self._give_back(waiting.operation)
        await asyncio.sleep(RETRY_PAUSE)
        self._filled.set()

    async def _without_the_bad_one(self, batch: list[Waiting], error: grpc.aio.AioRpcError) -> None:
        """One malformed operation makes the whole batch be refused; its neighbours must not pay for it."""
        if len(batch) == 1:
            self._give_up(batch[0], error)
            return
        for waiting in batch:
            await self._send([waiting])

    def _give_up(self, waiting: Waiting, error: grpc.aio.AioRpcError) -> None:
        if waiting.answered is None:
            self._holds.ended(waiting.operation.settle.attempt_id)
            log.error("lost", kind=waiting.operation.WhichOneof("kind"), code=error.code().name)
        elif not waiting.answered.done():
            waiting.answered.set_exception(unavailable(error.code().name))


def _refusal(refused: quota_pb2.Refused) -> MeshError:
    known = refused.reason in Reason.__members__
    return MeshError(Reason(refused.reason) if known else Reason.INTERNAL, refused.message)
