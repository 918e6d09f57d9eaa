"""Hears from the ledger what other routers and operators did to breakers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import grpc
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc

from meshkit import durations, logs
from router_service.breaker import State
from router_service.breakers import AFTERLIFE, FAILING, Breakers

PREFIX = "breaker/"
# News is at most so old, in seconds.
EVERY = 0.25
# A watch ends after so long and another begins: one that went dead unnoticed is then no longer believed.
WATCH = 60.0
PAUSE = 1.0
# Two moments closer than this are one, in seconds.
SAME = 0.5
FORCED = {state.value: state for state in (State.FORCED_OPEN, State.FORCED_CLOSED)}
log = logs.get("breakers")


class BreakerNews:
    """Watches the closures of breakers while it is entered, and passes on what changes."""

    def __init__(self, stub: quota_pb2_grpc.QuotaServiceAsyncStub, breakers: Breakers) -> None:
        self._stub = stub
        self._breakers = breakers
        self._known: dict[str, tuple[str, float]] = {}

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch(), name="breaker-news")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._watching.cancel()

    async def _watch(self) -> None:
        request = quota_pb2.WatchBudgetsRequest(prefix=PREFIX, every=durations.to_proto(EVERY))
        while True:
            try:
                async for told in self._stub.WatchBudgets(request, timeout=WATCH, wait_for_ready=True):
                    self.heard(told.closures, told.now.ToNanoseconds() / 1e9)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    continue
                log.info("no_breaker_news", code=error.code().name)
            await asyncio.sleep(PAUSE)

    def heard(self, closures: Iterable[quota_pb2.Closure], now: float) -> None:
        """Take in how closures stand now, a Unix moment of the ledger's; only what has changed means anything."""
        found = {
            closure.subject.removeprefix(PREFIX): (closure.reason, closure.until.ToNanoseconds() / 1e9)
            for closure in closures
            if closure.subject.startswith(PREFIX)
        }
        before, self._known = self._known, found
        for subject in before.keys() - found.keys():
            self._gone(subject, *before[subject], now)
        for subject, (reason, until) in found.items():
            if before.get(subject) != (reason, until):
                self._new(subject, reason, until - now, before.get(subject, ("", 0.0))[0])

    def _new(self, subject: str, reason: str, seconds: float, before: str) -> None:
        if reason in FORCED:
            self._breakers.heard_forced(subject, FORCED[reason])
            return
        if before in FORCED:
            self._breakers.heard_forced(subject, None)
        if reason == FAILING and seconds > AFTERLIFE:
            self._breakers.heard_open(subject, seconds - AFTERLIFE)

    def _gone(self, subject: str, reason: str, until: float, now: float) -> None:
        if reason in FORCED:
            self._breakers.heard_forced(subject, None)
        elif until > now + SAME:  # it has not ended by itself
            self._breakers.heard_closed(subject)
