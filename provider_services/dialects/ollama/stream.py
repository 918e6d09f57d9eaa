"""Reads a streamed answer of the local model server: JSON lines, the last with `done`."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Delta, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.framing import NdjsonReader
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault
from provider_services.dialects.ollama import answer, errors
from provider_services.dialects.think_tags import ThinkTags


class LineStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = NdjsonReader()
        self._held = Held()
        self._parts: dict[str, int] = {}
        self._called = 0
        self._last: Mapping[str, Any] | None = None
        self._received = estimate.Received()
        self._tags = ThinkTags() if "think_tags" in call.quirks else None

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        deltas = self._held.read(lambda: self._reader.feed(data), self._line)
        self._received.add(deltas)
        return deltas

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._cut_off, self._line)
        self._held.check()
        if self._last is None:
            raise VendorFault(
                Fault(Reason.VENDOR_INCOMPLETE, "the server's stream ended without its last line", retryable=True)
            )
        reason = answer.finish(self._last, called=self._called > 0)
        spoken = self._received.usage().output_tokens
        return Finish(
            choices=(ChoiceFinish(choice_index=0, reason=reason),),
            usage=answer.usage(self._call, self._last, spoken),
            vendor_model=wire.text(self._last.get("model")),
            deltas=tuple(last),
        )

    def partial_usage(self) -> Usage:
        """Return what has been received so far."""
        return self._received.usage()

    def _cut_off(self) -> list[bytes]:
        """Return the line that only the end of the stream completed, unless it is no JSON."""
        return [line for line in self._reader.close() if wire.try_decode(line) is not None]

    def _line(self, line: bytes, deltas: list[Delta]) -> None:
        body = wire.decode_object(line)
        if body.get("error"):
            raise VendorFault(errors.inside(self._call, body))
        message = body.get("message") or {}
        before = len(deltas)
        if thought := message.get("thinking"):
            self._think(thought, deltas)
        if said := message.get("content"):
            self._say(said, deltas)
        for called in message.get("tool_calls") or ():
            call = answer.tool_call(body, called, self._called)
            deltas.append(Delta(part_index=self._part(f"tool call {self._called}"), tool_call=call))
            self._called += 1
        if body.get("done"):
            self._last = body
            if self._tags:
                self._split(self._tags.close(), deltas)
        if "logprobs" in body and len(deltas) > before:
            deltas[-1].logprobs.extend(answer.logprobs(body))

    def _say(self, said: str, deltas: list[Delta]) -> None:
        self._split(self._tags.feed(said) if self._tags else ("", said), deltas)

    def _split(self, split: tuple[str, str], deltas: list[Delta]) -> None:
        thought, said = split
        if thought:
            self._think(thought, deltas)
        if said:
            deltas.append(Delta(part_index=self._part("text"), text=said))

    def _think(self, thought: str, deltas: list[Delta]) -> None:
        mark = None if "reasoning" in self._parts else answer.mark(self._call)
        deltas.append(Delta(part_index=self._part("reasoning"), reasoning=thought, provider_data=mark))

    def _part(self, kind: str) -> int:
        return self._parts.setdefault(kind, len(self._parts))
