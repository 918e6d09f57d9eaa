"""The errors of a pursuit that stopped before a vendor was to blame."""

from llmmesh.provider.v1 import provider_pb2

from meshkit.errors import MeshError, Reason
from router_service.breakers import TOO_SLOW
from router_service.offers_left import Batch


def incomplete() -> MeshError:
    """Make the error for an answer that ended without its finish."""
    return MeshError(Reason.VENDOR_INCOMPLETE, "the answer ended without its finish", details=[_unknown()])


def too_slow(rate: float) -> MeshError:
    """Make the error for an answer that comes drop by drop."""
    text = f"the answer came slower than {rate:g} tokens a second"
    return MeshError(Reason.VENDOR_SILENT, text, metadata={TOO_SLOW: "stream"}, details=[_unknown()])


def too_late() -> MeshError:
    """Make the error for a deadline that passed before anything was sent."""
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_NOTHING)
    return MeshError(Reason.DEADLINE_EXCEEDED, "the deadline passed before any offer could serve", details=[failure])


def no_turn(batch: Batch, waited: float) -> MeshError:
    """Make the error for a turn that did not come in time."""
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_NOTHING)
    names = ", ".join(dict.fromkeys(p.offer.model_text for p in batch.offers if p.offer.vendor.local))
    text = f"waited {waited:.1f} s for a turn at {names}; the deadline leaves no time for an answer"
    return MeshError(Reason.DEADLINE_EXCEEDED, text, details=[failure])


def _unknown() -> provider_pb2.AttemptFailure:
    return provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_UNKNOWN, retryable=True)
