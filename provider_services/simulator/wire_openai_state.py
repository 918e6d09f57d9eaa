"""Refuses turns that lack what a thinking host of the openai dialect wants back with them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal
from zlib import crc32

from provider_services.simulator.ask import RefusalError
from provider_services.simulator.identity import is_own
from provider_services.simulator.wire_openai_bodies import Message

# What must come back: reasoning text in every turn of the model, or in those with tool calls; or the signed details of
# reasoning with calls of the host's own.
State = Literal["", "reasoning_of_turns", "reasoning_of_calls", "details_of_own_calls"]
FRAGMENT = {"type": "reasoning.text", "format": "unknown", "index": 0}


def seal(text: str) -> str:
    """Return what proves that the host wrote this reasoning, all of it."""
    return f"{crc32(f'sealed {text}'.encode()):08x}=="


def details(text: str) -> list[dict[str, Any]]:
    """Return reasoning as the signed details some hosts want back as they were."""
    return [FRAGMENT | {"text": text, "signature": seal(text)}]


def check_state(messages: list[Message], state: State, vendor: str) -> None:
    """Refuse turns without the state the host wants; for models that will think before they answer."""
    for index, message in enumerate(messages):
        _STATES[state](message, index, vendor)


def _nothing(message: Message, index: int, vendor: str) -> None:
    pass


def _reasoning_of_turns(message: Message, index: int, vendor: str) -> None:
    if message.role == "assistant" and not message.reasoning_content:
        raise _missing("reasoning_content is missing in assistant message", index)


def _reasoning_of_calls(message: Message, index: int, vendor: str) -> None:
    if message.tool_calls and not message.reasoning_content:
        raise _missing("reasoning_content is missing in assistant tool call message", index)


def _details_of_own_calls(message: Message, index: int, vendor: str) -> None:
    given = message.reasoning_details or []
    if not given and any(is_own(call.id, vendor) for call in message.tool_calls or ()):
        raise _missing("reasoning_details are missing in assistant tool call message", index)
    if any(detail.get("signature") != seal(detail.get("text", "")) for detail in given):
        message_ = f"reasoning_details are not those that were given, in assistant message at index {index}"
        raise RefusalError("foreign_reasoning", message=message_, index=index, param="messages")


def _missing(what: str, index: int) -> RefusalError:
    message = f"thinking is enabled but {what} at index {index}"
    return RefusalError("no_reasoning", message=message, index=index, param="messages")


_STATES: Mapping[str, Callable[[Message, int, str], None]] = {
    "": _nothing,
    "reasoning_of_turns": _reasoning_of_turns,
    "reasoning_of_calls": _reasoning_of_calls,
    "details_of_own_calls": _details_of_own_calls,
}
