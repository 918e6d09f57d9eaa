"""Gathers what the console shows once for all who look, while anybody does, and tells each what has changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from router_service.edge import errors

# One gathering may take so long, in seconds.
LONGEST = 15.0
TROUBLES = "troubles"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Source:
    """Where some sections come from: gathered anew every so many seconds."""

    name: str
    gather: Callable[[], Awaitable[Mapping[str, object]]]
    every: float


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page as an event, and the number of the change that made it so.

    The event is called what stands before a slash in the section's name.
    """

    number: int
    event: bytes


class Feed:
    """The sections as they are now.

    Args:
        sources: gathered side by side, each at its own pace; one that fails leaves its sections as they were and says
            so in the section `troubles`.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._sections: dict[str, Section] = {}
        self._troubles: dict[str, str] = {}
        self._number = self._before = 0
        self._viewers = 0
        self._news = asyncio.Condition()
        self._gathering: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def viewers(self) -> int:
        """Return how many look."""
        return self._viewers

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["View"]:
        """Look, as long as the body lasts; nothing is gathered while nobody looks."""
        self._viewers += 1
        if self._viewers == 1:
            self._begin()
        try:
            yield View(self, self._before)
        finally:
            self._viewers -= 1
            if not self._viewers:
                self._rest()

    async def close(self) -> None:
        """End every view."""
        self._closed = True
        async with self._news:
            self._news.notify_all()

    async def after(self, seen: int) -> tuple[int, bytes] | None:
        """Wait for a change later than one that was seen; return its number and what has changed, None at the end."""
        async with self._news:
            await self._news.wait_for(lambda: self._closed or self._number > seen)
        if self._closed:
            return None
        changed = (section.event for section in self._sections.values() if section.number > seen)
        return self._number, b"".join(changed)

    def _begin(self) -> None:
        self._before = self._number
        self._sections.clear()  # nobody is shown what was true when somebody else looked
        self._troubles.clear()
        self._gathering = [
            asyncio.create_task(self._follow(source), name=f"console-{source.name}") for source in self._sources
        ]

    def _rest(self) -> None:
        for task in self._gathering:
            task.cancel()

    async def _follow(self, source: Source) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            await self._take(source.name, *await _gathered(source))
            await asyncio.sleep(max(0.0, source.every - (clock() - began)))

    async def _take(self, name: str, sections: Mapping[str, object], trouble: str) -> None:
        """Take in what was gathered; sections that are as they were are no news."""
        told = dict(sections)
        if trouble != self._troubles.get(name, ""):
            self._troubles[name] = trouble
            told[TROUBLES] = {source: words for source, words in self._troubles.items() if words}
        changed = {}
        for section, content in told.items():
            event = b"event: %s\ndata: %s\n\n" % (section.partition("/")[0].encode(), _encode(content))
            known = self._sections.get(section)
            if known is None or known.event != event:
                changed[section] = event
        if changed:
            async with self._news:
                self._number += 1
                self._sections |= {section: Section(self._number, event) for section, event in changed.items()}
                self._news.notify_all()


class View:
    """What one viewer has seen: one that is slow is told what is, and never what was meanwhile."""

    def __init__(self, feed: Feed, seen: int) -> None:
        self._feed = feed
        self._seen = seen

    async def news(self) -> bytes | None:
        """Wait for what this viewer does not know yet; None when the feed has ended."""
        told = await self._feed.after(self._seen)
        if told is None:
            return None
        self._seen, events = told
        return events


async def _gathered(source: Source) -> tuple[Mapping[str, object], str]:
    """Return the sections of a source and no trouble, or none and the trouble."""
    try:
        async with asyncio.timeout(LONGEST):
            return await source.gather(), ""
    except TimeoutError:
        return {}, f"no answer within {LONGEST:.0f} s"
    except Exception as defect:  # noqa: BLE001 - the last frame of ours: the page says it, and goes on asking
        return {}, errors.as_mesh_error(defect).message
