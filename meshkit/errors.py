"""The one exception the mesh raises on purpose; it knows its own gRPC code and details, and imports no gRPC.

MeshError            a caller is meant to see it; the reason tells errors apart, so it has no subclasses
StartError           a process cannot start; the operator is meant to read it
 └ ConfigError       … because of a line of configuration (yaml_file)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from google.protobuf.message import Message

DetailT = TypeVar("DetailT", bound=Message)


class Reason(StrEnum):
    """Every `ErrorReason` of the error contract, without its prefix."""

    INVALID_REQUEST = "INVALID_REQUEST"
    UNKNOWN_USE_CASE = "UNKNOWN_USE_CASE"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    UNKNOWN_VENDOR = "UNKNOWN_VENDOR"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    BUDGET_EXHAUSTED = "BUDGET_EXHAUSTED"
    NO_OFFER = "NO_OFFER"
    ROUTE_EXHAUSTED = "ROUTE_EXHAUSTED"
    STREAM_INCOMPLETE = "STREAM_INCOMPLETE"
    REQUEST_RUNNING = "REQUEST_RUNNING"
    REQUEST_REPEATED = "REQUEST_REPEATED"
    QUOTA_UNAVAILABLE = "QUOTA_UNAVAILABLE"
    ATTEMPT_CONFLICT = "ATTEMPT_CONFLICT"
    HOLD_CONFLICT = "HOLD_CONFLICT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"
    VENDOR_AUTH = "VENDOR_AUTH"
    VENDOR_PERMISSION = "VENDOR_PERMISSION"
    VENDOR_BAD_REQUEST = "VENDOR_BAD_REQUEST"
    VENDOR_CONTEXT = "VENDOR_CONTEXT"
    VENDOR_CONTENT_FILTER = "VENDOR_CONTENT_FILTER"
    VENDOR_NOT_FOUND = "VENDOR_NOT_FOUND"
    VENDOR_THROTTLED = "VENDOR_THROTTLED"
    VENDOR_QUOTA = "VENDOR_QUOTA"
    VENDOR_OVERLOAD = "VENDOR_OVERLOAD"
    VENDOR_SERVER = "VENDOR_SERVER"
    VENDOR_RETIRED = "VENDOR_RETIRED"
    VENDOR_UNREACHABLE = "VENDOR_UNREACHABLE"
    VENDOR_SILENT = "VENDOR_SILENT"
    VENDOR_INCOMPLETE = "VENDOR_INCOMPLETE"
    VENDOR_NOT_CONFIGURED = "VENDOR_NOT_CONFIGURED"
    VENDOR_UNSUPPORTED = "VENDOR_UNSUPPORTED"


# The gRPC code of each reason, as the error contract documents it.
CODES: Mapping[Reason, str] = {
    Reason.INVALID_REQUEST: "INVALID_ARGUMENT",
    Reason.UNKNOWN_USE_CASE: "NOT_FOUND",
    Reason.UNKNOWN_MODEL: "NOT_FOUND",
    Reason.UNKNOWN_VENDOR: "INVALID_ARGUMENT",
    Reason.UNAUTHENTICATED: "UNAUTHENTICATED",
    Reason.FORBIDDEN: "PERMISSION_DENIED",
    Reason.BUDGET_EXHAUSTED: "RESOURCE_EXHAUSTED",
    Reason.NO_OFFER: "UNAVAILABLE",
    Reason.ROUTE_EXHAUSTED: "UNAVAILABLE",
    Reason.STREAM_INCOMPLETE: "UNAVAILABLE",
    Reason.REQUEST_RUNNING: "ABORTED",
    Reason.REQUEST_REPEATED: "ALREADY_EXISTS",
    Reason.QUOTA_UNAVAILABLE: "UNAVAILABLE",
    Reason.ATTEMPT_CONFLICT: "ALREADY_EXISTS",
    Reason.HOLD_CONFLICT: "FAILED_PRECONDITION",
    Reason.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
    Reason.INTERNAL: "INTERNAL",
    Reason.VENDOR_AUTH: "FAILED_PRECONDITION",
    Reason.VENDOR_PERMISSION: "FAILED_PRECONDITION",
    Reason.VENDOR_BAD_REQUEST: "INVALID_ARGUMENT",
    Reason.VENDOR_CONTEXT: "INVALID_ARGUMENT",
    Reason.VENDOR_CONTENT_FILTER: "INVALID_ARGUMENT",
    Reason.VENDOR_NOT_FOUND: "NOT_FOUND",
    Reason.VENDOR_THROTTLED: "RESOURCE_EXHAUSTED",
    Reason.VENDOR_QUOTA: "RESOURCE_EXHAUSTED",
    Reason.VENDOR_OVERLOAD: "UNAVAILABLE",
    Reason.VENDOR_SERVER: "UNAVAILABLE",
    Reason.VENDOR_RETIRED: "FAILED_PRECONDITION",
    Reason.VENDOR_UNREACHABLE: "UNAVAILABLE",
    Reason.VENDOR_SILENT: "UNAVAILABLE",
    Reason.VENDOR_INCOMPLETE: "UNAVAILABLE",
    Reason.VENDOR_NOT_CONFIGURED: "FAILED_PRECONDITION",
    Reason.VENDOR_UNSUPPORTED: "INVALID_ARGUMENT",
}


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request that is wrong: its path, and what is allowed."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class QuotaViolation:
    """One budget without room: its id and what is left of it, in words and, where it is known, in figures.

    `again` is in how many seconds asking again makes sense.
    """

    subject: str
    description: str
    unit: str = ""
    limit: int | None = None
    left: int | None = None
    again: float | None = None


class MeshError(Exception):
    """An error a caller is meant to see: a reason, a sentence, and the details of the error contract.

    Args:
        reason: why, from the error contract.
        message: one sentence for people; never a secret, a prompt or a stack trace.
        code: gRPC code name; by default the reason's own.
        metadata: string pairs for ErrorInfo.
        fields: what was wrong in the request, for BadRequest.
        quota: budgets without room, for QuotaFailure.
        retry_after: seconds, for RetryInfo.
        details: further messages to carry in the status.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        code: str | None = None,
        metadata: Mapping[str, str] | None = None,
        fields: Iterable[FieldViolation] = (),
        quota: Iterable[QuotaViolation] = (),
        retry_after: float | None = None,
        details: Sequence[Message] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.code = code or CODES[reason]
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.quota = tuple(quota)
        self.retry_after = retry_after
        self.details: tuple[Message, ...] = tuple(details)

    def detail(self, kind: type[DetailT]) -> DetailT | None:
        """Return the first detail of that message type, or None."""
        return next((detail for detail in self.details if isinstance(detail, kind)), None)

    def __repr__(self) -> str:
        return f"MeshError({self.reason}, {self.message!r})"


class StartError(Exception):
    """A process cannot start; the text says what is wrong and what to do."""


def invalid(field: str, description: str) -> MeshError:
    """Make the error for one wrong field of a request."""
    return MeshError(Reason.INVALID_REQUEST, f"{field}: {description}", fields=[FieldViolation(field, description)])
