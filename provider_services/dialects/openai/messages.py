"""Writes the turns of a conversation as chat-completions messages."""

import base64
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, ImageDetail, Message, Part, Role

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes
from provider_services.dialects.openai import state

ROLES = {Role.ROLE_SYSTEM: "system", Role.ROLE_USER: "user", Role.ROLE_ASSISTANT: "assistant"}
DETAILS = {ImageDetail.IMAGE_DETAIL_LOW: "low", ImageDetail.IMAGE_DETAIL_HIGH: "high"}


def encode(call: Call, notes: Notes) -> list[dict[str, Any]]:
    """Write all turns; a turn with tool results becomes one message for each result."""
    encoded: list[dict[str, Any]] = []
    for number, message in enumerate(call.prompt.messages):
        encoded.extend(_turn(call, message, number, notes))
    return encoded


def _turn(call: Call, message: Message, number: int, notes: Notes) -> list[dict[str, Any]]:
    if (said := _plain(message)) is not None:
        return [{"role": ROLES[message.role], "content": said}]
    field = f"messages[{number}]"
    results = [_result(part) for part in message.parts if part.HasField("tool_result")]
    rest = [(f"{field}.parts[{i}]", p) for i, p in enumerate(message.parts) if not p.HasField("tool_result")]
    if message.role == Role.ROLE_TOOL or (results and not rest):
        return results
    if message.role == Role.ROLE_ASSISTANT:
        encoded = _assistant(call, rest, notes)
    else:
        encoded = {"role": ROLES.get(message.role, "user"), "content": _content([part for _, part in rest])}
    if message.name:
        encoded["name"] = message.name
    return [*results, encoded]


def _plain(message: Message) -> str | None:
    """Return the text of a message that is nothing else, as most are."""
    parts = message.parts
    plain = len(parts) == 1 and parts[0].HasField("text") and not parts[0].HasField("provider_data")
    return parts[0].text.text if plain and message.role in ROLES and not message.name else None


def _result(part: Part) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": part.tool_result.tool_call_id, "content": part.tool_result.text}


def _content(parts: list[Part]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and parts[0].HasField("text"):
        return parts[0].text.text
    content: list[dict[str, Any]] = []
    for part in parts:
        if part.HasField("image"):
            content.append({"type": "image_url", "image_url": _image(part.image)})
        elif said := part.text.text or part.refusal.text:
            content.append({"type": "text", "text": said})
    return content or ""


def _image(image: Image) -> dict[str, str]:
    url = image.uri or f"data:{image.mime_type};base64,{base64.b64encode(image.data).decode()}"
    encoded = {"url": url}
    if image.detail in DETAILS:
        encoded["detail"] = DETAILS[image.detail]
    return encoded


def _assistant(call: Call, parts: list[tuple[str, Part]], notes: Notes) -> dict[str, Any]:
    encoded: dict[str, Any] = {"role": "assistant"}
    said = "".join(part.text.text for _, part in parts)
    if said:
        encoded["content"] = said
    if refused := "".join(part.refusal.text for _, part in parts):
        encoded["refusal"] = refused
    if calls := [_call(part) for _, part in parts if part.HasField("tool_call")]:
        encoded["tool_calls"] = calls
    elif not said and not refused:
        encoded["content"] = ""
    for field, part in parts:
        state.give_back(call, part, field, encoded, notes)
    return encoded


def _call(part: Part) -> dict[str, Any]:
    call = part.tool_call
    function = {"name": call.name, "arguments": call.arguments_json or "{}"}
    return {"id": call.id, "type": "function", "function": function}
