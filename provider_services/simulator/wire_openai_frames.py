"""Writes the server-sent events of the openai dialect, and names how its hosts differ."""

from typing import Any, Literal
from zlib import crc32

import msgspec

from provider_services.simulator.ask import Answer, Ask, Stamp
from provider_services.simulator.wire_openai_requests import Refusals

FINISH = {"stop": "stop", "length": "length", "calls": "tool_calls"}
_json = msgspec.json.encode


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one host of this dialect differs from the next."""

    ids: str = "alphanumeric"
    tool_ids: str = "alphanumeric"
    tool_id_prefix: str = "call_"
    service_tier: str = "default"
    tier_in_chunks: bool = True
    extension: str = ""
    timing: bool = False
    reasoning_field: str = ""
    reasoning_channel: str = ""
    reasoning_details: bool = False
    obfuscation: bool = False
    whole_calls: bool = False
    content_with_calls: bool = True
    message_fields: dict[str, Any] = {}
    chunk_usage: Literal["asked", "always"] = "asked"
    all_details: bool = True
    event_errors: bool = False
    lists_windows: bool = False
    refused: Refusals = Refusals()


def details(text: str) -> list[dict[str, Any]]:
    """Return reasoning as the list of details some hosts want back as it was."""
    return [{"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}]


class Frames:
    """Writes the events of one answer; what does not change from event to event is written once."""

    def __init__(self, quirks: Quirks, answer_id: str, ask: Ask, stamp: Stamp) -> None:
        self._quirks = quirks
        self._stamp = stamp
        self._usage_asked = ask.usage_asked
        head: dict[str, Any] = {
            "id": answer_id,
            "object": "chat.completion.chunk",
            "created": int(stamp.created),
            "model": ask.model.answers_as,
        }
        if quirks.tier_in_chunks:
            head["service_tier"] = quirks.service_tier
        head["system_fingerprint"] = fingerprint(ask)
        self._head = b"data: " + _json(head)[:-1] + b',"choices":['
        ends: dict[str, Any] = {"usage": None} if quirks.chunk_usage == "asked" and ask.usage_asked else {}
        if quirks.obfuscation:
            ends["obfuscation"] = answer_id[-9:]
        self._tail = _ended(ends)

    def opening(self, index: int) -> bytes:
        """Write the event that opens a choice."""
        delta = b'{"role":"assistant","content":""' + (b',"refusal":null}' if self._quirks.all_details else b"}")
        if self._quirks.extension:
            extension = {self._quirks.extension: {"id": self._stamp.request_id}}
            return self._event(index, delta, tail=_ended(extension))
        return self._event(index, delta)

    def text(self, index: int, text: str) -> bytes:
        """Write a piece of text."""
        return self._event(index, b'{"content":' + _json(text) + b"}")

    def reasoning(self, index: int, text: str) -> bytes:
        """Write a piece of reasoning."""
        delta: dict[str, Any] = {self._quirks.reasoning_field: text}
        if self._quirks.reasoning_details:
            delta["reasoning_details"] = details(text)
        if self._quirks.reasoning_channel:
            delta["channel"] = self._quirks.reasoning_channel
        return self._event(index, _json(delta))

    def tool(self, index: int, call: dict[str, Any]) -> bytes:
        """Write a tool call, or the next part of one."""
        return self._event(index, b'{"tool_calls":[' + _json(call) + b"]}")

    def closing(self, answer: Answer, usage: dict[str, Any]) -> bytes:
        """Write what follows the last token: the finishes, and the usage event if asked for."""
        quirks = self._quirks
        tail = b""
        if quirks.chunk_usage == "always":
            extension = {"id": self._stamp.request_id, "usage": usage}
            tail = _ended(({quirks.extension: extension} if quirks.extension else {}) | {"usage": usage})
        frames = [
            self._event(index, b"{}", _json(FINISH[choice.finish]), tail) for index, choice in enumerate(answer.choices)
        ]
        if self._usage_asked:
            tier = {} if quirks.tier_in_chunks else {"service_tier": quirks.service_tier}
            frames.append(self._head + _ended({"usage": usage} | tier)[1:])
        return b"".join(frames)

    def _event(self, index: int, delta: bytes, finish: bytes = b"null", tail: bytes = b"") -> bytes:
        middle = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b' % (index, delta, finish)
        return self._head + middle + (tail or self._tail)


def _ended(fields: dict[str, Any]) -> bytes:
    return b"}]" + (b"," + _json(fields)[1:] if fields else b"}") + b"\n\n"


def fingerprint(ask: Ask) -> str:
    """Return the fingerprint of the system that serves a model."""
    return f"fp_{crc32(ask.model.id.encode()):010x}"
