"""Adds the console to the edge: its files for everybody, its figures for operators."""

import asyncio

from aiohttp import web

from meshkit import identity
from meshkit.clock import Clock
from meshkit.errors import MeshError
from router_service.edge.console import page
from router_service.edge.console.feed import Feed, Source
from router_service.edge.console.sections import LATER, SOON, Sections
from router_service.edge.event_stream import EventStream
from router_service.edge.exchange import KEY
from router_service.edge.waits import Waits
from router_service.interface import Router

EVENTS = f"{page.PLACE}/events"
# A viewer that takes nothing for so many seconds has gone without saying so.
STALLED = 30.0
HEADERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


class Console:
    """The page and its events.

    Args:
        router: knows everything there is to show.
        authenticate: is asked again before each event: a key that is revoked shows nothing more.
        clock: says what day it is.
        waits: how long a silence may be.
    """

    def __init__(self, router: Router, authenticate: identity.Authenticate, clock: Clock, waits: Waits) -> None:
        sections = Sections(router, clock)
        self.feed = Feed(
            (
                Source("state", sections.state, SOON),
                Source("standings", sections.standings, LATER),
                Source("spend", sections.spend, LATER),
            )
        )
        self._files = page.files()
        self._authenticate = authenticate
        self._waits = waits

    @property
    def open_paths(self) -> frozenset[str]:
        """Return the paths that need no key: files that say nothing of this mesh."""
        return frozenset((*self._files, f"{page.PLACE}/"))

    def install(self, application: web.Application) -> None:
        """Add the page to an application."""
        for path, file in self._files.items():
            application.router.add_get(path, page.serving(file))
        application.router.add_get(f"{page.PLACE}/", page.without_slash)
        application.router.add_get(EVENTS, self.events, allow_head=False)
        application.on_shutdown.append(self._close)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Tell an operator how everything is, and then each second what has changed; without an end."""
        identity.demand_operator()
        async with (
            self.feed.watching() as view,
            EventStream(request, dict(HEADERS), self._waits.heartbeat, self._waits.heartbeat) as out,
        ):
            while (news := await view.news()) is not None and self._may_look(request[KEY].headers):
                try:
                    async with asyncio.timeout(STALLED):
                        await out.send(news)
                except TimeoutError:
                    raise ConnectionResetError("the viewer stopped reading") from None
            return await out.end()

    def _may_look(self, headers: dict[str, str]) -> bool:
        try:
            return self._authenticate(headers).operator
        except MeshError:
            return False

    async def _close(self, _application: web.Application) -> None:
        await self.feed.close()
