"""Answers what is no HTTP in the shape of all refusals; what it was is neither shown nor logged: it may hold a key."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from router_service.edge import errors
from router_service.edge import headers as header

LONGEST_LINE = 8_190  # bytes of the first line, or of a header
SERVER = "llm-mesh"
MALFORMED = "this is no HTTP request, or one with a damaged header or body"
Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
TOO_LONG = f"the first line or a header is longer than {LONGEST_LINE} bytes"


class Doorstep(web.RequestHandler):
    """One connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, or what failed outside all that is ours; the connection ends with it."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("the answer has begun, or the caller is gone: nobody is to be told anything")
        request_id = header.new_request_id()
        response = _response(_failure(status, exc, request_id), request_id)
        response.force_close()
        return response

    def log_exception(self, *_words: object, **more: object) -> None:
        """Log where a defect came from, without its text; a body that is damaged behind its answer is none."""
        defect = more.get("exc_info")
        if isinstance(defect, Exception) and not isinstance(defect, web.RequestPayloadError):
            errors.as_mesh_error(defect)


class Connections(web.Server):
    """Makes a doorstep of each connection."""

    def __call__(self) -> Doorstep:
        """Make one."""
        return Doorstep(self, loop=self._loop, **self._kwargs)


class EdgeRunner(web.AppRunner):
    """Runs an application behind such doorsteps."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Connections(
            _in_our_shape(made.request_handler),
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=made._loop,  # noqa: SLF001 - the library has no other way to choose the class of a connection
            **made._kwargs,  # noqa: SLF001
        )


def _in_our_shape(serve: Serve) -> Serve:
    """Give what the library refuses by itself the shape of all refusals, such as an expectation nobody can meet."""

    async def served(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await serve(request)
        except web.HTTPException as refusal:
            request_id = header.new_request_id()
            return _response(errors.describe_http(refusal, refusal.reason.lower(), request_id), request_id)

    return served


def _response(failure: errors.HttpFailure, request_id: str) -> web.Response:
    named = {**failure.headers, header.REQUEST_ID: request_id, "Server": SERVER}
    return web.Response(status=failure.status, body=failure.body(), content_type="application/json", headers=named)


def _failure(status: int, exc: BaseException | None, request_id: str) -> errors.HttpFailure:
    if status != HTTPStatus.BAD_REQUEST:
        defect = exc if isinstance(exc, Exception) else RuntimeError()
        return errors.describe(errors.as_mesh_error(defect), request_id)
    if isinstance(exc, LineTooLong):
        return errors.describe_http(web.HTTPRequestHeaderFieldsTooLarge(), TOO_LONG, request_id)
    return errors.describe_http(web.HTTPBadRequest(), MALFORMED, request_id)
