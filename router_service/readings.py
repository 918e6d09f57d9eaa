"""Reads what is in the ledger: how budgets stand, what was spent."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import grpc
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc

from meshkit import tracing
from meshkit.errors import MeshError, Reason

Told = TypeVar("Told")


class Readings:
    """Asks over one channel; a quota service that is starting is waited for.

    Args:
        stub: of the quota service.
        grace: seconds an answer is waited for.
    """

    def __init__(self, stub: quota_pb2_grpc.QuotaServiceAsyncStub, grace: float) -> None:
        self._stub = stub
        self._grace = grace

    async def budgets(self, prefix: str = "") -> quota_pb2.GetBudgetsResponse:
        """List budgets; raises MeshError QUOTA_UNAVAILABLE."""
        request, trace = quota_pb2.GetBudgetsRequest(prefix=prefix), tracing.outgoing()
        return await _answer(self._stub.GetBudgets(request, timeout=self._grace, metadata=trace, wait_for_ready=True))

    async def spend(self, request: quota_pb2.QuerySpendRequest) -> quota_pb2.QuerySpendResponse:
        """Sum what was spent; raises MeshError QUOTA_UNAVAILABLE."""
        trace = tracing.outgoing()
        return await _answer(self._stub.QuerySpend(request, timeout=self._grace, metadata=trace, wait_for_ready=True))


async def _answer(call: Awaitable[Told]) -> Told:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise unavailable(error.code().name) from None


def unavailable(why: str) -> MeshError:
    """Make the error for a ledger that does not answer."""
    return MeshError(
        Reason.QUOTA_UNAVAILABLE, f"the quota service does not answer ({why}); nothing was sent", retry_after=1.0
    )
