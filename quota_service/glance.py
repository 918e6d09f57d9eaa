"""Looks at the budgets every few seconds, for whoever cannot wait or wants to notice: scrapes, forecasts, warnings."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from meshkit.errors import MeshError
from quota_service.standing import Standing
from quota_service.stores.protocol import Store

EVERY = 5.0


class Glance:
    """How the budgets stood a moment ago; what it was last while the store is silent.

    Args:
        store: where to look.
        tell: who is told of each look.
        every: seconds between two looks.
    """

    def __init__(self, store: Store, tell: Sequence[Callable[[Standing], None]] = (), every: float = EVERY) -> None:
        self._store = store
        self._tell = tell
        self._every = every

    async def __aenter__(self) -> Self:
        await self._see()
        self._looking = asyncio.create_task(self._keep_looking(), name="glance")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._looking.cancel()

    def look(self) -> Standing:
        """Return how the budgets stood."""
        return self._seen

    async def _see(self) -> None:
        self._seen = await self._store.standing()
        for tell in self._tell:
            tell(self._seen)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            with suppress(MeshError):
                await self._see()
