"""Writes the server-sent events of the openai dialect."""

from typing import Any
from zlib import crc32

import msgspec

from provider_services.simulator.ask import Answer, Ask, Choice, Stamp
from provider_services.simulator.wire_openai_quirks import Quirks
from provider_services.simulator.wire_openai_state import FRAGMENT, seal

FINISH = {"stop": "stop", "length": "length", "calls": "tool_calls", "window": "length", "filter": "content_filter"}
Delta = dict[str, Any]
_json = msgspec.json.encode


def tagged(reasoning: tuple[str, ...]) -> tuple[str, ...]:
    """Return reasoning as it opens a text: between tags, still one piece for each token."""
    if not reasoning:
        return ()
    first, *rest = reasoning
    pieces = ["<think>\n" + first, *rest]
    pieces[-1] += "\n</think>\n\n"
    return tuple(pieces)


def finish_word(quirks: Quirks, choice: Choice) -> str:
    """Return the host's word for why an answer ended; a host without one for it ends as usual."""
    return quirks.finishes.get(choice.finish) or FINISH.get(choice.finish, "stop")


def head(quirks: Quirks, answer_id: str, kind: str, ask: Ask, stamp: Stamp) -> dict[str, Any]:
    """Return what an answer and each of its events say of themselves."""
    told: dict[str, Any] = {
        "id": answer_id,
        "object": kind,
        "created": int(stamp.created),
        "model": ask.model.answers_as,
        "system_fingerprint": fingerprint(ask) if quirks.fingerprint == "made" else None,
    }
    return {name: value for name, value in told.items() if name not in quirks.omits}


class Frames:
    """Writes the events of one answer; what does not change from event to event is written once."""

    def __init__(self, quirks: Quirks, answer_id: str, ask: Ask, stamp: Stamp) -> None:
        self._quirks = quirks
        self._stamp = stamp
        self._usage_asked = ask.usage_asked
        self._form = quirks.form(ask.model.id)
        said = head(quirks, answer_id, "chat.completion.chunk", ask, stamp)
        if quirks.tier_in_chunks and "service_tier" not in quirks.omits:
            said["service_tier"] = quirks.service_tier
        self._head = b"data: " + _json(said)[:-1] + b',"choices":['
        ends: dict[str, Any] = {"usage": None} if quirks.chunk_usage == "asked" and ask.usage_asked else {}
        if quirks.padding:
            ends[quirks.padding] = answer_id[-9:]
        self._tail = _ended(ends)
        self._choice = _json(quirks.choice_fields)[1:-1]
        self._said: set[int] = set()

    def before(self) -> bytes:
        """Write what some hosts tell of the prompt, in an event that is of no choice."""
        if not self._quirks.prompt_fields:
            return b""
        nobody = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return b"data: " + _json(nobody | self._quirks.prompt_fields) + b"\n\n"

    def alive(self) -> bytes:
        """Write what keeps the line alive while nothing is said."""
        return f": {self._quirks.comment}\n\n".encode() if self._quirks.comment else b""

    def opening(self, index: int) -> bytes:
        """Write the event that opens a choice."""
        if not self._quirks.opening:
            return b""
        tail = b""
        if self._quirks.extension:
            tail = _ended({self._quirks.extension: {"id": self._stamp.request_id}})
        return self._event(index, self._quirks.opening, tail=tail)

    def text(self, index: int, text: str) -> bytes:
        """Write a piece of text."""
        return self._said_by(index, {"content": text})

    def reasoning(self, index: int, text: str) -> bytes:
        """Write a piece of reasoning."""
        if self._form == "parts":
            return self._said_by(
                index, {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]}
            )
        delta: Delta = {self._quirks.reasoning_field: text}
        if self._quirks.reasoning_details:
            delta["reasoning_details"] = [FRAGMENT | {"text": text}]
        if self._quirks.reasoning_channel:
            delta["channel"] = self._quirks.reasoning_channel
        return self._said_by(index, delta)

    def signature(self, index: int, text: str) -> bytes:
        """Write what signs the reasoning before it as a whole."""
        return self._said_by(index, {"content": "", "reasoning_details": [FRAGMENT | {"signature": seal(text)}]})

    def tool(self, index: int, call: dict[str, Any]) -> bytes:
        """Write a tool call, or the next part of one."""
        return self._said_by(index, {"tool_calls": [call]})

    def closing(self, answer: Answer, usage: dict[str, Any]) -> bytes:
        """Write what follows the last token: the finishes, and the usage with the last of them or in its own event."""
        quirks = self._quirks
        frames: list[bytes] = []
        for index, choice in enumerate(answer.choices):
            tail = b""
            if quirks.chunk_usage == "always" and choice is answer.choices[-1]:
                extension = {"id": self._stamp.request_id, "usage": usage}
                tail = _ended(({quirks.extension: extension} if quirks.extension else {}) | {"usage": usage})
            delta, word = quirks.each_delta | quirks.last_delta, finish_word(quirks, choice)
            if quirks.finish_repeats:
                frames.append(self._event(index, delta, word))
            frames.append(self._event(index, delta, word, tail, usage if quirks.chunk_usage == "in_choice" else None))
        if self._usage_asked and quirks.usage_event:
            tier = quirks.tier_in_chunks or "service_tier" in quirks.omits
            last = {"usage": usage} | ({} if tier else {"service_tier": quirks.service_tier})
            frames.append(self._head + _ended(last)[1:])
        return b"".join(frames)

    def _said_by(self, index: int, delta: Delta) -> bytes:
        """Write a delta with what the host says with every one; where no event opens a choice, its first says who."""
        who: Delta = {} if self._quirks.opening or index in self._said else {"role": "assistant"}
        self._said.add(index)
        return self._event(index, who | self._quirks.each_delta | delta)

    def _event(
        self, index: int, delta: Delta, finish: str | None = None, tail: bytes = b"", usage: Delta | None = None
    ) -> bytes:
        omits = self._quirks.omits
        middle = b'{"index":%d,"delta":%b' % (index, _json(delta))
        if self._choice:
            middle += b"," + self._choice
        if "logprobs" not in omits:
            middle += b',"logprobs":null'
        if finish is not None or "finish_reason" not in omits:
            middle += b',"finish_reason":' + _json(finish)
        if usage is not None:
            middle += b',"usage":' + _json(usage)
        return self._head + middle + (tail or self._tail)


def _ended(fields: dict[str, Any]) -> bytes:
    return b"}]" + (b"," + _json(fields)[1:] if fields else b"}") + b"\n\n"


def fingerprint(ask: Ask) -> str:
    """Return the fingerprint of the system that serves a model."""
    return f"fp_{crc32(ask.model.id.encode()):010x}"
