"""One operation on its way to the ledger, and whose trace a batch of them is told under."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from llmmesh.quota.v1 import quota_pb2

from meshkit import tracing


@dataclass(slots=True)
class Waiting:
    """An operation in the queue; `answered` is None when nobody waits for its answer."""

    operation: quota_pb2.Operation
    answered: asyncio.Future[quota_pb2.Answer] | None
    give_up_at: float
    trace: tuple[tuple[str, str], ...] = field(default_factory=tracing.outgoing)
    tried: bool = False

    @property
    def left(self) -> bool:
        """Tell whether the caller has gone away."""
        return self.answered is not None and self.answered.done()


def trace_of(batch: list[Waiting]) -> tuple[tuple[str, str], ...]:
    """Return the trace a batch is told under: a sampled one, rather of somebody who waits for its answer."""
    if not batch:
        return tracing.outgoing()
    sampled = [waiting for waiting in batch if waiting.trace and waiting.trace[0][1].endswith("01")]
    awaited = [waiting for waiting in sampled if waiting.answered is not None]
    return (awaited or sampled or batch)[0].trace
