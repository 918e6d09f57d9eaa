"""Reads an error and says what it means: the wire names its kinds, but money and context only in words."""

import re
from typing import Any

from meshkit.errors import Reason
from provider_services.dialects import faults, spans, wire
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject

QUIRKS = frozenset({"limits_per_model"})  # rate limits count each model of the account apart
# The status each kind comes with, for errors inside a stream: https://docs.anthropic.com/en/api/errors
KINDS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_CLIENT = frozenset({400, 413, 422})
RULES = (
    Rule(
        Reason.VENDOR_QUOTA,
        words=("credit balance is too low", "spend limit", "spend_limit", "api usage limits", "usage credits"),
    ),
    Rule(Reason.VENDOR_QUOTA, frozenset({429}), ("per day", "daily", "per month", "monthly")),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429})),
    Rule(
        Reason.VENDOR_CONTEXT,
        _CLIENT,
        ("prompt is too long", "context limit", "context window", "context length", "too many total text bytes"),
    ),
    Rule(Reason.VENDOR_UNSUPPORTED, _CLIENT, faults.PREFILL),
    Rule(Reason.VENDOR_CONTENT_FILTER, _CLIENT, ("content filter", "content_filter", "content management policy")),
    Rule(
        Reason.VENDOR_RETIRED,
        frozenset({400, 404, 410}),
        ("end-of-life", "has been retired", "no longer available", "model has been deprecated"),
    ),
    Rule(Reason.VENDOR_PERMISSION, frozenset({400}), ("organization has been disabled",)),
    Rule(Reason.VENDOR_AUTH, frozenset({400, 403}), ("authentication_error", "invalid x-api-key", "invalid api key")),
    Rule(Reason.VENDOR_NOT_FOUND, frozenset({400}), ("not_found_error", "deploymentnotfound")),
    Rule(Reason.VENDOR_SERVER, frozenset({409, 504})),
)
_REGAINED = re.compile(r"regain access on (\d{4}-\d{2}-\d{2}) at (\d{2}:\d{2}) UTC")


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    return _fault(subject, reply, read(wire.try_decode(reply.body), reply.status, reply.body))


def inside(subject: Subject, body: Any) -> Fault:
    """Say what an error object inside a successful answer means."""
    error = read(body, 0, b"")
    return _fault(subject, HttpReply(error.status, {}, b""), error)


def read(body: Any, status: int, raw: bytes) -> VendorError:
    """Find message, kind and code, of the vendor or of a gateway before it."""
    if not isinstance(body, dict):
        return VendorError(status, raw.decode(errors="replace"))
    error = body.get("error")
    if not isinstance(error, dict):
        error = {"message": error or body.get("message") or body.get("detail")}
    kind, code = wire.text(error.get("type")), error.get("code")
    message = error.get("message")
    return VendorError(
        status or KINDS.get(kind, 0),
        message if isinstance(message, str) else "",
        code if isinstance(code, str) else "",
        kind,
    )


def _fault(subject: Subject, reply: HttpReply, error: VendorError) -> Fault:
    reason = faults.judge(error, RULES, subject)
    found = _REGAINED.search(error.message)
    after = spans.until(f"{found[1]}T{found[2]}:00Z", reply.headers) if found else None
    return faults.fault(subject, reply, error, reason, retry_after=after)
