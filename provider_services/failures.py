"""Makes the error of a failed attempt: why it failed, and what may have been spent."""

from collections.abc import Sequence

from llmmesh.chat.v1.chat_pb2 import Usage
from llmmesh.provider.v1.provider_pb2 import AttemptFailure, Observation

from meshkit.errors import MeshError, Reason
from provider_services.dialects.faults import RETRYABLE
from provider_services.dialects.interface import Fault

NOTHING = AttemptFailure.SENT_NOTHING
ANSWERED = AttemptFailure.SENT_ANSWERED
UNKNOWN = AttemptFailure.SENT_UNKNOWN


def failure(
    reason: Reason, message: str, sent: AttemptFailure.Sent.ValueType, *, unanswered: bool = False
) -> MeshError:
    """Make the error of an attempt the vendor did not explain; unanswered: it broke before an answer began."""
    detail = AttemptFailure(sent=sent, retryable=reason in RETRYABLE, unanswered=unanswered)
    return MeshError(reason, message, details=[detail])


def explained(
    fault: Fault,
    sent: AttemptFailure.Sent.ValueType,
    *,
    usage: Usage | None = None,
    observations: Sequence[Observation] = (),
) -> MeshError:
    """Make the error of an attempt the vendor ended with a fault; `usage` and `observations` are what came besides."""
    detail = AttemptFailure(
        sent=sent,
        observations=[*observations, *fault.observations],
        http_status=fault.http_status,
        retryable=fault.retryable,
    )
    used = fault.usage or usage
    if used is not None:
        detail.usage.CopyFrom(used)
    return MeshError(fault.reason, fault.message, retry_after=fault.retry_after, details=[detail])


def with_usage(error: MeshError, usage: Usage) -> MeshError:
    """Return the error of a broken stream with what had been received."""
    detail = error.detail(AttemptFailure)
    if detail is not None and detail.sent == UNKNOWN and not detail.HasField("usage"):
        detail.usage.CopyFrom(usage)
    return error


def unsent(error: MeshError) -> MeshError:
    """Return the error with the word that nothing reached the vendor, unless it says how far the attempt got."""
    if error.detail(AttemptFailure) is None:
        error.details = (*error.details, AttemptFailure(sent=NOTHING))
    return error
