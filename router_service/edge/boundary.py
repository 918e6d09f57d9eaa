"""What every HTTP request passes: an id, a trace, the caller's identity, and failures in the OpenAI shape."""

import time
from collections.abc import Callable, Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from prometheus_client import Histogram

from meshkit import identity, tracing
from meshkit.boundary import BUCKETS
from router_service.edge import errors
from router_service.edge import headers as header
from router_service.edge.exchange import KEY, MAX_BODY_BYTES, Exchange, gone

OPEN_PATHS = ("/healthz", "/health", "/api/coordination/health")
# Where answers and failures are plain objects.
GENERATE_PATHS = ("/llm/generate", "/api/coordination/llm/generate")
PROCESS_PATHS = ("/orchestrator/process",)
PLAIN_PATHS = (*GENERATE_PATHS, *PROCESS_PATHS)
DURATION = Histogram(
    "http_server_request_duration_seconds",
    "Time to serve an HTTP request.",
    ["http_route", "http_response_status_code"],
    buckets=BUCKETS,
)
CHAT, EMBEDDINGS, MODELS = "POST /v1/chat/completions", "POST /v1/embeddings", "GET /v1/models"
# What to use instead of what people try, by how its path begins.
INSTEAD = {
    "/v1/responses": CHAT,
    "/v1/completions": CHAT,
    "/v1/messages": CHAT,
    "/v1/chat": CHAT,
    "/chat": CHAT,
    "/api/chat": CHAT,
    "/api/generate": CHAT,
    "/v1beta/models": CHAT,
    "/embeddings": EMBEDDINGS,
    "/api/embed": EMBEDDINGS,
    "/api/tags": MODELS,
    "/v1/engines": MODELS,
    "/docs": "GET /openapi.json",
}
# What a refusal of the HTTP server itself means here.
REFUSALS = {
    405: "this path does not take {method}; it takes {allowed}",
    408: "the body did not arrive in time",
    413: f"the body is longer than {MAX_BODY_BYTES // 1024 // 1024} MB",
}


def boundary(
    authenticate: identity.Authenticate,
    open_paths: Collection[str] = OPEN_PATHS,
    demand: Callable[[web.Request], None] | None = None,
) -> Middleware:
    """Make the middleware of an application.

    Args:
        authenticate: resolves the caller from headers; raises UNAUTHENTICATED.
        open_paths: need no key.
        demand: raises for a request that nobody shall serve, whoever sends it.
    """

    def caller(request: web.Request, headers: dict[str, str]) -> identity.Caller:
        if request.path in open_paths:
            return identity.LOCAL
        if demand is not None:
            demand(request)
        return authenticate(headers)

    @web.middleware
    async def serve(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        route = _route(request)
        status = 499  # what is counted when the caller left
        headers = header.plain(request.headers)
        with tracing.incoming(f"{request.method} {route}", headers.get(tracing.TRACEPARENT)):
            try:
                response = await _answer(request, handler, headers, caller)
                status = response.status
            finally:
                DURATION.labels(route, status).observe(time.perf_counter() - began)
        return response

    return serve


async def _answer(
    request: web.Request,
    handler: Handler,
    headers: dict[str, str],
    identify: Callable[[web.Request, dict[str, str]], identity.Caller],
) -> web.StreamResponse:
    """Serve a request; every failure but the caller's own leaving becomes a response."""
    request_id = header.new_request_id()
    try:
        request_id = header.request_id(headers)
        caller = identify(request, headers)
        identity.current.set(caller)
        request[KEY] = Exchange(request_id, caller, headers)
        response = await handler(request)
    except web.HTTPException as refusal:
        response = _failed(request, errors.describe_http(refusal, _meaning(request, refusal), request_id))
    except Exception as defect:  # noqa: BLE001 - the last frame of ours: a caller must get a status
        if gone(request):
            raise ConnectionResetError("the caller is gone") from None
        error = errors.as_mesh_error(defect)
        trace.get_current_span().set_attribute("error.type", error.reason.value)
        response = _failed(request, errors.describe(error, request_id))
    if not response.prepared:
        response.headers[header.REQUEST_ID] = request_id
    return response


def _failed(request: web.Request, failure: errors.HttpFailure) -> web.Response:
    body = failure.plain_body() if request.path in PLAIN_PATHS else failure.body()
    return web.Response(status=failure.status, body=body, content_type="application/json", headers=failure.headers)


def _meaning(request: web.Request, refusal: web.HTTPException) -> str:
    if refusal.status == 404:
        instead = next((use for path, use in INSTEAD.items() if request.path.startswith(path)), "")
        hint = f" instead of {request.path[:100]} use {instead};" if instead else ""
        return f"no such path;{hint} this server has {', '.join(_paths(request.app))}"
    text = REFUSALS.get(refusal.status, refusal.reason)
    return text.format(method=request.method, allowed=refusal.headers.get("Allow", ""))


def _paths(application: web.Application) -> list[str]:
    """Name what exists, such as "GET /v1/models"."""
    routes = {(route.resource.canonical, route.method) for route in application.router.routes() if route.resource}
    return [f"{method} {path}" for path, method in sorted(routes) if method != "HEAD"]


def _route(request: web.Request) -> str:
    """Return the path pattern that matched: few names, whatever callers ask for."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unmatched"
