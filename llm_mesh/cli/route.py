"""Tells how a request was served: every attempt with its outcome, time and cost, then tokens and money."""

from collections.abc import Iterator

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import output


def lines(route: router_pb2.Route, usage: chat_pb2.Usage | None) -> Iterator[str]:
    """Write a route, one line for each attempt and one for the whole."""
    for number, attempt in enumerate(route.attempts, start=1):
        yield f"{number}. {_attempt(attempt)}"
    if route.fallback_used:
        yield f"fallback: {route.primary_error or 'the first choice did not serve'}"
    if route.skipped:
        passed = ", ".join(f"{reason} ({number})" for reason, number in sorted(route.skipped.items()))
        yield f"passed over: {passed}"
    for offer in route.passed_over:
        yield f"  {offer.offer}: {offer.budget} ({offer.reason})"
    if usage is not None:
        yield f"tokens: {tokens(usage)}"
    yield f"cost: {cost(route, usage)}"


def _attempt(attempt: router_pb2.Attempt) -> str:
    parts = [f"{attempt.offer}: {attempt.outcome}"]
    if attempt.reason:
        parts.append(f"({attempt.reason})")
    parts.append(f"in {output.duration(attempt.duration)}")
    if attempt.HasField("first_token"):
        parts.append(f"(first piece {output.duration(attempt.first_token)})")
    plan = f" on plan {attempt.plan}" if attempt.plan else ""
    return f"{' '.join(parts)}, {output.usd(attempt.usage.cost_nanos)}{plan}"


def tokens(usage: chat_pb2.Usage) -> str:
    """Write what went in and came out."""
    asides = [
        f"{number:,} {what}"
        for number, what in ((usage.cached_input_tokens, "cached"), (usage.reasoning_tokens, "reasoning"))
        if number
    ]
    text = f"{usage.input_tokens:,} in, {usage.output_tokens:,} out"
    text += f" ({', '.join(asides)})" if asides else ""
    return text + (", estimated" if usage.estimated else "")


def cost(route: router_pb2.Route, usage: chat_pb2.Usage | None) -> str:
    """Write what all attempts cost, and the list price when that differs."""
    text = output.usd(route.total_cost_nanos)
    if usage is None:
        return text
    if usage.unpriced:
        return f"{text} (the model's price is unknown; this is what was held)"
    if usage.list_cost_nanos > usage.cost_nanos:
        return f"{text} (list price {output.usd(usage.list_cost_nanos)})"
    return text
