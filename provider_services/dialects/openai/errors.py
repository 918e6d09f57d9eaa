"""Reads the many shapes of a chat-completions error, and says what each means."""

from collections.abc import Mapping
from typing import Any

from meshkit.errors import Reason
from provider_services.dialects import faults, rate_headers, spans, wire
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
    # An error inside a stream names no status.
    Rule(Reason.VENDOR_THROTTLED, frozenset({0}), ("rate_limit", "rate limit", "too many requests")),
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
            "maximum prompt length",
            "context window",
            "context length",
            "reduce the length",
            "request too large",
            "prompt is too long",
            "too many tokens",
            "context size",
        ),
    ),
    Rule(Reason.VENDOR_UNSUPPORTED, _CLIENT, faults.PREFILL),
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
        ("invalid_api_key", "incorrect api key", "invalid api key", "api key not valid", "invalid_authentication"),
    ),
    Rule(
        Reason.VENDOR_NOT_FOUND,
        frozenset({400, 404}),
        (
            *("model_not_found", "model_not_exist", "does not exist", "unknown model", "model not found"),
            *("model not exist", "not a valid model id"),
        ),
    ),
    Rule(Reason.VENDOR_OVERLOAD, words=("capacity_exceeded", "overloaded", "engine_overloaded")),
    Rule(Reason.VENDOR_BAD_REQUEST, frozenset({0}), ("invalid_request",)),
)
# What ends when the window the headers speak of does.
PASSING = frozenset({Reason.VENDOR_THROTTLED, Reason.VENDOR_QUOTA})
# What stumbled over its own tool call or JSON, or over calls not yet paid for: the same request may well succeed.
STUMBLES = ("tool_use_failed", "json_validate_failed", "in_flight_budget_exhausted")
CHINA_TIME = "resets_in_china_time"  # a quirk: a sentence names the day and hour its quota comes back, over there


def told(body: Mapping[str, Any]) -> bool:
    """Say whether a body is or holds an error; `error` may be empty in good ones."""
    return bool(body.get("error")) or body.get("object") == "error" or bool(_aside(body))


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    body = wire.try_decode(reply.body)
    error = read(body, reply.status, reply.body)
    reason = faults.judge(error, RULES, subject)
    if reason is Reason.VENDOR_THROTTLED and rate_headers.lasting(reply.headers):
        reason = Reason.VENDOR_QUOTA
    after = _reset(subject, reply, body, error) if reason in PASSING else None
    return faults.fault(subject, reply, error, reason, retry_after=after, retryable=_stumbled(error))


def inside(subject: Subject, body: Any) -> Fault:
    """Say what an error object inside a successful answer means."""
    error = read(body, 0, b"")
    reply = HttpReply(error.status, {}, b"")
    return faults.fault(subject, reply, error, faults.judge(error, RULES, subject), retryable=_stumbled(error))


def read(body: Any, status: int, raw: bytes) -> VendorError:
    """Find message, code and type in whatever shape the vendor chose; a status inside the body wins over none."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return VendorError(status, raw.decode(errors="replace"))
    error = body.get("error") or _first(body.get("errors")) or _aside(body) or body
    if not isinstance(error, dict):
        return VendorError(status, _text(error), _text(body.get("code")))
    message = error.get("message") or _detail(error.get("detail")) or body.get("message")
    code = error.get("code")
    named = (error.get("status_code"), code, error.get("status"))
    status = status or next((number for value in named if (number := _status(value))), 0)
    # A go-between tells the other vendor's own words apart from its own; a cloud hides a refusal's true code inside.
    between, inner = wire.mapping(error.get("metadata")), wire.mapping(error.get("innererror"))
    more = (error.get("type"), between.get("raw"), between.get("error_type"), inner.get("code"))
    return VendorError(status, _text(message), _text(code), " ".join(filter(None, map(_text, more))))


def _reset(subject: Subject, reply: HttpReply, body: Any, error: VendorError) -> float | None:
    """Return the seconds until a window ends, where no retry-after tells: headers, a copy of them, or a sentence."""
    if spans.retry_after(reply.headers) is not None:
        return None
    if CHINA_TIME in subject.quirks and (after := spans.until_written(error.message, reply.headers, "Asia/Shanghai")):
        return after
    copied = wire.mapping(wire.mapping(wire.mapping(wire.mapping(body).get("error")).get("metadata")).get("headers"))
    lowered = {name.lower(): wire.text(value) for name, value in copied.items()}
    for told_by in (reply.headers, lowered):
        for name in ("x-ratelimit-reset", "ratelimit-reset"):
            if (after := spans.until_reset(told_by.get(name, ""), reply.headers)) is not None:
                return after
    return None


def _stumbled(error: VendorError) -> bool:
    return any(stumble in error.words for stumble in STUMBLES)


def _status(value: Any) -> int:
    """Return a status a body names as a number or in digits; 0 for anything else, such as a vendor's own code."""
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else 0


def _aside(body: Mapping[str, Any]) -> Any:
    """Return why a stream stopped early, which a vendor may tell in a field of its own, beside good choices."""
    return next((wire.mapping(body[name]).get("error") for name in body if name.startswith("x_")), None)


def _first(listed: Any) -> Mapping[str, Any]:
    return wire.mapping(listed[0]) if listed and isinstance(listed, list) else {}


def _detail(detail: Any) -> Any:
    """Return the sentence of a `detail`, which some vendors wrap once more."""
    return wire.mapping(detail).get("error") or detail


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else wire.encode(value).decode()
