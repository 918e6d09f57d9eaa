"""Tells operators of every request: one log line and the figures of the dashboard, whatever became of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram

from meshkit import logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service.attempt import SERVED, Attempt
from router_service.journey import Journey
from router_service.silence import UNMETERED

# The GenAI conventions' duration boundaries, seconds, extended for reasoning models.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68)
REQUESTS = Counter("mesh_requests_total", "Requests by outcome.", ["use_case", "tier", "vendor", "model", "outcome"])
DURATION = Histogram("mesh_request_duration_seconds", "Whole requests.", ["use_case", "vendor"], buckets=SECONDS)
FIRST_TOKEN = Histogram(
    "mesh_time_to_first_token_seconds", "From the request to its first piece.", ["use_case", "vendor"], buckets=SECONDS
)
TOKENS = Counter("mesh_tokens_total", "Tokens charged.", ["vendor", "model", "type"])
COST = Counter("mesh_cost_usd_total", "Money charged, US dollars.", ["vendor", "model", "use_case", "tier"])
ATTEMPTS = Counter("mesh_attempts_total", "Calls to vendors.", ["vendor", "model", "outcome"])
FALLBACKS = Counter("mesh_fallbacks_total", "Requests another than the first choice served.", ["from", "to", "reason"])
IN_FLIGHT = Gauge("mesh_in_flight_requests", "Requests being served.")
ESTIMATED = Counter("mesh_usage_estimated_total", "Attempts charged by estimate.", ["vendor"])
# Of what was held before the vendor had counted: below 1 room was kept for nothing, above 1 the ledger was overdrawn.
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)
ESTIMATE = Histogram(
    "mesh_estimate_ratio",
    "Tokens counted by the vendor, by tokens estimated.",
    ["vendor", "model_class", "type"],
    buckets=RATIOS,
)
UNPRICED = Counter("mesh_unpriced_total", "Attempts of a model without a price.", ["vendor", "model"])
INCOMPLETE = Counter("mesh_stream_incomplete_total", "Streams that broke after content was forwarded.", ["vendor"])
log = logs.get("request")
# Every label comes from the catalogue or an enumeration, so these remember no more than the catalogue has.
_requests = cache(REQUESTS.labels)
_duration = cache(DURATION.labels)
_first_token = cache(FIRST_TOKEN.labels)
_tokens = cache(TOKENS.labels)
_cost = cache(COST.labels)
_attempts = cache(ATTEMPTS.labels)
_estimate = cache(ESTIMATE.labels)


@contextmanager
def following(journey: Journey, clock: Clock) -> Iterator[None]:
    """Report the journey once the body has ended, in whatever way."""
    began = clock.monotonic()
    outcome, reason = "served", ""
    IN_FLIGHT.inc()
    try:
        yield
    except MeshError as error:
        outcome, reason = "failed", error.reason.value
        raise
    except (asyncio.CancelledError, GeneratorExit):
        outcome = "served" if journey.serving else "cancelled"
        raise
    except Exception:
        outcome, reason = "failed", Reason.INTERNAL.value
        raise
    finally:
        IN_FLIGHT.dec()
        _count(journey, outcome, clock.monotonic() - began, began)
        _write(journey, outcome, reason, clock.monotonic() - began)


def _count(journey: Journey, outcome: str, seconds: float, began: float) -> None:
    last = journey.attempts[-1].planned.offer if journey.attempts else None
    vendor, model = (last.ref.vendor, last.ref.model) if last else ("none", "none")
    use_case, tier = journey.demand.use_case.name, journey.demand.tier
    _requests(use_case, tier, vendor, model, outcome).inc()
    _duration(use_case, vendor).observe(seconds)
    for attempt in journey.attempts:
        _count_attempt(attempt, use_case, tier)
    serving = journey.serving
    if serving is not None and serving.first_token_at is not None:
        _first_token(use_case, vendor).observe(serving.first_token_at - began)
    if journey.fell_back and (first := journey.plan.first) is not None:
        FALLBACKS.labels(first.vendor, vendor, journey.fallback_reason()).inc()
    if outcome == "failed" and (broken := journey.broken) is not None:
        INCOMPLETE.labels(broken.planned.offer.ref.vendor).inc()


def _count_attempt(attempt: Attempt, use_case: str, tier: str) -> None:
    vendor, model = attempt.planned.offer.ref.vendor, attempt.planned.offer.ref.model
    usage = attempt.usage
    _attempts(vendor, model, attempt.outcome).inc()
    _tokens(vendor, model, "input").inc(usage.input_tokens)
    _tokens(vendor, model, "output").inc(usage.output_tokens)
    if usage.cached_input_tokens:
        _tokens(vendor, model, "cached").inc(usage.cached_input_tokens)
    if usage.reasoning_tokens:
        _tokens(vendor, model, "reasoning").inc(usage.reasoning_tokens)
    _cost(vendor, model, use_case, tier).inc(usage.cost_nanos / 1e9)
    if attempt.outcome == SERVED and not usage.estimated:
        _compare_with_estimate(attempt)
    if attempt.unmetered:
        UNMETERED.labels(vendor).inc()
    if usage.estimated:
        ESTIMATED.labels(vendor).inc()
    if usage.unpriced:
        UNPRICED.labels(vendor, model).inc()


def _compare_with_estimate(attempt: Attempt) -> None:
    """Note how far off the estimate was; vectors have no output to estimate."""
    planned, usage = attempt.planned, attempt.usage
    vendor, model_class = planned.offer.ref.vendor, planned.offer.model.model_class
    for kind, counted, estimated in (
        ("input", usage.input_tokens, planned.input_tokens),
        ("output", usage.output_tokens, planned.output_tokens),
    ):
        if estimated:
            _estimate(vendor, model_class, kind).observe(counted / estimated)


def _write(journey: Journey, outcome: str, reason: str, seconds: float) -> None:
    serving = journey.serving
    fields: dict[str, object] = {
        "request_id": journey.request_id,
        "operation": "embeddings" if journey.demand.embeds else "chat",
        "use_case": journey.demand.use_case.name,
        "tier": journey.demand.tier,
        "outcome": outcome,
        "ms": round(seconds * 1000, 1),
        "attempts": len(journey.attempts),
        "cost_nanos": sum(attempt.usage.cost_nanos for attempt in journey.attempts),
    }
    if serving is not None:
        usage = serving.usage
        fields |= {"offer": serving.offer_text, "input": usage.input_tokens, "output": usage.output_tokens}
    if reason:
        fields["reason"] = reason
    log.info("request", **fields)
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes({f"llm_mesh.{key}": str(value) for key, value in fields.items()})
