"""Starts and stops the HTTP edge: which paths there are and who serves them."""

from collections.abc import Collection
from types import TracebackType
from typing import Self

from aiohttp import web

from meshkit import identity
from meshkit.admin import listen
from meshkit.clock import Clock, SystemClock
from router_service.edge.boundary import GENERATE_PATHS, OPEN_PATHS, PROCESS_PATHS, boundary
from router_service.edge.chat import Chat
from router_service.edge.cors import Cors
from router_service.edge.embeddings import Embeddings
from router_service.edge.exchange import MAX_BODY_BYTES
from router_service.edge.generate import Generate, read_conversation, read_task
from router_service.edge.health import Health
from router_service.edge.models import Models
from router_service.edge.providers import Providers
from router_service.edge.waits import Waits
from router_service.interface import Router

DRAIN_SECONDS = 5.0


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
        self._runner = web.AppRunner(
            self._application(), access_log=None, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS
        )
        self.port = await listen(self._runner, self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[boundary(self._authenticate)], client_max_size=MAX_BODY_BYTES)
        self._cors.install(application)
        chat = Chat(self._router, self._clock, self._waits)
        embeddings = Embeddings(self._router, self._waits)
        models = Models(self._router)
        application.router.add_post("/v1/chat/completions", chat.serve)
        application.router.add_post("/v1/embeddings", embeddings.serve)
        for path in ("/v1/models", "/models"):
            application.router.add_get(path, models.listing)
        application.router.add_get("/v1/models/{id:.+}", models.one)
        for path in ("/llm/providers", "/api/coordination/llm/providers"):
            application.router.add_get(path, Providers(self._router).listing)
        for path in GENERATE_PATHS:
            generate = Generate(self._router, self._waits, read_conversation, "content")
            application.router.add_post(path, generate.serve)
        for path in PROCESS_PATHS:
            application.router.add_post(path, Generate(self._router, self._waits, read_task, "result").serve)
        health = Health(self._router)
        for path in OPEN_PATHS:
            application.router.add_get(path, health.brief)
        application.router.add_get("/api/health", health.full)
        return application
