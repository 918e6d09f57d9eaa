"""Keeps pages of other origins from calling, unless they are on the list, which is empty by default."""

from collections.abc import Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from meshkit.admin import is_loopback
from meshkit.errors import MeshError, Reason
from router_service.edge import headers as header

EVERY_ORIGIN = "*"
# For pages of the mesh alone, whoever is on the list.
CONSOLE = "/console"
METHODS = "GET, POST, OPTIONS"
SECONDS = 600
# What a page may read of a reply besides its body.
EXPOSED = (
    header.REQUEST_ID,
    header.OFFER,
    header.COST,
    *header.LIMITS,
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
)


class Cors:
    """Answers the question browsers ask before a page calls, and names the origin in replies.

    Args:
        origins: such as "https://app.example"; "*" stands for all.
    """

    def __init__(self, origins: Collection[str]) -> None:
        self.allow(origins)

    def allow(self, origins: Collection[str]) -> None:
        """Let pages of these origins call from now on, and no others."""
        self._origins = frozenset(origins)

    def install(self, application: web.Application) -> None:
        """Have an application do so."""
        application.middlewares.insert(0, self._ask_first())
        application.on_response_prepare.append(self._name_origin)

    def _allows(self, request: web.BaseRequest) -> bool:
        if request.path.startswith(CONSOLE):
            return False
        origin = request.headers.get("Origin")
        return origin is not None and bool({origin, EVERY_ORIGIN} & self._origins)

    def _ask_first(self) -> Middleware:
        @web.middleware
        async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
            asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
            if not (asked and self._allows(request)):
                return await handler(request)
            headers = {"Access-Control-Allow-Methods": METHODS, "Access-Control-Max-Age": str(SECONDS)}
            if wanted := request.headers.get("Access-Control-Request-Headers"):
                # Clients send many headers of their own; which of them are read is decided when they come.
                headers["Access-Control-Allow-Headers"] = wanted
            return web.Response(status=204, headers=headers)

        return preflight

    def demand_ours(self, request: web.BaseRequest, *, local: bool) -> None:
        """Refuse what a page elsewhere made the browser of this machine send: without keys nothing else would.

        Args:
            request: names the origin of the page, if one sent it.
            local: this machine alone is served, so it is called by a name of its own and by no other. A page could have
                its own name lead here, and would then be of the same origin.

        Raises:
            MeshError: FORBIDDEN.
        """
        called = urlsplit(f"//{request.headers.get('Host', 'localhost')}")
        if local and not _is_ours(called.hostname or ""):
            raise MeshError(
                Reason.FORBIDDEN,
                "without a caller key this mesh serves localhost only, and was called by another name; "
                "use 127.0.0.1 or localhost, or set ORCHESTRATOR_API_KEY",
            )
        origin = request.headers.get("Origin")
        if origin is None or self._allows(request) or urlsplit(origin).netloc == called.netloc:
            return
        raise MeshError(
            Reason.FORBIDDEN,
            "a page of another origin called a mesh without a caller key; list its origin in edge.cors_origins, "
            "or set ORCHESTRATOR_API_KEY",
        )

    async def _name_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._origins:
            response.headers.add("Vary", "Origin")
        if self._allows(request):
            allowed = EVERY_ORIGIN if EVERY_ORIGIN in self._origins else request.headers["Origin"]
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)


def _is_ours(host: str) -> bool:
    return is_loopback(host) or host.endswith(".localhost")
