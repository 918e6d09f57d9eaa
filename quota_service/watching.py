"""Tells watchers what has changed of the budgets: one look for all of them, and none for who is not reading."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from quota_service.overrides import starting
from quota_service.standing import Standing
from quota_service.stores.protocol import Store

# However many watch, the store is looked at no more often than this, in seconds.
FRESH = 0.05


class Lookout:
    """Looks at all budgets of a store for whoever asks at about the same time.

    Args:
        store: where to look.
        fresh: for how many seconds a look is good.
    """

    def __init__(self, store: Store, fresh: float = FRESH) -> None:
        self._store = store
        self._fresh = fresh
        self._lock = asyncio.Lock()
        self._seen: Standing | None = None
        self._seen_at = 0.0

    async def look(self, prefix: str) -> Standing:
        """Return how the budgets stand whose subjects start with this, or stood just now."""
        async with self._lock:
            if self._seen is None or monotonic() - self._seen_at > self._fresh:
                self._seen = await self._store.standing()
                self._seen_at = monotonic()
            return _starting(self._seen, prefix)


def _starting(standing: Standing, prefix: str) -> Standing:
    if not prefix:
        return standing
    return replace(
        standing,
        budgets=tuple(row for row in standing.budgets if row.budget.subject.startswith(prefix)),
        closures={name: closure for name, closure in standing.closures.items() if name.startswith(prefix)},
        overrides=starting(standing.overrides, prefix),
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """What somebody watches: budgets by prefix, told of at most every so many seconds."""

    prefix: str = ""
    every: float = 1.0


async def watch(lookout: Lookout, wish: Watch, closed: asyncio.Event) -> AsyncGenerator[Standing]:
    """Give how budgets stand, all of them and then those that have changed, until `closed` is set.

    Who takes the next one late gets the latest: nothing is kept for him.
    """
    before: Standing | None = None
    while not closed.is_set():
        now = await lookout.look(wish.prefix)
        told = now if before is None else _changed(before, now)
        if told is not None:
            yield told
            before = now
        with suppress(TimeoutError):
            async with asyncio.timeout(wish.every):
                await closed.wait()


def _changed(before: Standing, now: Standing) -> Standing | None:
    """Return the standing with only the budgets that are not as before; None when nothing is different."""
    known = {row.budget.id: row for row in before.budgets}
    budgets = tuple(row for row in now.budgets if known.get(row.budget.id) != row)
    same = (before.closures, before.version, before.open_holds) == (now.closures, now.version, now.open_holds)
    return None if same and not budgets else replace(now, budgets=budgets)
