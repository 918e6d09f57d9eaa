"""Writes the turns of a conversation as generate-content contents, which alternate between user and model."""

import mimetypes
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, Message, Part, Role, ToolResult

from provider_services.dialects import images, wire
from provider_services.dialects.gemini import state
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

# Where the vendor fetches files from; any other link it would refuse, and the mesh fetches none.
FETCHED = ("gs://", "https://generativelanguage.googleapis.com/", "https://www.youtube.com/", "https://youtu.be/")
# https://ai.google.dev/gemini-api/docs/image-understanding
LOOKED_AT = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", images.PDF})
# A conversation begins with the user here; this is said in the user's place when it does not.
NOTHING_SAID = "."
# The vendor's own word for "this call was not made by you": lets a conversation begun elsewhere go on.
NO_SIGNATURE = "skip_thought_signature_validator"


def encode(call: Call, notes: Notes) -> list[dict[str, Any]]:
    """Write all turns but system text; neighbours of one role become one turn."""
    encoded: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for number, message in enumerate(call.prompt.messages):
        if message.role == Role.ROLE_SYSTEM:
            continue
        role = "model" if message.role == Role.ROLE_ASSISTANT else "user"
        parts = _Turn(call, notes, names, f"messages[{number}]").encode(message)
        if role == "model":
            _sign(call, parts)
        if encoded and encoded[-1]["role"] == role:
            encoded[-1]["parts"].extend(parts)
        elif parts:
            encoded.append({"role": role, "parts": parts})
    if not encoded:
        raise refuse("messages", "this vendor wants a turn in which something is said, besides system text")
    if encoded[0]["role"] == "model":
        notes.note("added", "messages", "this vendor wants the user to speak first: a turn was put before the model's")
        encoded.insert(0, {"role": "user", "parts": [{"text": NOTHING_SAID}]})
    return encoded


def _sign(call: Call, parts: list[dict[str, Any]]) -> None:
    """Give the first tool call of a turn that another vendor made the word that stands for a signature."""
    if "signatures_required" not in call.quirks or any("thoughtSignature" in part for part in parts):
        return
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first["thoughtSignature"] = NO_SIGNATURE


class _Turn:
    """Writes one turn; `names` remembers which tool each call id was for."""

    def __init__(self, call: Call, notes: Notes, names: dict[str, str], field: str) -> None:
        self._call = call
        self._notes = notes
        self._names = names
        self._field = field

    def encode(self, message: Message) -> list[dict[str, Any]]:
        """Return the turn's parts."""
        if message.name:
            self._notes.drop(f"{self._field}.name", "this vendor takes no names")
        encoded = []
        for number, part in enumerate(message.parts):
            field = f"{self._field}.parts[{number}]"
            own = self._notes.own_state(part, self._call.vendor, field)
            if own and (opaque := state.opaque(own)) is not None:
                encoded.append(opaque)
            elif written := self._part(part, field, bool(own)):
                encoded.append(written | state.signature(own))
        return encoded

    def _part(self, part: Part, field: str, own: bool) -> dict[str, Any]:
        match part.WhichOneof("kind"):
            case "text" | "refusal":
                said = part.text.text or part.refusal.text
                return {"text": said} if said or own else {}
            case "image":
                return _image(part.image, field)
            case "reasoning":
                return self._reasoning(part, field, own)
            case "tool_call":
                self._names[part.tool_call.id] = part.tool_call.name
                arguments = self._notes.arguments(part.tool_call, field)
                call: dict[str, Any] = {"name": part.tool_call.name, "args": arguments}
                return {"functionCall": call | ({"id": part.tool_call.id} if part.tool_call.id else {})}
            case "tool_result":
                return self._result(part.tool_result)
            case _:
                return {}

    def _reasoning(self, part: Part, field: str, own: bool) -> dict[str, Any]:
        if own:
            return {"text": part.reasoning.text, "thought": True}
        self._notes.drop(field, "this vendor takes reasoning back only with its own signature")
        return {}

    def _result(self, result: ToolResult) -> dict[str, Any]:
        name = result.name or self._names.get(result.tool_call_id, "") or result.tool_call_id
        said = wire.try_decode(result.text)
        response = said if isinstance(said, dict) else {"result": result.text}
        if result.is_error:
            response = {"error": result.text}
        written: dict[str, Any] = {"name": name, "response": response}
        return {"functionResponse": written | ({"id": result.tool_call_id} if result.tool_call_id else {})}


def _image(image: Image, field: str) -> dict[str, Any]:
    if (held := images.inline(image, field, LOOKED_AT)) is not None:
        return {"inlineData": {"mimeType": held[0], "data": held[1]}}
    if not image.uri.startswith(FETCHED):
        raise refuse(f"{field}.image.uri", "this vendor fetches no links; send the image's bytes")
    kind = image.mime_type or mimetypes.guess_type(image.uri)[0]
    return {"fileData": {"fileUri": image.uri} | ({"mimeType": kind} if kind else {})}
