"""Writes the `llm_mesh` object of replies: who served, the exact cost, what was tried and dropped."""

from collections.abc import Iterable
from typing import cast

import msgspec
from google.protobuf.duration_pb2 import Duration
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from router_service.edge.shapes.mesh import Attempt, Course, Particulars, PromptDetails, Served, Usage

NANOS = 1_000_000_000


def describe(route: router_pb2.Route, usage: chat_pb2.Usage, warnings: Iterable[chat_pb2.Warning]) -> Served:
    """Describe a route that served."""
    course = _course(route)
    found: Served = {
        "request_id": route.request_id,
        "vendor": route.vendor,
        "offer": route.offer,
        "cost_usd": usd(usage.cost_nanos),
        "list_cost_usd": usd(usage.list_cost_nanos),
        "total_cost_usd": course["total_cost_usd"],
        "use_case": course["use_case"],
        "tier": course["tier"],
        "fallback_used": course["fallback_used"],
        "primary_error": course["primary_error"],
        "attempts": course["attempts"],
        "skipped": course["skipped"],
        "passed_over": course["passed_over"],
        "warnings": [
            {"code": warning.code, "field": warning.field, "message": warning.message} for warning in warnings
        ],
    }
    if usage.estimated:
        found["estimated"] = True
    if usage.unpriced:
        found["unpriced"] = True
    return found


def describe_failure(failure: router_pb2.RouteFailure, found: Particulars) -> None:
    """Describe a route that did not serve, or not to its end, among the particulars of its error."""
    found.update(cast("Particulars", _course(failure.route)))
    if failure.route.offer:
        found["offer"] = failure.route.offer
    if failure.HasField("partial_usage"):
        found["partial_usage"] = usage_of(failure.partial_usage)


def usage_of(usage: chat_pb2.Usage) -> Usage:
    """Write token counts in the OpenAI shape."""
    prompt: PromptDetails = {"cached_tokens": usage.cached_input_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def tier_name(tier: "router_pb2.Tier.ValueType") -> str | None:
    """Name a tier as configuration does; None when unspecified."""
    return router_pb2.Tier.Name(tier).removeprefix("TIER_").lower() if tier else None


def usd_text(nanos: int) -> str:
    """Write nano-dollars as an exact decimal number of dollars."""
    whole, rest = divmod(abs(nanos), NANOS)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanos < 0 else text


def usd(nanos: int) -> msgspec.Raw:
    """Return that number as JSON; a float would round it."""
    return msgspec.Raw(usd_text(nanos).encode())


def _course(route: router_pb2.Route) -> Course:
    """Describe what a served and a failed route have in common."""
    return {
        "use_case": route.use_case,
        "tier": tier_name(route.tier),
        "fallback_used": route.fallback_used,
        "primary_error": route.primary_error or None,
        "attempts": [_attempt(attempt) for attempt in route.attempts],
        "skipped": dict(sorted(route.skipped.items())),
        "passed_over": [{"offer": o.offer, "budget": o.budget, "reason": o.reason} for o in route.passed_over],
        "total_cost_usd": usd(route.total_cost_nanos),
    }


def _attempt(attempt: router_pb2.Attempt) -> Attempt:
    told: Attempt = {
        "offer": attempt.offer,
        "plan": attempt.plan,
        "outcome": attempt.outcome,
        "reason": attempt.reason or None,
        "cost_usd": usd(attempt.usage.cost_nanos),
        "duration_ms": _milliseconds(attempt.duration),
        "first_token_ms": _milliseconds(attempt.first_token) if attempt.HasField("first_token") else None,
    }
    if attempt.unmetered:
        told["unmetered"] = True
    return told


def _milliseconds(duration: Duration) -> float:
    return duration.seconds * 1000 + duration.nanos // 1000 / 1000
