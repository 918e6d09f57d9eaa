"""What every incoming gRPC call passes: identity, trace, a deadline, and errors turned into statuses."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import cache
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from opentelemetry import trace
from prometheus_client import Histogram

from meshkit import identity, logs, status, tracing
from meshkit.credentials import peer_names
from meshkit.errors import MeshError, Reason, invalid
from meshkit.tls import NO_NAMES

DEFAULT_DEADLINE = 60.0
DEADLINE_TRAILER = "llm-mesh-default-deadline"
# gRFC A66's latency boundaries, seconds, thinned to the range a mesh call can take.
BUCKETS = (0.0003, 0.001, 0.003, 0.006, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
DURATION = Histogram(
    "grpc_server_call_duration_seconds",
    "Time to serve a call.",
    ["grpc_method", "grpc_status"],
    buckets=BUCKETS,
)
_duration = cache(DURATION.labels)  # methods are those that exist, codes those of the contract
# Infrastructure calls that need neither identity nor a deadline.
OPEN_SERVICES = ("/grpc.health.v1.", "/grpc.reflection.")

Parse = Callable[[bytes], Any]
Context = grpc.aio.ServicerContext[Any, Any]
log = logs.get("boundary")


class Boundary(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    Args:
        authenticate: resolves the caller from metadata; raises UNAUTHENTICATED.
        default_deadline: seconds granted to a call that came without a deadline.
        certified: callers show certificates, whose names say who they are.
    """

    def __init__(
        self,
        authenticate: identity.Authenticate = identity.development,
        default_deadline: float = DEFAULT_DEADLINE,
        *,
        certified: bool = False,
    ) -> None:
        self._authenticate = authenticate
        self.default_deadline = default_deadline
        self._certified = certified
        self._wrapped: dict[Any, Any] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler, wrapped unless it is health or reflection."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        wrapped = self._wrapped.get(handler)
        if wrapped is None:
            wrapped = self._wrapped[handler] = self._wrap(handler_call_details.method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Any) -> Any:
        if method.startswith(OPEN_SERVICES) or handler.request_streaming:
            return handler
        parse, write = handler.request_deserializer, handler.response_serializer
        if handler.response_streaming:
            serve = self._stream(method, handler.unary_stream, parse)
            return grpc.unary_stream_rpc_method_handler(serve, None, write)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary, parse), None, write)

    # Requests are parsed here, not by gRPC, so that a malformed one is the caller's error and not an internal one.
    def _unary(self, method: str, behaviour: Callable[[Any, Context], Awaitable[Any]], parse: Parse) -> Any:
        async def serve(raw: bytes, context: Context) -> Any:
            async def body() -> Any:
                return await behaviour(_parsed(parse, raw), context)

            return await self._within(method, context, body)

        return serve

    def _stream(self, method: str, behaviour: Callable[[Any, Context], AsyncGenerator[Any]], parse: Parse) -> Any:
        # A coroutine that writes, not a generator: a cancelled call then unwinds our own frames at once, and
        # `aclosing` runs every `finally` below before the call is over.
        async def serve(raw: bytes, context: Context) -> None:
            async def body() -> None:
                async with aclosing(behaviour(_parsed(parse, raw), context)) as responses:
                    async for response in responses:
                        await context.write(response)

            await self._within(method, context, body)

        return serve

    async def _within(self, method: str, context: Context, body: Callable[[], Awaitable[Any]]) -> Any:
        began = time.perf_counter()
        code = "OK"
        metadata = context.invocation_metadata() or ()
        with tracing.incoming(_span_name(method), tracing.header(metadata, tracing.TRACEPARENT)):
            try:
                identity.current.set(self._caller(metadata, context))
                return await self._within_deadline(context, body)
            except MeshError as error:
                code = error.code
                await _abort(context, error)
            except asyncio.CancelledError:
                code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                code = "ABORTED"
                raise
            except Exception as defect:  # noqa: BLE001 - the last frame of ours: a caller must get a status
                code = "INTERNAL"
                await _abort(context, _defect(method, defect))
            finally:
                _duration(method, code).observe(time.perf_counter() - began)

    def _caller(self, metadata: Iterable[tuple[str, str | bytes]], context: Context) -> identity.Caller:
        credentials = {key: value for key, value in metadata if isinstance(value, str)}
        return self._authenticate(credentials, peer_names(context) if self._certified else NO_NAMES)

    async def _within_deadline(self, context: Context, body: Callable[[], Awaitable[Any]]) -> Any:
        if context.time_remaining() is not None:
            return await body()
        context.set_trailing_metadata(((DEADLINE_TRAILER, f"{self.default_deadline:g}"),))
        try:
            async with asyncio.timeout(self.default_deadline):
                return await body()
        except TimeoutError:
            raise MeshError(
                Reason.DEADLINE_EXCEEDED,
                f"the call came without a deadline and took longer than the default of {self.default_deadline:g} s",
            ) from None


def _parsed(parse: Parse, raw: bytes) -> Any:
    try:
        return parse(raw)
    except DecodeError:
        raise invalid("", "the request is no valid message of its type: truncated, or text that is not UTF-8") from None


async def _abort(context: Context, error: MeshError) -> NoReturn:
    trace.get_current_span().set_attribute("error.type", error.reason.value)
    details = (status.DETAILS_KEY, status.to_proto(error).SerializeToString())
    trailer = (*(context.trailing_metadata() or ()), details)
    await context.abort(status.grpc_code(error), error.message, trailer)
    raise AssertionError("abort returned")


def _defect(method: str, defect: Exception) -> MeshError:
    # The type and place, not the text: an exception's text may hold a prompt or a key.
    log.error("defect", method=method, type=type(defect).__name__, where=where_of(defect))
    return MeshError(Reason.INTERNAL, "the mesh failed to serve this call; its log has the details")


def where_of(defect: Exception) -> str:
    """Return the file and line a defect was raised at."""
    frame = defect.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""


def _span_name(method: str) -> str:
    return "Recv." + method.lstrip("/").replace("/", ".")
