"""Ends the wait for a vendor that makes no progress: a first-token limit, then an idle limit, within a total."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds: to connect, for the first content, between contents, and for everything."""

    connect: float
    first: float
    idle: float
    total: float


class Silent(Exception):  # noqa: N818 - what the vendor was
    """The vendor made no progress within its limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Watch:
    """Watches the waits of one task for one answer.

    Only `progress` moves the limit on: bytes without content do not. While the task does other things than wait, the
    limit stands still. A timer is set anew only when the limit comes nearer, so that a wait costs almost nothing.
    """

    def __init__(self, patience: Patience) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._began = self._left = self._loop.time()
        self._deadline = self._began + min(patience.first, patience.total)
        self._started = False
        self._waiting = False
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    def progress(self) -> None:
        """Note that content came: from now the idle limit counts."""
        self._started = True
        self._deadline = min(self._loop.time() + self._patience.idle, self._began + self._patience.total)

    async def wait(self, awaited: Awaitable[Result]) -> Result:
        """Wait for something of the vendor's; raises Silent when the limit passes."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        self._deadline += self._loop.time() - self._left
        self._task, self._cancelling, self._waiting = task, task.cancelling(), True
        if self._timer is None or self._timer.when() > self._deadline:
            self.close()
            self._timer = self._loop.call_at(self._deadline, self._fire)
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= self._cancelling:
                raise Silent(self._why()) from None
            raise
        finally:
            self._waiting = False
            self._left = self._loop.time()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        if not self._waiting or self._expired:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._fire)
            return
        self._expired = True
        self._task.cancel()

    def _why(self) -> str:
        if self._loop.time() - self._began >= self._patience.total:
            return f"the answer was not whole after {self._patience.total:g} s"
        if self._started:
            return f"the vendor fell silent for {self._patience.idle:g} s"
        return f"the vendor sent no content within {self._patience.first:g} s"
