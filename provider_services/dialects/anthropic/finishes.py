"""Says why an answer ended, in our words."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import FinishReason

from provider_services.dialects import wire

STOP = FinishReason.FINISH_REASON_STOP
# https://docs.anthropic.com/en/api/messages
FINISHES = {
    "end_turn": STOP,
    "stop_sequence": STOP,
    "pause_turn": STOP,  # the vendor's own tools need another turn; sending the answer back goes on
    "tool_use": FinishReason.FINISH_REASON_TOOL_CALLS,
    "max_tokens": FinishReason.FINISH_REASON_LENGTH,
    "model_context_window_exceeded": FinishReason.FINISH_REASON_LENGTH,
    "refusal": FinishReason.FINISH_REASON_CONTENT_FILTER,
}


def read(said: Any, *, called: bool) -> FinishReason.ValueType:
    """Return why the answer ended; one whose last word is a tool call waits for its result whatever the vendor says.

    Calls further up may be answered already: the vendor's own code can call tools in the middle of a turn.
    """
    reason = FINISHES.get(wire.text(said), STOP)
    return FinishReason.FINISH_REASON_TOOL_CALLS if called and reason == STOP else reason


def refused(details: Any) -> str:
    """Return the vendor's words about why it refused, if it has any."""
    return wire.text(wire.mapping(details).get("explanation"))
