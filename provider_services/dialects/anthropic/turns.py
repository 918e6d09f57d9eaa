"""Writes the turns of a conversation as messages of blocks; system text goes apart, before them."""

import hashlib
import re
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, Message, Part, Role, ToolResult

from provider_services.dialects import images
from provider_services.dialects.anthropic import state
from provider_services.dialects.anthropic.caching import CacheMarks
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

Block = dict[str, Any]
Turn = dict[str, Any]
# https://docs.anthropic.com/en/api/messages
LOOKED_AT = images.PICTURES | {images.PDF}
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Conversation:
    """Writes one prompt's turns."""

    def __init__(self, call: Call, notes: Notes) -> None:
        self._call = call
        self._notes = notes
        self._marks = CacheMarks(notes)
        self.system: list[Block] = []
        self.turns: list[Turn] = []

    def write(self) -> None:
        """Fill `system` and `turns`; raises MeshError VENDOR_UNSUPPORTED."""
        for number, message in enumerate(self._call.prompt.messages):
            if message.role == Role.ROLE_SYSTEM:
                self._instruct(message, f"messages[{number}]")
            else:
                self._speak(message, f"messages[{number}]")
        if not self.turns:
            raise refuse("messages", "this vendor wants a turn besides system text")
        for turn in self.turns:
            if turn["role"] == "user":  # results of tool calls come first in the turn that answers them
                turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        self._trim(self.turns[-1])
        self._marks.place()

    def _instruct(self, message: Message, field: str) -> None:
        if self.turns:
            self._notes.note("moved", field, "this vendor takes system text before the conversation only")
        self.system.extend(self._blocks(message, field))

    def _speak(self, message: Message, field: str) -> None:
        role = "assistant" if message.role == Role.ROLE_ASSISTANT else "user"
        blocks = self._blocks(message, field)
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"].extend(blocks)
        elif blocks:
            self.turns.append({"role": role, "content": blocks})

    def _blocks(self, message: Message, field: str) -> list[Block]:
        if message.name:
            self._notes.drop(f"{field}.name", "this vendor takes no names")
        blocks: list[Block] = []
        for number, part in enumerate(message.parts):
            place = f"{field}.parts[{number}]"
            if part.HasField("image") and message.role in {Role.ROLE_ASSISTANT, Role.ROLE_SYSTEM}:
                raise refuse(f"{place}.image", "this vendor takes images in users' turns only")
            block = self._block(part, place)
            if block:
                blocks.append(block)
            if part.HasField("cache_hint"):
                self._marks.mark(blocks, part.cache_hint, place)
        return blocks

    def _block(self, part: Part, field: str) -> Block | None:
        kept = self._notes.own_state(part, self._call.vendor, field)
        if (whole := state.block(kept)) is not None:
            return whole
        written: Block | None = None
        match part.WhichOneof("kind"):
            case "text" | "refusal":
                written = _text(part.text.text or part.refusal.text)
            case "reasoning":
                written = self._reasoning(part, state.fields(kept), field)
            case "tool_call":
                written = self._call_block(part, field)
            case "tool_result":
                written = _result(part.tool_result)
            case "image":
                written = self._image(part.image, field)
        return written | state.fields(kept) if written else None

    def _reasoning(self, part: Part, fields: Block, field: str) -> Block | None:
        if "signature" in fields:
            return {"type": "thinking", "thinking": part.reasoning.text}
        self._notes.drop(field, "this vendor takes reasoning back only with its own signature")
        return None

    def _call_block(self, part: Part, field: str) -> Block:
        called = part.tool_call
        arguments = self._notes.arguments(called, field)
        return {"type": "tool_use", "id": identity(called.id), "name": called.name, "input": arguments}

    def _image(self, image: Image, field: str) -> Block:
        if image.detail:
            self._notes.drop(f"{field}.image.detail", "this vendor looks at all images alike")
        if (held := images.inline(image, field, LOOKED_AT)) is None:
            kind, source = image.mime_type, {"type": "url", "url": images.link(image, field, LOOKED_AT)}
        else:
            kind, source = held[0], {"type": "base64", "media_type": held[0], "data": held[1]}
        return {"type": "document" if kind == images.PDF else "image", "source": source}

    def _trim(self, last: Turn) -> None:
        """Cut white space after an answer to be continued, which the vendor refuses."""
        if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
            last["content"][-1]["text"] = last["content"][-1]["text"].rstrip()


def identity(named: str) -> str:
    """Return a tool call's id in letters the vendor takes: its own as they are, others' made from them."""
    if _ID.fullmatch(named):
        return named
    return f"call_{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _text(said: str) -> Block | None:
    """Return a text; the vendor refuses one without a word."""
    return {"type": "text", "text": said} if said.strip() else None


def _result(result: ToolResult) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": identity(result.tool_call_id)}
    if result.text:
        block["content"] = result.text
    if result.is_error:
        block["is_error"] = True
    return block
