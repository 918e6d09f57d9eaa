"""Reads a generate-content error with its details, and says what it means."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import Reason
from provider_services.dialects import faults, spans, wire
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject

QUIRKS = frozenset({"limits_per_model"})
# Daily quotas end at midnight there: https://ai.google.dev/gemini-api/docs/rate-limits
RESET_ZONE = "America/Los_Angeles"
RULES = (
    Rule(
        Reason.VENDOR_AUTH,
        frozenset({400, 401, 403}),
        ("api_key_invalid", "api key not valid", "api key expired", "unregistered callers", "api_key_service_blocked"),
    ),
    Rule(Reason.VENDOR_PERMISSION, frozenset({400}), ("location is not supported",)),
    Rule(Reason.VENDOR_AUTH, frozenset({401, 403})),
    Rule(
        Reason.VENDOR_CONTEXT,
        frozenset({400}),
        ("exceeds the maximum number of tokens", "token count", "input context is too long"),
    ),
    Rule(Reason.VENDOR_RETIRED, frozenset({404, 410}), ("no longer available", "has been retired", "is deprecated")),
    Rule(Reason.VENDOR_QUOTA, frozenset({429}), ("prepayment credits", "billing account")),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429})),
    Rule(Reason.VENDOR_SERVER, frozenset({499, 504})),
)


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means; without `alt=sse` a stream's error comes in an array."""
    body = wire.try_decode(reply.body)
    return _fault(subject, reply, body[0] if isinstance(body, list) and body else body)


def inside(subject: Subject, body: Mapping[str, Any]) -> Fault:
    """Say what an error object inside a successful answer means."""
    status = wire.count(wire.mapping(body.get("error")).get("code"))
    return _fault(subject, HttpReply(status, {}, b""), body)


def _fault(subject: Subject, reply: HttpReply, body: Any) -> Fault:
    error = wire.mapping(wire.mapping(body).get("error"))
    details = [wire.mapping(detail) for detail in error.get("details") or ()]
    told = VendorError(
        status=reply.status,
        message=wire.text(error.get("message")) or reply.body[:1000].decode(errors="replace"),
        code=wire.text(error.get("status")),
        kind=" ".join(wire.text(detail.get("reason")) for detail in details),
    )
    reason = faults.judge(told, RULES, subject)
    violations = [violation for detail in details for violation in detail.get("violations") or ()]
    daily = reason is Reason.VENDOR_THROTTLED and any(_lasting(violation) for violation in violations)
    if daily:
        reason = Reason.VENDOR_QUOTA
    after = _retry_after(details, reply, daily=daily)
    seen = list(_observations(subject, violations, after))
    if any(observation.scope == Observation.SCOPE_MODEL for observation in seen):
        subject = replace(subject, quirks=subject.quirks | QUIRKS)
    return faults.fault(subject, reply, told, reason, retry_after=after, observations=seen)


def _lasting(violation: Mapping[str, Any]) -> bool:
    """Say whether a quota is used up for the day, or does not exist at all."""
    return "PerDay" in wire.text(violation.get("quotaId")) or str(violation.get("quotaValue", "")) == "0"


def _retry_after(details: list[Mapping[str, Any]], reply: HttpReply, *, daily: bool) -> float | None:
    """Return the seconds to wait: to the daily reset for a daily quota, whatever the vendor suggests."""
    if daily and (midnight := spans.until_midnight(reply.headers, RESET_ZONE)) is not None:
        return midnight
    told = (spans.seconds(wire.text(detail.get("retryDelay"))) for detail in details if "retryDelay" in detail)
    after = next((seconds for seconds in told if seconds is not None), None)
    return max(after or 0.0, 3600.0) if daily else after


def _observations(subject: Subject, violations: list[Mapping[str, Any]], after: float | None) -> Iterator[Observation]:
    for violation in violations:
        identity = wire.text(violation.get("quotaId"))
        if not identity:
            continue
        seen = Observation(source=Observation.SOURCE_ERROR_BODY, scope=Observation.SCOPE_ACCOUNT, remaining=0)
        seen.unit = Observation.UNIT_TOKENS if "Token" in identity else Observation.UNIT_REQUESTS
        seen.window = "day" if "PerDay" in identity else "minute" if "PerMinute" in identity else ""
        if "PerModel" in identity:
            seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
        if str(violation.get("quotaValue", "")).isdigit():
            seen.limit = int(violation["quotaValue"])
        if after is not None:
            seen.reset_after.CopyFrom(faults.duration(after))
        yield seen
