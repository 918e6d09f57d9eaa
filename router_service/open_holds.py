"""Remembers what this router holds, so that a ledger whose store lost something can be told again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import grpc
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc

from meshkit import logs, tracing

AT_ONCE = 256
log = logs.get("quota_client")


class OpenHolds:
    """The holds of this router that are not settled yet.

    `epoch` is the life of the ledger in which they are known to be held; empty until the ledger has told one.

    Args:
        stub: of the quota service.
        silence: seconds a declaration may stay unanswered.
    """

    def __init__(self, stub: quota_pb2_grpc.QuotaServiceAsyncStub, silence: float) -> None:
        self.epoch = ""
        self._stub = stub
        self._silence = silence
        self._held: dict[str, tuple[quota_pb2.Reserve, str]] = {}

    def __len__(self) -> int:
        return len(self._held)

    async def heed(
        self, response: quota_pb2.ApplyResponse, operations: Sequence[quota_pb2.Operation], since: str
    ) -> frozenset[int]:
        """Take in what became of operations, and tell a ledger that lost something what is held.

        Args:
            response: to the operations.
            operations: what was sent.
            since: the `epoch` when they were sent; another call may have declared everything meanwhile.

        Returns the places of what was refused only because the ledger did not know; it must be asked again.
        """
        lost: frozenset[int] = frozenset()
        answered = list(zip(operations, response.answers, strict=True))
        if since and response.epoch not in ("", since):
            lost = frozenset(place for place, (told, answer) in enumerate(answered) if self._was_lost(told, answer))
        if self._misses(response.epoch):
            await self._declare(response.epoch)
        for place, (operation, answer) in enumerate(answered):
            if place not in lost:
                self._answered(operation, answer)
        return lost

    def ended(self, attempt_id: str) -> None:
        """Forget a hold."""
        self._held.pop(attempt_id, None)

    def _answered(self, operation: quota_pb2.Operation, answer: quota_pb2.Answer) -> None:
        if operation.HasField("settle"):
            self.ended(operation.settle.attempt_id)
        elif operation.HasField("reserve") and not operation.reserve.dry_run and answer.HasField("held"):
            self.ended(operation.reserve.instead_of.attempt_id)
            self._held[operation.reserve.attempt_id] = operation.reserve, answer.held.offer

    def _misses(self, epoch: str) -> bool:
        """Tell whether a ledger in this epoch may not know what is held."""
        if not self.epoch:
            self.epoch = epoch
        return bool(epoch) and epoch != self.epoch

    def _was_lost(self, operation: quota_pb2.Operation, answer: quota_pb2.Answer) -> bool:
        """Tell whether something was refused only because the ledger no longer knew the hold it is about."""
        about = (
            operation.settle.attempt_id,
            operation.extend.attempt_id,
            operation.reserve.instead_of.attempt_id,
        )
        return answer.refused.reason == "HOLD_CONFLICT" and any(attempt_id in self._held for attempt_id in about)

    async def _declare(self, epoch: str) -> None:
        log.warning("declaring", holds=len(self), epoch=epoch)
        try:
            for operations in self._declarations():
                request = quota_pb2.ApplyRequest(operations=operations)
                await self._stub.Apply(request, timeout=self._silence, metadata=tracing.outgoing())
        except grpc.aio.AioRpcError as error:
            log.warning("declaring_failed", code=error.code().name)  # the next answer has the epoch again
        else:
            self.epoch = epoch

    def _declarations(self) -> Iterator[Sequence[quota_pb2.Operation]]:
        operations = iter([_declared(reserve, offer) for reserve, offer in self._held.values()])
        while batch := list(islice(operations, AT_ONCE)):
            yield batch


def _declared(reserve: quota_pb2.Reserve, offer: str) -> quota_pb2.Operation:
    declared = quota_pb2.Reserve(
        attempt_id=reserve.attempt_id,
        tenant=reserve.tenant,
        use_case=reserve.use_case,
        offers=[amounts for amounts in reserve.offers if amounts.offer == offer][:1],
        ttl=reserve.ttl,
        tier=reserve.tier,
        declared=True,
    )
    return quota_pb2.Operation(reserve=declared)
