"""What a provider service counts and times: GenAI metrics and spans, with labels from the catalogue only."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

from llmmesh.chat.v1.chat_pb2 import Usage
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue
from prometheus_client import Counter, Histogram

from meshkit import logs, tracing
from meshkit.errors import MeshError

# The GenAI conventions' boundaries, seconds; the last three are for models that think for minutes.
SECONDS = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
    163.84,
    327.68,
    655.36,
)
TOKENS = tuple(4**power for power in range(14))
_OPERATION = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
DURATION = Histogram(
    "gen_ai_client_operation_duration_seconds", "Time a vendor took.", [*_OPERATION, "error_type"], buckets=SECONDS
)
FIRST_CHUNK = Histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "Time to the first content of a stream.",
    _OPERATION,
    buckets=SECONDS,
)
TOKEN_USAGE = Histogram(
    "gen_ai_client_token_usage", "Tokens a call used.", [*_OPERATION, "gen_ai_token_type"], buckets=TOKENS
)
REQUESTS = Counter("mesh_vendor_requests_total", "Calls to vendors.", ["vendor", "model", "outcome"])
INCOMPLETE = Counter("mesh_vendor_stream_incomplete_total", "Streams that broke after their first content.", ["vendor"])
ESTIMATED = Counter("mesh_vendor_usage_missing_total", "Answers whose tokens the vendor did not count.", ["vendor"])

# Every label below comes from the catalogue or an enumeration, so the caches stay as small as the catalogue.
_duration = lru_cache(maxsize=None)(DURATION.labels)
_first_chunk = lru_cache(maxsize=None)(FIRST_CHUNK.labels)
_token_usage = lru_cache(maxsize=None)(TOKEN_USAGE.labels)
_requests = lru_cache(maxsize=None)(REQUESTS.labels)
OTHER = "other"
EMBEDDINGS = "embeddings"  # the one operation without output tokens
log = logs.get("measures")


class Measured:
    """One call being measured."""

    def __init__(self, vendor: str, labels: tuple[str, str, str], span: Span) -> None:
        self._vendor = vendor
        self._labels = labels
        self._span = span
        self._began = time.perf_counter()
        self._started = False

    @property
    def seconds(self) -> float:
        """How long the call has taken."""
        return time.perf_counter() - self._began

    def content(self) -> None:
        """Note that content came; only the first counts."""
        if not self._started:
            self._started = True
            _first_chunk(*self._labels).observe(self.seconds)

    def used(self, usage: Usage, response_id: str = "", model: str = "") -> None:
        """Note what the answer used."""
        _token_usage(*self._labels, "input").observe(usage.input_tokens)
        if self._labels[0] != EMBEDDINGS:
            _token_usage(*self._labels, "output").observe(usage.output_tokens)
        if usage.estimated:
            ESTIMATED.labels(self._vendor).inc()
        if self._span.is_recording():
            self._span.set_attributes(
                {
                    "gen_ai.response.id": response_id,
                    "gen_ai.response.model": model,
                    "gen_ai.usage.input_tokens": usage.input_tokens,
                    "gen_ai.usage.output_tokens": usage.output_tokens,
                    "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
                    "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
                }
            )

    def end(self, outcome: str) -> None:
        """Note how the call ended: "ok", or an error's reason."""
        milliseconds = round(self.seconds * 1000, 1)
        log.debug("vendor_call", vendor=self._vendor, model=self._labels[2], outcome=outcome, ms=milliseconds)
        error_type = "" if outcome == "ok" else outcome
        _duration(*self._labels, error_type).observe(self.seconds)
        _requests(self._vendor, self._labels[2], outcome).inc()
        if self._started and outcome not in {"ok", "cancelled"}:
            INCOMPLETE.labels(self._vendor).inc()


class Measures:
    """Measures the calls to one vendor.

    Args:
        vendor: its id.
        provider_name: its `gen_ai.provider.name`.
        host: the host called.
    """

    def __init__(self, vendor: str, provider_name: str, host: str) -> None:
        self._vendor = vendor
        self._provider_name = provider_name
        self._host = host

    @contextmanager
    def call(
        self, operation: str, model: str, attributes: Mapping[str, AttributeValue] | None = None
    ) -> Iterator[Measured]:
        """Measure one call of a model from the catalogue ("other" for any else), within its own client span."""
        named = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": self._provider_name,
            "gen_ai.request.model": model,
            "server.address": self._host,
            **(attributes or {}),
        }
        with tracing.span(f"{operation} {model}", SpanKind.CLIENT, named) as span:
            measured = Measured(self._vendor, (operation, self._provider_name, model), span)
            outcome = "ok"
            try:
                yield measured
            except MeshError as error:
                outcome = error.reason.value
                raise
            except (asyncio.CancelledError, GeneratorExit):
                outcome = "cancelled"
                raise
            except BaseException:
                outcome = "defect"
                raise
            finally:
                measured.end(outcome)
