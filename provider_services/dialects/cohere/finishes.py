"""Says why an answer ended; some ends are the vendor's errors."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import FinishReason, Usage

from provider_services.dialects import wire
from provider_services.dialects.cohere import errors
from provider_services.dialects.interface import Subject, VendorFault

FINISHES = {
    "COMPLETE": FinishReason.FINISH_REASON_STOP,
    "STOP_SEQUENCE": FinishReason.FINISH_REASON_STOP,
    "MAX_TOKENS": FinishReason.FINISH_REASON_LENGTH,
    "ERROR_LIMIT": FinishReason.FINISH_REASON_LENGTH,
    "TOOL_CALL": FinishReason.FINISH_REASON_TOOL_CALLS,
    "ERROR_TOXIC": FinishReason.FINISH_REASON_CONTENT_FILTER,
}
BROKEN = frozenset({"ERROR", "TIMEOUT", "USER_CANCEL"})


def read(subject: Subject, body: Mapping[str, Any], used: Usage | None, *, called: bool) -> FinishReason.ValueType:
    """Return why an answer ended; raises VendorFault when it ended in an error of the vendor's."""
    said = wire.text(body.get("finish_reason")).upper()
    if said in BROKEN:
        raise VendorFault(errors.ended(subject, body, said, used))
    reason = FINISHES.get(said, FinishReason.FINISH_REASON_STOP)
    if reason == FinishReason.FINISH_REASON_STOP and called:
        return FinishReason.FINISH_REASON_TOOL_CALLS
    return reason
