"""Starts and stops the HTTP edge."""

from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Self

from aiohttp import web

from meshkit import identity
from meshkit.admin import is_loopback, listen, split_address
from meshkit.clock import Clock, SystemClock
from router_service.edge.boundary import OPEN_PATHS, boundary
from router_service.edge.console.console import Console
from router_service.edge.cors import Cors
from router_service.edge.doorstep import LONGEST_LINE, SERVER, EdgeRunner
from router_service.edge.exchange import MAX_BODY_BYTES
from router_service.edge.openapi import OpenApi
from router_service.edge.table import routes
from router_service.edge.waits import Waits
from router_service.interface import Router

DRAIN_SECONDS = 5.0
# So long a caller whose body was refused before all of it was there may go on sending: else it might not see why.
LINGER_SECONDS = 3.0


class EdgeServer:
    """The HTTP edge of one router.

    Args:
        address: "host:port"; port 0 chooses a free one.
        router: serves the requests.
        authenticate: resolves the caller from lower-case headers; raises UNAUTHENTICATED.
        default_deadline: seconds granted to a request that does not say how long its caller waits.
        patience: seconds of silence before a stream's headers are sent; until then a failure has its own status.
        heartbeat: seconds of silence between a stream's comments.
        origins: of pages that may call; empty for none, "*" for all.
        clock: says when a reply was created.
    """

    def __init__(
        self,
        address: str,
        router: Router,
        authenticate: identity.Authenticate = identity.development,
        default_deadline: float = 60.0,
        *,
        patience: float = 10.0,
        heartbeat: float = 15.0,
        origins: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._address = address
        self._router = router
        self._authenticate = authenticate
        self._cors = Cors(origins)
        self._waits = Waits(deadline=default_deadline, patience=patience, heartbeat=heartbeat)
        self._clock = clock or SystemClock()
        self.port = 0

    async def __aenter__(self) -> Self:
        # Cancelled with its connection: a caller that leaves stops what it asked for.
        self._runner = EdgeRunner(
            self._application(),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=DRAIN_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            lingering_time=LINGER_SECONDS,
        )
        self.port = await listen(self._runner, self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def take(self, default_deadline: float, heartbeat: float, origins: Collection[str]) -> None:
        """Go by other settings, for what begins from now on."""
        self._waits.deadline, self._waits.heartbeat = default_deadline, heartbeat
        self._cors.allow(origins)

    def _keyless(self) -> Callable[[web.BaseRequest], None] | None:
        """Return what keeps pages of others out where no key does."""
        if self._authenticate is not identity.development:
            return None
        return partial(self._cors.demand_ours, local=is_loopback(split_address(self._address)[0]))

    def _application(self) -> web.Application:
        console = Console(self._router, self._authenticate, self._clock, self._waits)
        passage = boundary(self._authenticate, {*OPEN_PATHS, *console.open_paths}, self._keyless())
        application = web.Application(middlewares=[passage], client_max_size=MAX_BODY_BYTES)
        console.install(application)
        self._cors.install(application)
        application.on_response_prepare.append(_name_server)
        for route in OpenApi(routes(self._router, self._clock, self._waits)).routes:
            for path in route.paths:
                add = application.router.add_get if route.method == "GET" else application.router.add_post
                add(path, route.serve)
        return application


async def _name_server(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Say who answers, not with which libraries."""
    response.headers["Server"] = SERVER
