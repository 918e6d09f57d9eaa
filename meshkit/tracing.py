"""One trace through every hop: W3C context in gRPC metadata and HTTP headers, sampled before the SDK is touched.

An unsampled request costs two random numbers and a context variable; a sampled one becomes SDK spans, sent over OTLP.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from opentelemetry.util.types import AttributeValue

from meshkit.errors import MeshError

if TYPE_CHECKING:
    from meshkit.exporting import Exporting

__all__ = ["TRACEPARENT", "SpanKind", "header", "incoming", "outgoing", "parse", "render", "span", "start"]

TRACEPARENT = "traceparent"
_UNSAMPLED = TraceFlags(TraceFlags.DEFAULT)
_tracer = trace.get_tracer("llm-mesh")
_ratio = 0.0


def start(service: str, *, otlp_endpoint: str | None, sample_ratio: float) -> "Exporting | None":
    """Begin exporting spans; without an endpoint nothing is recorded. Returns what is to be shut down at the end.

    Args:
        service: the OpenTelemetry service name.
        otlp_endpoint: an OTLP/gRPC address such as "http://127.0.0.1:4317".
        sample_ratio: share of the requests that begin here to record, 0 to 1. A caller's own decision is kept.
    """
    global _ratio  # noqa: PLW0603 - one process, one tracer, set once at start
    if not otlp_endpoint:
        return None
    from meshkit import exporting  # noqa: PLC0415 - seven megabytes that a process without a collector does not need

    _ratio = sample_ratio
    return exporting.begin(service, otlp_endpoint)


@contextmanager
def span(
    name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, AttributeValue] | None = None
) -> Iterator[Span]:
    """Record a child of the current span if this trace is sampled; an exception marks it as failed by type alone."""
    current = trace.get_current_span()
    if not current.get_span_context().trace_flags.sampled:
        yield current
        return
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as child:
        try:
            yield child
        except BaseException as error:
            _note_failure(child, error)
            raise


def _note_failure(failed: Span, error: BaseException) -> None:
    """Mark a span as failed: by a MeshError's reason, else by type alone, unless somebody has named a better reason."""
    failed.set_status(Status(StatusCode.ERROR))
    if "error.type" not in (getattr(failed, "attributes", None) or {}):
        reason = error.reason.value if isinstance(error, MeshError) else type(error).__name__
        failed.set_attribute("error.type", reason)


@contextmanager
def incoming(name: str, traceparent: str | None) -> Iterator[Span]:
    """Enter the trace a caller sent, or begin one; the body runs inside a server span if it is sampled."""
    parent = parse(traceparent) or _begin()
    token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        with span(name, SpanKind.SERVER) as child:
            yield child
    finally:
        otel_context.detach(token)


def outgoing() -> tuple[tuple[str, str], ...]:
    """Return the gRPC metadata or HTTP headers that carry the current trace on."""
    current = trace.get_current_span().get_span_context()
    return ((TRACEPARENT, render(current)),) if current.is_valid else ()


def parse(traceparent: str | None) -> SpanContext | None:
    """Read a W3C traceparent; None when it is missing or malformed."""
    parts = (traceparent or "").split("-")
    if [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    try:
        trace_id, span_id, flags = (int(part, 16) for part in parts[1:4])
    except ValueError:
        return None
    if not trace_id or not span_id:
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags & 1))


def render(span_context: SpanContext) -> str:
    """Write a W3C traceparent."""
    return f"00-{span_context.trace_id:032x}-{span_context.span_id:016x}-{span_context.trace_flags:02x}"


def header(pairs: Iterable[tuple[str, str | bytes]], name: str) -> str | None:
    """Return the first text value of that name in gRPC metadata."""
    return next((value for key, value in pairs if key == name and isinstance(value, str)), None)


def _begin() -> SpanContext:
    sampled = _ratio > 0 and random.random() < _ratio  # noqa: S311 - sampling, not secrecy
    flags = TraceFlags(TraceFlags.SAMPLED) if sampled else _UNSAMPLED
    trace_id, span_id = random.getrandbits(128) or 1, random.getrandbits(64) or 1
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)
