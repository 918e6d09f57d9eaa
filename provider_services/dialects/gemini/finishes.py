"""Says why a candidate ended, in words or in the numbers some gateways send."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import FinishReason, Usage

from meshkit.errors import Reason
from provider_services.dialects import wire
from provider_services.dialects.interface import Fault, VendorFault

STOP = FinishReason.FINISH_REASON_STOP
LENGTH = FinishReason.FINISH_REASON_LENGTH
FILTER = FinishReason.FINISH_REASON_CONTENT_FILTER
FINISHES = {
    "STOP": STOP,
    "MAX_TOKENS": LENGTH,
    "CONTINUATION": LENGTH,
    **dict.fromkeys(
        (
            "SAFETY",
            "RECITATION",
            "LANGUAGE",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "IMAGE_SAFETY",
            "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION",
            "MODEL_ARMOR",
            "ESCALATION",
            "PUP_LIMITED_DISABLED",
        ),
        FILTER,
    ),
}
BROKEN = frozenset(
    {
        "OTHER",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "NO_IMAGE",
        "IMAGE_OTHER",
    }
)
# The enumeration's numbers: https://ai.google.dev/api/generate-content#FinishReason
NUMBERS = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "LANGUAGE",
    7: "BLOCKLIST",
    8: "PROHIBITED_CONTENT",
    9: "SPII",
    10: "MALFORMED_FUNCTION_CALL",
    11: "IMAGE_SAFETY",
    12: "UNEXPECTED_TOOL_CALL",
    13: "TOO_MANY_TOOL_CALLS",
    14: "IMAGE_PROHIBITED_CONTENT",
    15: "IMAGE_OTHER",
    16: "NO_IMAGE",
    17: "IMAGE_RECITATION",
    18: "MISSING_THOUGHT_SIGNATURE",
    19: "MALFORMED_RESPONSE",
}


def name(said: Any) -> str:
    """Return the finish reason as a word; nothing when there is none yet."""
    if isinstance(said, int):
        return NUMBERS.get(said, "")
    return said if isinstance(said, str) and said != "FINISH_REASON_UNSPECIFIED" else ""


def read(said: str, detail: str, usage: Usage | None, *, called: bool) -> FinishReason.ValueType:
    """Return why a candidate ended; raises VendorFault when it ended in an error of the vendor's."""
    if said in BROKEN:
        message = f"the vendor ended the answer with {said}" + (f": {detail}" if detail else "")
        raise VendorFault(Fault(Reason.VENDOR_SERVER, message[:500], usage=usage, retryable=True, answered=True))
    reason = FINISHES.get(said, STOP)
    return FinishReason.FINISH_REASON_TOOL_CALLS if called and reason == STOP else reason


def blocked(feedback: Any, usage: Usage | None) -> VendorFault:
    """Make the fault of an answer without a candidate: the prompt was blocked, or nobody knows why there is none."""
    told = wire.mapping(feedback)
    if not told.get("blockReason"):
        message = "the vendor's answer holds no candidate"
        return VendorFault(Fault(Reason.VENDOR_SERVER, message, usage=usage, retryable=True, answered=True))
    said = told.get("blockReasonMessage")
    message = f"the vendor blocked the prompt: {told['blockReason']}" + (f": {said}" if said else "")
    return VendorFault(Fault(Reason.VENDOR_CONTENT_FILTER, message[:500], usage=usage, answered=True))
