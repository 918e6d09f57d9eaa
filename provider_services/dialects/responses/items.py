"""Writes the turns of a conversation as input items: messages, reasoning, tool calls and their results."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, ImageDetail, Message, Part, Role

from provider_services.dialects import images
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes
from provider_services.dialects.responses import state

Item = dict[str, Any]
ROLES = {Role.ROLE_SYSTEM: "system", Role.ROLE_USER: "user", Role.ROLE_ASSISTANT: "assistant"}
DETAILS = {ImageDetail.IMAGE_DETAIL_LOW: "low", ImageDetail.IMAGE_DETAIL_HIGH: "high"}


def encode(call: Call, notes: Notes) -> list[Item]:
    """Write all turns."""
    written: list[Item] = []
    called: dict[str, Item] = {}
    for number, message in enumerate(call.prompt.messages):
        field = f"messages[{number}]"
        if message.name:
            notes.drop(f"{field}.name", "this wire takes no names")
        written.extend(_result(call, part, called) for part in message.parts if part.HasField("tool_result"))
        if message.role == Role.ROLE_ASSISTANT:
            written.extend(_Assistant(call, notes, called).encode(message, field))
        elif message.role != Role.ROLE_TOOL and (content := _content(call, message, field)):
            written.append({"type": "message", "role": ROLES.get(message.role, "user"), "content": content})
    return written


def _result(call: Call, part: Part, called: dict[str, Item]) -> Item:
    result = part.tool_result
    item = {"type": "function_call_output", "call_id": result.tool_call_id, "output": result.text}
    if "results_named" not in call.quirks:
        return item
    named = {"name": result.name} if result.name else {}
    return item | called.get(result.tool_call_id, {}) | named


def _content(call: Call, message: Message, field: str) -> str | list[Item]:
    parts = [(n, part) for n, part in enumerate(message.parts) if not part.HasField("tool_result")]
    if len(parts) == 1 and parts[0][1].HasField("text"):
        return parts[0][1].text.text
    content: list[Item] = []
    for number, part in parts:
        if part.HasField("image"):
            content.append(_image(call, part.image, f"{field}.parts[{number}]"))
        elif said := part.text.text or part.refusal.text:
            content.append({"type": "input_text", "text": said})
    return content


def _image(call: Call, image: Image, field: str) -> Item:
    written = {"type": "input_image", "image_url": images.url(image, field)}
    return written if state.PLAIN in call.quirks else written | {"detail": DETAILS.get(image.detail, "auto")}


class _Assistant:
    """Writes one turn of the model as the items it was."""

    def __init__(self, call: Call, notes: Notes, called: dict[str, Item]) -> None:
        self._call = call
        self._notes = notes
        self._called = called
        self._items: list[Item] = []
        self._said: list[Part] = []
        self._fields: Item = {}
        self._signed = False

    def encode(self, message: Message, field: str) -> list[Item]:
        """Return the turn's items."""
        for number, part in enumerate(message.parts):
            place = f"{field}.parts[{number}]"
            self._part(part, place, self._notes.own_state(part, self._call.vendor, place))
        self._flush()
        return self._items

    def _part(self, part: Part, field: str, own: bytes) -> None:
        match part.WhichOneof("kind"):
            case "text" | "refusal":
                if own:
                    self._flush()
                    self._fields = state.fields(own)
                self._said.append(part)
            case "reasoning":
                self._flush()
                self._reasoning(part, field, state.item(own))
            case "tool_call":
                self._flush()
                self._items.append(self._call_item(part, state.fields(own)))
            case "image":
                self._notes.drop(field, "this wire takes images from the user only")

    def _reasoning(self, part: Part, field: str, kept: Item | None) -> None:
        if kept is not None:
            self._signed = self._signed or kept.get("type") == "reasoning"
            self._items.append(kept)
        elif part.reasoning.text and not part.HasField("provider_data"):
            self._notes.drop(field, "this vendor takes reasoning back only as it gave it")

    def _call_item(self, part: Part, fields: Item) -> Item:
        if not self._signed:
            fields.pop("id", None)
        call = part.tool_call
        signed = {name: value for name, value in fields.items() if name != "id"}
        self._called[call.id] = {"name": call.name} | signed
        item = {"type": "function_call", "call_id": call.id, "name": call.name}
        return item | {"arguments": call.arguments_json or "{}"} | fields

    def _flush(self) -> None:
        """End the message in the making: with its id beside signed reasoning, else as plain text."""
        said, fields = [part for part in self._said if part.text.text or part.refusal.text], self._fields
        self._said, self._fields = [], {}
        if not said:
            return
        if not (self._signed and "id" in fields):
            fields.pop("id", None)
            content: Any = "".join(part.text.text or part.refusal.text for part in said)
            self._items.append({"type": "message", "role": "assistant", "content": content} | fields)
            return
        content = [_output(part) for part in said]
        self._items.append({"type": "message", "role": "assistant", "status": "completed", "content": content} | fields)


def _output(part: Part) -> Item:
    if part.HasField("refusal"):
        return {"type": "refusal", "refusal": part.refusal.text}
    return {"type": "output_text", "text": part.text.text, "annotations": []}
