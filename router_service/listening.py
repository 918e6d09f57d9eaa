"""Waits for the events of a streamed call, but not for ever: a provider service that has died may never say so."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import grpc

EventT = TypeVar("EventT")


class Listener(Generic[EventT]):
    """Waits for one event after the other; one timer serves the whole call, so that a wait costs almost nothing.

    Args:
        call: cancelled when it is silent for too long.
    """

    def __init__(self, call: grpc.aio.UnaryStreamCall[Any, EventT]) -> None:
        self._call = call
        self._events = aiter(call)
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._looks_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = self._silent = False

    async def next(self, patience: float) -> EventT | None:
        """Return the next event, None at the end; raises TimeoutError after `patience` seconds of silence."""
        self._deadline = self._loop.time() + patience
        self._waiting = True
        if self._timer is None or self._deadline < self._looks_at:
            self._look_again()
        try:
            return await anext(self._events, None)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._silent and not (task and task.cancelling()):
                raise TimeoutError from None
            raise
        finally:
            self._waiting = False

    def close(self) -> None:
        """End the call, however it stands."""
        if self._timer is not None:
            self._timer.cancel()
        self._call.cancel()

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks_at = self._deadline
        self._timer = self._loop.call_at(self._looks_at, self._look)

    def _look(self) -> None:
        """End a call that is silent; one whose events nobody wants just now is not."""
        self._timer = None
        if not self._waiting:
            return
        if self._loop.time() < self._deadline:
            self._look_again()
            return
        self._silent = True
        self._call.cancel()
