"""Reads a streamed answer: named events that start a message, grow its blocks and say why it ended.

A message that begins while another is open was spliced in by a host on the way that asked again: what has been
forwarded belongs to an answer nobody finished, so the stream is broken. The same message begun twice is a host's
stutter, and one that begins after another's end goes on with the answer.
"""

from collections.abc import Callable, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Delta, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.anthropic import errors, finishes, usage
from provider_services.dialects.anthropic.blocks import Block, Parts
from provider_services.dialects.framing import SseEvent, SseReader
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault

Event = Mapping[str, Any]


class MessageStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._held = Held()
        self._parts = Parts(call)
        self._blocks: dict[int | None, Block] = {}
        self._open = False
        self._counted: dict[str, Any] = {}
        self._told = False
        self._stop: Any = None
        self._ended = False
        self._id = ""
        self._model = ""
        self._received = estimate.Received()
        self._events: Mapping[str, Callable[[Event, list[Delta]], None]] = {
            "content_block_delta": self._grow_block,
            "message_start": self._start_message,
            "content_block_start": self._start_block,
            "content_block_stop": self._stop_block,
            "message_delta": self._finish_message,
            "message_stop": self._stop_message,
            "error": self._fail,
        }

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        deltas = self._held.read(lambda: self._reader.feed(data), self._event)
        self._received.add(deltas)
        return deltas

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._last, self._event)
        self._held.check()
        if not self._ended:
            raise _incomplete("the vendor's stream ended without its finish")
        reason = finishes.read(self._stop, called=self._parts.called)
        used = usage.read(self._counted)
        return Finish(
            (ChoiceFinish(choice_index=0, reason=reason),),
            self._guess() if used is None else used,
            self._id,
            self._model,
            deltas=tuple(last),
        )

    def partial_usage(self) -> Usage:
        """Return what has been used so far; the input is told at the start, the output at the end."""
        used = usage.read(self._counted)
        if used is None:
            return self._received.usage()
        if not self._told:
            guess = self._received.usage()
            used.output_tokens, used.estimated = max(used.output_tokens, guess.output_tokens), True
        return used

    def _last(self) -> list[SseEvent]:
        """Return the event that only the end of the stream completed, unless it was cut off."""
        return [event for event in self._reader.close() if isinstance(wire.try_decode(event.data), dict)]

    def _guess(self) -> Usage:
        guess = self._received.usage()
        guess.input_tokens = estimate.prompt_tokens(self._call.prompt)
        return guess

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        if event.data.startswith(b"[DONE]"):
            return
        body = wire.decode_object(event.data)
        kind = body.get("type") or event.name.decode(errors="replace")
        known = self._events.get(kind)
        if known is not None:
            known(body, deltas)
        elif body.get("error") or not (kind or self._id):  # an error may come as plain JSON, whatever the headers say
            self._fail(body, deltas)

    def _start_message(self, body: Event, deltas: list[Delta]) -> None:
        message = body["message"]
        named = wire.text(message.get("id"))
        if self._open and named == self._id:
            return
        if self._open and not self._ended:
            raise _incomplete("the vendor's stream began another answer before the first had ended")
        self._id, self._model = named or self._id, wire.text(message.get("model")) or self._model
        self._open, self._ended, self._told, self._counted = True, False, False, {}
        self._count(message)
        for block in message.get("content") or ():
            Block(self._parts, block, deltas).stop(deltas)
        self._end(message.get("stop_reason"))

    def _start_block(self, body: Event, deltas: list[Delta]) -> None:
        self._blocks[body.get("index")] = Block(self._parts, body["content_block"], deltas)

    def _grow_block(self, body: Event, deltas: list[Delta]) -> None:
        self._blocks[body.get("index")].grow(wire.mapping(body.get("delta")), deltas)

    def _stop_block(self, body: Event, deltas: list[Delta]) -> None:
        block = self._blocks.pop(body.get("index"), None)
        if block is not None:
            block.stop(deltas)

    def _finish_message(self, body: Event, deltas: list[Delta]) -> None:
        self._told = "usage" in body
        self._count(body)
        delta = wire.mapping(body.get("delta"))
        if why := finishes.refused(delta.get("stop_details")):
            deltas.append(Delta(part_index=self._parts.number(), refusal=why))
        self._end(delta.get("stop_reason"))

    def _stop_message(self, body: Event, deltas: list[Delta]) -> None:
        self._open, self._ended = False, True
        self._blocks.clear()

    def _fail(self, body: Event, deltas: list[Delta]) -> None:
        raise VendorFault(errors.inside(self._call, body))

    def _count(self, body: Event) -> None:
        told = wire.mapping(body.get("usage"))
        self._counted.update((name, value) for name, value in told.items() if value is not None)

    def _end(self, reason: Any) -> None:
        if reason is not None:
            self._stop, self._ended = reason, True


def _incomplete(message: str) -> VendorFault:
    return VendorFault(Fault(Reason.VENDOR_INCOMPLETE, message, retryable=True))
