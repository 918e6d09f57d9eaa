"""Keeps what a vendor wants to see again of its model's reasoning, and gives it back in the field it wants it in.

Reasoning that goes back as mere text is marked with whose it is: another vendor's would be taken for its own.
"""

from collections.abc import Callable, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Part, ProviderData

from provider_services.dialects import wire
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes

Turn = dict[str, Any]
# Fields of a message that a vendor wants back as they were.
OPAQUE_FIELDS = ("reasoning_details",)
# What grows, in a stream, from one fragment of a detail to the next.
GROWING = {"reasoning.text": "text", "reasoning.summary": "summary"}


def keep(call: Call, opaque: Mapping[str, Any], *, thought: bool) -> ProviderData | None:
    """Return what must go back with reasoning, or None: its opaque fields, or the mark of text that goes back."""
    if opaque:
        return ProviderData(vendor=call.vendor, model=call.model, data=wire.encode(opaque))
    if thought and not call.quirks.isdisjoint(RETURNS):
        return ProviderData(vendor=call.vendor, model=call.model)
    return None


def joined(fragments: list[Any]) -> list[Any]:
    """Put the details of a stream together: fragments of one kind and index are one, and are signed as one."""
    whole: dict[Any, Any] = {}
    for number, fragment in enumerate(fragments):
        details = wire.mapping(fragment)
        kind, index = details.get("type"), details.get("index")
        if kind not in GROWING or not isinstance(index, int):
            whole[number, None] = fragment
            continue
        begun = whole.setdefault((index, kind), {})
        grown = wire.text(begun.get(GROWING[kind])) + wire.text(details.get(GROWING[kind]))
        begun.update({name: value for name, value in details.items() if value is not None or name not in begun})
        begun.update({GROWING[kind]: grown} if grown else {})
    return list(whole.values())


def give_back(call: Call, part: Part, field: str, turn: Turn, notes: Notes) -> None:
    """Give the vendor back what it wants to see again of its own, and leave out what is another's with a note."""
    own = notes.own_state(part, call.vendor, field)
    if own:
        turn.update(wire.mapping(wire.try_decode(own)))
    thought = part.reasoning.text
    if not thought:
        return
    write = next((write for quirk, write in RETURNS.items() if quirk in call.quirks), None)
    if part.HasField("provider_data") and part.provider_data.vendor != call.vendor:
        notes.drop(field, "this vendor does not take another's reasoning")
    elif write and call.reasons is not False:
        write(turn, thought)
    elif not own:
        notes.drop(field, "this vendor or model does not take reasoning back")


def _as_reasoning(turn: Turn, thought: str) -> None:
    turn["reasoning"] = turn.get("reasoning", "") + thought


def _as_reasoning_content(turn: Turn, thought: str) -> None:
    turn["reasoning_content"] = turn.get("reasoning_content", "") + thought


def _in_content(turn: Turn, thought: str) -> None:
    said = turn.get("content") or []
    pieces = [{"type": "text", "text": said}] if isinstance(said, str) else said
    before = sum(piece["type"] == "thinking" for piece in pieces)
    pieces.insert(before, {"type": "thinking", "thinking": [{"type": "text", "text": thought}], "closed": True})
    turn["content"] = pieces


# How a vendor wants its model's reasoning text back, by quirk.
RETURNS: Mapping[str, Callable[[Turn, str], None]] = {
    "reasoning_content_required": _as_reasoning_content,
    "reasoning_returns_as_reasoning": _as_reasoning,
    "reasoning_returns_as_reasoning_content": _as_reasoning_content,
    "thinking_returns_in_content": _in_content,
}
