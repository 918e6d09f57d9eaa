"""Reads the many shapes of a chat-completions error, and says what each means."""

from typing import Any

from meshkit.errors import Reason
from provider_services.dialects import faults, spans, wire
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject

_CLIENT = frozenset({400, 404, 409, 413, 422})
RULES = (
    Rule(Reason.VENDOR_QUOTA, words=faults.MONEY),
    Rule(
        Reason.VENDOR_QUOTA,
        frozenset({429}),
        ("per day", "(rpd)", "(tpd)", "per month", "-per-day"),
    ),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429})),
    Rule(
        Reason.VENDOR_RETIRED,
        frozenset({400, 404, 410}),
        ("model_decommissioned", "decommissioned", "has been deprecated", "has been retired", "no longer available"),
    ),
    Rule(
        Reason.VENDOR_CONTEXT,
        _CLIENT,
        (
            "context_length_exceeded",
            "maximum context length",
            "context window",
            "context length",
            "reduce the length",
            "request too large",
            "prompt is too long",
            "too many tokens",
            "context size",
        ),
    ),
    Rule(
        Reason.VENDOR_CONTENT_FILTER,
        frozenset({400, 403, 422, 451}),
        (
            "content_policy_violation",
            "content_filter",
            "content management policy",
            "responsibleaipolicyviolation",
            "invalid_prompt",
            "flagged",
        ),
    ),
    Rule(
        Reason.VENDOR_AUTH,
        frozenset({400, 401, 403}),
        ("invalid_api_key", "incorrect api key", "invalid api key", "invalid_authentication"),
    ),
    Rule(
        Reason.VENDOR_NOT_FOUND,
        frozenset({400, 404}),
        ("model_not_found", "model_not_exist", "does not exist", "unknown model", "model not found", "model not exist"),
    ),
    Rule(Reason.VENDOR_OVERLOAD, words=("capacity_exceeded", "overloaded", "engine_overloaded")),
    # An error inside a stream names no status.
    Rule(Reason.VENDOR_THROTTLED, frozenset({0}), ("rate_limit", "rate limit", "too many requests")),
    Rule(Reason.VENDOR_BAD_REQUEST, frozenset({0}), ("invalid_request",)),
)
# What ends when the window the headers speak of does.
PASSING = frozenset({Reason.VENDOR_THROTTLED, Reason.VENDOR_QUOTA})
# The model stumbled over its own tool call or JSON: the same request may well succeed.
STUMBLES = ("tool_use_failed", "json_validate_failed")


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    error = read(wire.try_decode(reply.body), reply.status, reply.body)
    reason = faults.judge(error, RULES, subject)
    reset = spans.until_epoch(reply.headers.get("x-ratelimit-reset", ""), reply.headers)
    after = reset if reason in PASSING and spans.retry_after(reply.headers) is None else None
    return faults.fault(subject, reply, error, reason, retry_after=after, retryable=error.code in STUMBLES)


def inside(subject: Subject, body: Any) -> Fault:
    """Say what an error object inside a successful answer means."""
    error = read(body, 0, b"")
    reply = HttpReply(error.status, {}, b"")
    return faults.fault(subject, reply, error, faults.judge(error, RULES, subject), retryable=error.code in STUMBLES)


def read(body: Any, status: int, raw: bytes) -> VendorError:
    """Find message, code and type in whatever shape the vendor chose; a status inside the body wins over none."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return VendorError(status, raw.decode(errors="replace"))
    error = body.get("error", body)
    if not isinstance(error, dict):
        return VendorError(status, _text(error), _text(body.get("code")))
    message = error.get("message") or _detail(error.get("detail")) or body.get("message")
    code, named = error.get("code"), error.get("status_code")
    if not status:
        status = next((value for value in (named, code) if isinstance(value, int) and 400 <= value < 600), 0)
    # A go-between tells the other vendor's own words apart from its own; a cloud hides a refusal's true code inside.
    told = wire.mapping(error.get("metadata")).get("raw"), wire.mapping(error.get("innererror")).get("code")
    kind = " ".join(filter(None, (_text(error.get("type")), *map(_text, told))))
    return VendorError(status, _text(message), _text(code), kind)


def _detail(detail: Any) -> Any:
    """Return the sentence of a `detail`, which some vendors wrap once more."""
    return wire.mapping(detail).get("error") or detail


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else wire.encode(value).decode()
