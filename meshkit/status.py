"""Turns a MeshError into a google.rpc.Status and back, so that errors cross every hop whole."""

from typing import Any

import grpc
from google.protobuf import any_pb2, symbol_database
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from meshkit import durations
from meshkit.errors import FieldViolation, MeshError, QuotaViolation, Reason

DOMAIN = "llmmesh.dev"
DETAILS_KEY = "grpc-status-details-bin"


def to_proto(error: MeshError) -> status_pb2.Status:
    """Return the status that carries everything the error knows."""
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=error.metadata)
    details: list[Message] = [info]
    if error.fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.fields
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if error.quota:
        budgets = [
            error_details_pb2.QuotaFailure.Violation(subject=violation.subject, description=violation.description)
            for violation in error.quota
        ]
        details.append(error_details_pb2.QuotaFailure(violations=budgets))
    if error.retry_after is not None:
        delay = durations.to_proto(max(0.0, error.retry_after))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in (*details, *error.details):
        status.details.add().Pack(detail)
    return status


def grpc_code(error: MeshError) -> grpc.StatusCode:
    """Return the error's gRPC status code."""
    return grpc.StatusCode[error.code]


def from_rpc_error(error: grpc.aio.AioRpcError) -> MeshError:
    """Rebuild the MeshError behind a failed call; a bare status becomes the nearest reason."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            return from_proto(status_pb2.Status.FromString(value))
    code = error.code()
    reason = Reason.DEADLINE_EXCEEDED if code is grpc.StatusCode.DEADLINE_EXCEEDED else Reason.INTERNAL
    return MeshError(reason, error.details() or code.name, code=code.name)


def from_proto(status: status_pb2.Status) -> MeshError:
    """Rebuild the MeshError a status was made from; details of unknown types are left out."""
    parts: dict[str, Any] = {"reason": Reason.INTERNAL}
    details: list[Message] = []
    for packed in status.details:
        message = _unpack(packed)
        match message:
            case error_details_pb2.ErrorInfo():
                parts["metadata"] = dict(message.metadata)
                if message.reason in Reason.__members__:
                    parts["reason"] = Reason(message.reason)
            case error_details_pb2.BadRequest():
                parts["fields"] = [FieldViolation(v.field, v.description) for v in message.field_violations]
            case error_details_pb2.QuotaFailure():
                parts["quota"] = [QuotaViolation(v.subject, v.description) for v in message.violations]
            case error_details_pb2.RetryInfo():
                parts["retry_after"] = durations.to_seconds(message.retry_delay)
            case Message():
                details.append(message)
    code = code_pb2.Code.Name(status.code)
    return MeshError(message=status.message, code=code, details=details, **parts)


def _unpack(packed: any_pb2.Any) -> Message | None:
    try:
        message = symbol_database.Default().GetSymbol(packed.TypeName())()
        packed.Unpack(message)
    except (KeyError, DecodeError):
        return None
    return message
