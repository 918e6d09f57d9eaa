"""Keeps lent places alive while they are used, so that the place of a router that dies is soon somebody else's."""

import asyncio
from types import TracebackType
from typing import Protocol, Self

# How many renewals a lease lasts for: two may be late or lost.
RENEWALS = 3


class Ledger(Protocol):
    """Where leases are renewed."""

    def extend(self, attempt_id: str, seconds: float) -> None:
        """Let a hold live for so long from now."""


class Lease:
    """Renews the lease of one attempt while the block runs; an attempt that has none costs nothing.

    Args:
        ledger: where.
        attempt_id: the hold.
        seconds: how long one lease lasts, 0 when the hold needs none.
    """

    def __init__(self, ledger: Ledger, attempt_id: str, seconds: float) -> None:
        self._ledger = ledger
        self._attempt_id = attempt_id
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._seconds:
            self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds / RENEWALS, self._renew)

    def _renew(self) -> None:
        self._ledger.extend(self._attempt_id, self._seconds)
        self._wait()
