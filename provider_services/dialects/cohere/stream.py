"""Reads a streamed v2 chat answer: named events, the last of them `message-end`; the mark after it says nothing."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Delta, FinishReason, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.cohere import answer, citations, errors, finishes, state, usage
from provider_services.dialects.framing import SseEvent, SseReader
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault

DONE = b"[DONE]"


class EventStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._held = Held()
        self._parts: dict[str, int] = {}
        self._texts: dict[int, list[str]] = {}
        self._plan: list[str] = []
        self._calls: dict[int, _Called] = {}
        self._reason: FinishReason.ValueType | None = None
        self._usage: Usage | None = None
        self._id = ""
        self._received = estimate.Received()

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        deltas = self._held.read(lambda: self._reader.feed(data), self._event)
        self._received.add(deltas)
        return deltas

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._last, self._event)
        self._held.check()
        if self._reason is None:
            fault = Fault(Reason.VENDOR_INCOMPLETE, "the vendor's stream ended without its finish", retryable=True)
            raise VendorFault(fault)
        choices = (ChoiceFinish(choice_index=0, reason=self._reason),)
        return Finish(choices, self._usage or self._guess(), vendor_response_id=self._id, deltas=tuple(last))

    def partial_usage(self) -> Usage:
        """Return what has been used so far; the vendor counts at the end."""
        return self._usage or self._received.usage()

    def _last(self) -> list[SseEvent]:
        """Return the event that only the end of the stream completed, unless it was cut off."""
        return [event for event in self._reader.close() if wire.try_decode(event.data) is not None]

    def _guess(self) -> Usage:
        guess = self._received.usage()
        guess.input_tokens = estimate.prompt_tokens(self._call.prompt)
        return guess

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        if event.data.strip() == DONE:
            return
        body = wire.decode_object(event.data)
        read = self._readers.get(body.get("type") or "")
        if read is not None:
            read(self, body, deltas)
        elif errors.told(body):
            raise VendorFault(errors.inside(self._call, body))

    def _begin(self, body: Mapping[str, Any], _: list[Delta]) -> None:
        self._id = wire.text(body.get("id"))

    def _content(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        number, content = body["index"], body["delta"]["message"]["content"]
        if thought := content.get("thinking"):
            mark = None if f"content {number}" in self._parts else state.mark(self._call)
            deltas.append(Delta(part_index=self._part(f"content {number}"), reasoning=thought, provider_data=mark))
        elif said := content.get("text"):
            delta = Delta(part_index=self._part(f"content {number}"), text=said)
            if weighed := body.get("logprobs"):
                delta.logprobs.append(answer.logprob(weighed))
            deltas.append(delta)
            self._texts.setdefault(number, []).append(said)

    def _planned(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        if planned := body["delta"]["message"]["tool_plan"]:
            self._plan.append(planned)
            deltas.append(Delta(part_index=self._part("plan"), reasoning=planned))

    def _cite(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        cited = body["delta"]["message"]["citations"]
        number = citations.block(cited, self._texts)
        if number is not None:
            part = self._part(f"content {number}")
            said = "".join(self._texts[number])
            deltas.extend(Delta(part_index=part, citation=citation) for citation in citations.read(cited, said))

    def _call_begins(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        number, told = body["index"], body["delta"]["message"]["tool_calls"]
        self._keep_plan(deltas)
        begun = answer.tool_call(self._call, told, self._id, number)
        begun.arguments_json = ""
        called = self._calls[number] = _Called(self._part(f"tool call {number}"))
        deltas.append(Delta(part_index=called.part, tool_call=begun))
        called.grow(told["function"].get("arguments") or "", deltas)

    def _call_grows(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        piece = body["delta"]["message"]["tool_calls"]["function"]["arguments"]
        self._calls[body["index"]].grow(piece, deltas)

    def _call_ends(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._calls[body["index"]].end(deltas)

    def _end(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        delta = body["delta"]
        self._usage = usage.read(wire.mapping(delta.get("usage"))) or self._usage
        self._keep_plan(deltas)
        for called in self._calls.values():
            called.end(deltas)
        self._reason = finishes.read(self._call, delta, self._usage, called=bool(self._calls))

    def _keep_plan(self, deltas: list[Delta]) -> None:
        """Send the whole plan once more, as what must come back with it; it ends where the first call begins."""
        if self._plan:
            kept = state.keep(self._call, "".join(self._plan))
            deltas.append(Delta(part_index=self._part("plan"), reasoning="", provider_data=kept))
            self._plan = []

    def _part(self, kind: str) -> int:
        return self._parts.setdefault(kind, len(self._parts))

    _readers: ClassVar[Mapping[str, Callable[["EventStream", Mapping[str, Any], list[Delta]], None]]] = {
        "message-start": _begin,
        "content-start": _content,
        "content-delta": _content,
        "tool-plan-delta": _planned,
        "citation-start": _cite,
        "tool-call-start": _call_begins,
        "tool-call-delta": _call_grows,
        "tool-call-end": _call_ends,
        "message-end": _end,
    }


class _Called:
    """The arguments of one growing tool call; `null` is held back until it is known to be none."""

    def __init__(self, part: int) -> None:
        self.part = part
        self._held: str | None = ""

    def grow(self, piece: str, deltas: list[Delta]) -> None:
        """Read the next piece."""
        if self._held is not None:
            piece = self._held + piece
            if "null".startswith(piece.strip()):
                self._held = piece
                return
            self._held = None
        if piece:
            deltas.append(Delta(part_index=self.part, tool_arguments=piece))

    def end(self, deltas: list[Delta]) -> None:
        """Send the arguments of a call that has none, once."""
        if self._held is not None:
            whole = "{}" if self._held.strip() in answer.NO_ARGUMENTS else self._held
            deltas.append(Delta(part_index=self.part, tool_arguments=whole))
            self._held = None
