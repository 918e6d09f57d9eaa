"""Writes the turns of a conversation as v2 chat messages."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, ImageDetail, Message, Part, Role, ToolCall, ToolResult

from provider_services.dialects import images, wire
from provider_services.dialects.cohere import state, tool_names
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

DETAILS = {ImageDetail.IMAGE_DETAIL_LOW: "low", ImageDetail.IMAGE_DETAIL_HIGH: "high"}


def encode(call: Call, notes: Notes) -> list[dict[str, Any]]:
    """Write all turns: the system's text first, as the vendor wants it, and one message for each tool result."""
    names = tool_names.theirs(call.prompt)
    encoded = _system(call, notes)
    for number, message in enumerate(call.prompt.messages):
        field = f"messages[{number}]"
        if message.name:
            notes.drop(f"{field}.name", "this vendor takes no names")
        if message.role != Role.ROLE_SYSTEM:
            encoded.extend(_turn(call, message, field, names, notes))
    if all(turn["role"] == "system" for turn in encoded):
        raise refuse("messages", "this vendor wants a turn in which something is said, besides system text")
    return encoded


def _system(call: Call, notes: Notes) -> list[dict[str, Any]]:
    said: list[str] = []
    spoken = False
    for number, message in enumerate(call.prompt.messages):
        if message.role != Role.ROLE_SYSTEM:
            spoken = True
            continue
        if spoken:
            notes.note("moved", f"messages[{number}]", "this vendor takes system text before the conversation only")
        said.extend(part.text.text for part in message.parts if part.text.text)
    return [{"role": "system", "content": _texts(said)}] if said else []


def _texts(said: list[str]) -> str | list[dict[str, str]]:
    return said[0] if len(said) == 1 else [{"type": "text", "text": text} for text in said]


def _turn(call: Call, message: Message, field: str, names: dict[str, str], notes: Notes) -> list[dict[str, Any]]:
    encoded = [_result(part.tool_result) for part in message.parts if part.HasField("tool_result")]
    rest = [(f"{field}.parts[{n}]", part) for n, part in enumerate(message.parts) if not part.HasField("tool_result")]
    if message.role == Role.ROLE_TOOL or (encoded and not rest):
        return encoded
    if message.role != Role.ROLE_ASSISTANT:
        said = _user(rest)
        turn: dict[str, Any] = {"role": "user"} | ({"content": said} if said else {})
    else:
        turn = _assistant(call, rest, names, notes)
    if len(turn) == 1:
        notes.drop(field, "this vendor takes no turn in which nothing was said")
        return encoded
    return [*encoded, turn]


def _result(result: ToolResult) -> dict[str, Any]:
    content = wire.encode({"error": result.text}).decode() if result.is_error else result.text
    return {"role": "tool", "tool_call_id": result.tool_call_id, "content": content}


def _user(parts: list[tuple[str, Part]]) -> str | list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for field, part in parts:
        if part.HasField("image"):
            content.append({"type": "image_url", "image_url": _image(part.image, field)})
        elif said := part.text.text or part.refusal.text:
            content.append({"type": "text", "text": said})
    if len(content) <= 1 and not any(part.HasField("image") for _, part in parts):
        return content[0]["text"] if content else ""
    return content


def _image(image: Image, field: str) -> dict[str, str]:
    encoded = {"url": images.url(image, field)}
    if image.detail in DETAILS:
        encoded["detail"] = DETAILS[image.detail]
    return encoded


def _assistant(call: Call, parts: list[tuple[str, Part]], names: dict[str, str], notes: Notes) -> dict[str, Any]:
    """Write what the model said: reasoning and text as content blocks, its plan and its calls beside them."""
    calls = [_call(part.tool_call, names) for _, part in parts if part.HasField("tool_call")]
    plans: list[str] = []
    content: list[dict[str, str]] = []
    for field, part in parts:
        plan = state.plan(notes.own_state(part, call.vendor, field))
        if plan and calls:
            plans.append(plan)
        else:
            content.extend(_said(call, part, field, notes))
    encoded: dict[str, Any] = {"role": "assistant"}
    if plans:
        encoded["tool_plan"] = "".join(plans)
    if content:
        alone = len(content) == 1 and content[0]["type"] == "text"
        encoded["content"] = content[0]["text"] if alone else content
    if calls:
        encoded["tool_calls"] = calls
    return encoded


def _said(call: Call, part: Part, field: str, notes: Notes) -> list[dict[str, str]]:
    if part.HasField("image"):
        raise refuse(f"{field}.image", "this vendor takes images from the user only")
    if part.HasField("reasoning"):
        return _thought(call, part, field, notes)
    said = part.text.text or part.refusal.text
    return [{"type": "text", "text": said}] if said else []


def _thought(call: Call, part: Part, field: str, notes: Notes) -> list[dict[str, str]]:
    """Write reasoning as a block; another vendor's has been noted, and a model that never thinks takes none."""
    if part.HasField("provider_data") and part.provider_data.vendor != call.vendor:
        return []
    if call.reasons is False:
        notes.drop(field, "this model does not take reasoning back")
        return []
    return [{"type": "thinking", "thinking": part.reasoning.text}] if part.reasoning.text else []


def _call(called: ToolCall, names: dict[str, str]) -> dict[str, Any]:
    name = names.get(called.name) or tool_names.plain(called.name)
    function = {"name": name, "arguments": called.arguments_json or "{}"}
    return {"id": called.id, "type": "function", "function": function}
