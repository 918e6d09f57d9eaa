"""What the console shows is gathered once for all who look, and only while somebody does."""

import asyncio
from collections.abc import Mapping

import pytest
from fixtures.eventually import eventually

from meshkit.errors import MeshError, Reason
from router_service.edge.console.feed import Feed, Source, View

AT_ONCE = 0.0
NEVER_AGAIN = 3_600.0


class Telling:
    """A source that tells what it is given, each time it is let."""

    def __init__(self, **sections: object) -> None:
        self.sections: Mapping[str, object] = sections
        self.problem: Exception | None = None
        self.asked = 0
        self.lets = asyncio.Semaphore(0)

    async def gather(self) -> Mapping[str, object]:
        await self.lets.acquire()
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return self.sections

    def source(self, name: str = "one", every: float = AT_ONCE) -> Source:
        return Source(name, self.gather, every)


async def read(view: View) -> str:
    async with asyncio.timeout(10):
        news = await view.news()
    assert news is not None
    return news.decode()


async def test_whoever_looks_is_told_everything_first_and_then_what_has_changed() -> None:
    told = Telling(mesh={"ok": True}, spend=[1])
    async with Feed([told.source()]).watching() as view:
        told.lets.release()
        assert await read(view) == 'event: mesh\ndata: {"ok":true}\n\nevent: spend\ndata: [1]\n\n'
        told.sections = {"mesh": {"ok": True}, "spend": [2]}
        told.lets.release()
        assert await read(view) == "event: spend\ndata: [2]\n\n"


async def test_a_section_of_many_goes_by_the_name_before_the_slash() -> None:
    told = Telling(**{"vendor/acme": {"id": "acme"}, "vendor/globex": {"id": "globex"}})
    async with Feed([told.source()]).watching() as view:
        told.lets.release()
        assert await read(view) == ('event: vendor\ndata: {"id":"acme"}\n\nevent: vendor\ndata: {"id":"globex"}\n\n')


async def test_a_hundred_viewers_cost_one_gathering() -> None:
    told = Telling(mesh=1)
    feed = Feed([told.source(every=NEVER_AGAIN)])
    async with feed.watching() as first, asyncio.TaskGroup() as group:

        async def look() -> None:
            async with feed.watching() as view:
                assert await read(view) == "event: mesh\ndata: 1\n\n"

        looking = [group.create_task(look()) for _ in range(100)]
        await eventually(lambda: feed.viewers == 101)
        told.lets.release()
        await asyncio.gather(*looking)
        assert await read(first) == "event: mesh\ndata: 1\n\n"
    assert (told.asked, feed.viewers) == (1, 0)


async def test_a_viewer_that_was_slow_is_told_what_is_and_not_what_was_meanwhile() -> None:
    told = Telling(mesh=0)
    async with Feed([told.source()]).watching() as view:
        for number in range(1, 6):
            told.sections = {"mesh": number}
            told.lets.release()
            await eventually(lambda number=number: told.asked == number)
        await asyncio.sleep(0)
        assert await read(view) == "event: mesh\ndata: 5\n\n"


async def test_nothing_is_gathered_while_nobody_looks_and_nothing_old_is_shown_afterwards() -> None:
    told = Telling(mesh="old")
    feed = Feed([told.source()])
    async with feed.watching() as view:
        told.lets.release()
        await read(view)
    told.sections = {"mesh": "new"}
    told.lets.release()
    for _ in range(10):
        await asyncio.sleep(0)
    assert told.asked == 1
    async with feed.watching() as view:
        assert await read(view) == 'event: mesh\ndata: "new"\n\n'


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (MeshError(Reason.QUOTA_UNAVAILABLE, "the quota service does not answer"), "the quota service does not answer"),
        (ZeroDivisionError("secret"), "the mesh failed to serve this request; its log has the details"),
    ],
)
async def test_a_source_that_fails_says_so_keeps_what_it_told_and_is_asked_again(problem: Exception, says: str) -> None:
    told, other = Telling(spend=1), Telling(mesh=1)
    async with Feed([told.source("spend"), other.source("state")]).watching() as view:
        told.lets.release()
        assert await read(view) == "event: spend\ndata: 1\n\n"
        told.problem = problem
        told.lets.release()
        assert await read(view) == f'event: troubles\ndata: {{"spend":"{says}"}}\n\n'
        other.lets.release()
        assert await read(view) == "event: mesh\ndata: 1\n\n"
        told.problem = None
        told.lets.release()
        assert await read(view) == "event: troubles\ndata: {}\n\n"


async def test_a_feed_that_ends_ends_every_view() -> None:
    feed = Feed([Telling().source()])
    async with feed.watching() as view:
        waiting = asyncio.create_task(view.news())
        await asyncio.sleep(0)
        await feed.close()
        assert await waiting is None
