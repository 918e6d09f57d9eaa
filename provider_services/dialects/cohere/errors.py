"""Says what an error of this wire means: a status and a sentence, no code."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage
from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import Reason
from provider_services.dialects import faults, spans, wire
from provider_services.dialects.cohere import months
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject

QUIRKS = frozenset({"limits_per_model"})
MONTH = ("/ month", "/month", "per month", "per-month", "next month", "monthly")
# Sentences of https://docs.cohere.com/reference/errors, and of recorded answers.
RULES = (
    Rule(Reason.VENDOR_QUOTA, frozenset({402, 429}), (*MONTH, "maximum billing", "payment method")),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429})),
    Rule(Reason.VENDOR_THROTTLED, frozenset({0}), ("per minute", "/ minute", "rate limit", "too many requests")),
    Rule(
        Reason.VENDOR_RETIRED,
        frozenset({400, 404, 410}),
        ("was removed", "been removed", "was retired", "been retired", "been deprecated", "no longer available"),
    ),
    Rule(
        Reason.VENDOR_CONTEXT,
        frozenset({400, 413, 422}),
        ("too many tokens", "size limit exceeded", "context length", "context window"),
    ),
    Rule(
        Reason.VENDOR_CONTENT_FILTER,
        frozenset({400, 422, 451, 498}),
        ("deny-list", "deny list", "denylist", "blocked by", "content filter", "content policy", "harmful"),
    ),
    Rule(
        Reason.VENDOR_AUTH,
        frozenset({400, 401, 403, 498}),
        ("invalid api token", "invalid api key", "no api key", "api key has expired"),
    ),
    Rule(Reason.VENDOR_AUTH, frozenset({498})),
    Rule(Reason.VENDOR_OVERLOAD, words=("too many users", "overloaded", "at capacity")),
    Rule(Reason.VENDOR_SERVER, frozenset({500, 501, 503, 504})),
)
LEAST_MONTHLY = 3600.0  # seconds a monthly quota stays closed when nobody says what day it is
_CALLS = re.compile(r"limited to (\d+) api calls / (minute|month)")
_TOKENS = re.compile(r"limit is (\d+) tokens per (minute|month)")


def told(body: Mapping[str, Any]) -> bool:
    """Say whether a body is an error and no answer, whose message would be an object."""
    message = body.get("message")
    return isinstance(message, str) or (bool(body.get("error")) and not isinstance(message, Mapping))


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    return _fault(subject, reply, wire.mapping(wire.try_decode(reply.body)))


def inside(subject: Subject, body: Mapping[str, Any]) -> Fault:
    """Say what an error object inside a successful answer means."""
    return _fault(subject, HttpReply(0, {}, b""), body)


def ended(subject: Subject, body: Mapping[str, Any], finish: str, used: Usage | None) -> Fault:
    """Say what an answer means that ended in an error."""
    said = body.get("error") or f"the vendor ended the answer with {finish}"
    told_so = {"error": said, "error_type": body.get("error_type")}
    return replace(_fault(subject, HttpReply(0, {}, b""), told_so), usage=used)


def _fault(subject: Subject, reply: HttpReply, body: Mapping[str, Any]) -> Fault:
    error = _read(body, reply)
    reason = faults.judge(error, RULES, subject)
    words = error.words
    monthly = reason is Reason.VENDOR_QUOTA and any(word in words for word in MONTH)
    after = spans.retry_after(reply.headers) if monthly else None
    if monthly and after is None:
        after = months.until_next(reply.headers) or LEAST_MONTHLY
    if "for this model" in words:
        subject = replace(subject, quirks=subject.quirks | QUIRKS)
    elif monthly:  # counts all calls of the account
        subject = replace(subject, quirks=subject.quirks - QUIRKS)
    seen = list(_observations(subject, words, after)) if reply.status == 429 else []
    return faults.fault(subject, reply, error, reason, retry_after=after, observations=seen)


def _read(body: Mapping[str, Any], reply: HttpReply) -> VendorError:
    named = body.get("error")
    text = wire.text(body.get("message")) or wire.text(wire.mapping(named).get("message")) or wire.text(named)
    if not text and body.get("message") != "":
        text = reply.body[:1000].decode(errors="replace")
    return VendorError(reply.status, text, kind=wire.text(body.get("error_type")))


def _observations(subject: Subject, words: str, after: float | None) -> Iterator[Observation]:
    for unit, pattern in ((Observation.UNIT_REQUESTS, _CALLS), (Observation.UNIT_TOKENS, _TOKENS)):
        if found := pattern.search(words):
            seen = Observation(source=Observation.SOURCE_ERROR_BODY, scope=Observation.SCOPE_ACCOUNT, unit=unit)
            seen.limit, seen.window, seen.remaining = int(found[1]), found[2], 0
            if "limits_per_model" in subject.quirks and subject.model:
                seen.scope, seen.model = Observation.SCOPE_MODEL, subject.model
            if after is not None:
                seen.reset_after.CopyFrom(faults.duration(after))
            yield seen
