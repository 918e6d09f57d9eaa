"""Says what an error of the local model server means; it has a text and nothing else."""

from collections.abc import Mapping
from typing import Any

from meshkit.errors import Reason
from provider_services.dialects import faults, wire
from provider_services.dialects.faults import Rule, VendorError
from provider_services.dialects.interface import Fault, HttpReply, Subject

RULES = (
    Rule(Reason.VENDOR_AUTH, frozenset({401, 403})),
    Rule(Reason.VENDOR_THROTTLED, frozenset({429}), ("concurrent",)),
    Rule(Reason.VENDOR_QUOTA, frozenset({402, 429}), ("usage limit", "upgrade", "credits")),
    Rule(Reason.VENDOR_NOT_FOUND, frozenset({400, 404}), ("not found",)),
    Rule(Reason.VENDOR_CONTEXT, frozenset({400}), ("context length", "exceeds the available context", "context size")),
    Rule(Reason.VENDOR_OVERLOAD, words=("server busy", "queue full", "maximum pending requests")),
)


def classify(subject: Subject, reply: HttpReply) -> Fault:
    """Say what an error answer means."""
    body = wire.mapping(wire.try_decode(reply.body))
    message = _message(body) or reply.body[:1000].decode(errors="replace")
    error = VendorError(reply.status, message)
    return faults.fault(subject, reply, error, faults.judge(error, RULES, subject))


def inside(subject: Subject, body: Mapping[str, Any]) -> Fault:
    """Say what an error line inside a successful answer means."""
    error = VendorError(wire.count(body.get("status_code")), _message(body))
    return faults.fault(subject, HttpReply(0, {}, b""), error, faults.judge(error, RULES, subject))


def _message(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    return error if isinstance(error, str) else wire.text(wire.mapping(error).get("message"))
