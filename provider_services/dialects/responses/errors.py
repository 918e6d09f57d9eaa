"""Reads the shapes of an error, in an answer, an event or a failed response, and says what each means."""

from dataclasses import replace
from typing import Any

from meshkit.errors import Reason
from provider_services.dialects import faults, wire
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject
from provider_services.dialects.responses import usage

_CLIENT = frozenset({400, 404, 409, 413, 422})
RULES = (
    Rule(
        Reason.VENDOR_QUOTA,
        words=(
            "insufficient_quota",
            "exceeded your current quota",
            "billing_hard_limit",
            "billing_not_active",
            "insufficient balance",
            "insufficient credit",
            "out of credits",
            "used all available credits",
            "monthly spending limit",
        ),
    ),
    # The vendor was shown an id of something it did not store: the model is there.
    Rule(Reason.VENDOR_BAD_REQUEST, frozenset({400, 404}), ("items are not persisted", "previous_response_not_found")),
    Rule(Reason.VENDOR_QUOTA, frozenset({429}), ("per day", "(rpd)", "(tpd)", "per month", "-per-day")),
    Rule(Reason.VENDOR_OVERLOAD, frozenset({429}), ("high demand", "overloaded", "no_capacity")),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429}), ("rate_limit_exceeded", "rate limit", "too many requests")),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429})),
    Rule(
        Reason.VENDOR_RETIRED,
        frozenset({400, 403, 404, 410}),
        (
            "api_migration_required",
            "chat_completions_not_available",
            "model_decommissioned",
            "decommissioned",
            "has been deprecated",
            "has been retired",
            "no longer available",
        ),
    ),
    Rule(
        Reason.VENDOR_CONTEXT,
        _CLIENT,
        (
            "context_length_exceeded",
            "maximum context length",
            "context window",
            "context length",
            "maximum prompt length",
            "too_many_prompt_tokens",
            "total length of all messages is too long",
            "prompt is too long",
            "too many tokens",
        ),
    ),
    Rule(
        Reason.VENDOR_CONTENT_FILTER,
        frozenset({400, 403, 422, 451}),
        (
            "content_policy_violation",
            "content_filter",
            "content management policy",
            "invalid_prompt",
            "bio_policy",
            "cyber_policy",
            "misalignment_policy_violation",
            "content exists risk",
            "violates usage guidelines",
            "moderation",
            "flagged",
        ),
    ),
    Rule(
        Reason.VENDOR_AUTH,
        frozenset({400, 401, 403}),
        ("invalid_api_key", "incorrect api key", "invalid api key", "invalid_authentication", "api key is invalid"),
    ),
    Rule(
        Reason.VENDOR_NOT_FOUND,
        frozenset({400, 404}),
        ("model_not_found", "model not found", "deploymentnotfound", "does not exist", "unknown model"),
    ),
    Rule(Reason.VENDOR_OVERLOAD, words=("overloaded", "at capacity", "no_capacity")),
    # An error inside a stream names no status.
    Rule(
        Reason.VENDOR_BAD_REQUEST,
        frozenset({0}),
        ("invalid_request", "invalid-argument", "_image", "image_", "invalid_encrypted_content"),
    ),
)


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    error = read(wire.try_decode(reply.body), reply.status, reply.body)
    return faults.fault(subject, reply, error, faults.judge(error, RULES, subject))


def inside(subject: Subject, body: Any) -> Fault:
    """Say what an error event, a failed response or an error object inside a success means."""
    error = read(body, 0, b"")
    fault = faults.fault(subject, HttpReply(error.status, {}, b""), error, faults.judge(error, RULES, subject))
    response = wire.mapping(wire.mapping(body).get("response")) or wire.mapping(body)
    return replace(fault, usage=usage.read(response.get("usage")))


def read(body: Any, status: int, raw: bytes) -> VendorError:
    """Find message, code and type in whatever shape the vendor chose; a status inside the body wins over none."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return VendorError(status, raw.decode(errors="replace"))
    error = body.get("error") or wire.mapping(body.get("response")).get("error") or body
    if not isinstance(error, dict):
        return VendorError(status, _text(error), _text(body.get("code")))
    message = error.get("message") or error.get("detail") or body.get("message")
    code = error.get("code")
    if not status and isinstance(code, int) and 400 <= code < 600:
        status = code
    inner = wire.mapping(error.get("innererror")).get("code")
    return VendorError(
        status, _text(message), " ".join(filter(None, (_text(code), _text(inner)))), _text(error.get("type"))
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else wire.encode(value).decode()
