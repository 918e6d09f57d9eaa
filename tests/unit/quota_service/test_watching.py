"""Watchers of budgets: all at once, then what changed, never more often than wished, and the latest for who is slow."""

import asyncio
from contextlib import aclosing

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms

from quota_service.operations import Observe, SetOverride
from quota_service.stores.memory import MemoryStore
from quota_service.watching import Lookout, Watch, watch

GROQ, OTHER = "groq/m#1", "other/m#1"
DAY, THEIRS = limit("groq/default", "requests", 10), limit("other/default", "requests", 10)
OFTEN = 0.001


class Counting(MemoryStore):
    """A store that counts how often it is looked at."""

    looks = 0

    async def standing(self, prefix=""):
        self.looks += 1
        await asyncio.sleep(0)
        return await super().standing(prefix)


@pytest.fixture
def store() -> Counting:
    return Counting(definitions(terms(GROQ, DAY), terms(OTHER, THEIRS)), ManualClock(NOON / 1_000))


def figures(standing):
    return {row.budget.id: (row.used, row.held) for row in standing.budgets}


async def test_the_first_message_has_all_and_the_next_only_what_changed(store):
    closed = asyncio.Event()
    async with aclosing(watch(Lookout(store), Watch(every=OFTEN), closed)) as watching:
        assert figures(await anext(watching)) == {DAY.id: (0, 0), THEIRS.id: (0, 0)}
        await store.apply([reserve("a", GROQ)])
        told = await anext(watching)
        assert (figures(told), told.open_holds) == ({DAY.id: (0, 1)}, 1)
        await store.apply([Observe(OTHER, "account", closed_for=30_000, reason="quota")])
        told = await anext(watching)
        assert (figures(told), list(told.closures)) == ({}, ["other/default"])
        await store.apply([SetOverride(DAY.id, 5, "ann", "a try")])
        told = await anext(watching)
        assert (figures(told), list(told.overrides)) == ({DAY.id: (0, 1)}, [DAY.id])


async def test_who_reads_slowly_gets_only_the_latest(store):
    async with aclosing(watch(Lookout(store), Watch(every=OFTEN), asyncio.Event())) as watching:
        await anext(watching)
        for number in range(5):
            await store.apply([reserve(f"a{number}", GROQ)])
            await store.apply([settle(f"a{number}")])
        before = store.looks
        assert figures(await anext(watching)) == {DAY.id: (5, 0)}
        assert store.looks == before + 1  # it was not looked at while nobody read


async def test_nothing_is_told_while_nothing_changes_and_the_stream_ends_with_the_service(store):
    closed = asyncio.Event()
    async with aclosing(watch(Lookout(store), Watch(every=OFTEN), closed)) as watching:
        await anext(watching)
        waiting = asyncio.create_task(anext(watching))
        looks = store.looks
        async with asyncio.timeout(20):
            while store.looks < looks + 3:  # noqa: ASYNC110 - the watcher looks by itself
                await asyncio.sleep(OFTEN)
        assert not waiting.done()
        closed.set()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_a_prefix_leaves_out_other_subjects(store):
    async with aclosing(watch(Lookout(store), Watch("other", OFTEN), asyncio.Event())) as watching:
        assert list(figures(await anext(watching))) == [THEIRS.id]
        await store.apply([reserve("a", GROQ), reserve("b", OTHER)])
        assert figures(await anext(watching)) == {THEIRS.id: (0, 1)}


async def test_many_watchers_are_one_look(store):
    lookout = Lookout(store, fresh=600)
    await asyncio.gather(*(lookout.look("") for _ in range(100)))
    assert store.looks == 1
