"""Lets pages of other origins call, if they are on the list: closed to all others, and to everybody by default."""

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

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

    async def _name_origin(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._origins:
            response.headers.add("Vary", "Origin")
        if self._allows(request):
            allowed = EVERY_ORIGIN if EVERY_ORIGIN in self._origins else request.headers["Origin"]
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
