"""Reads a streamed generate-content answer: each event is a whole answer's JSON with the next parts.

Without `alt=sse` the same objects come as one JSON array; both are read. There is no end mark: a candidate's
finishReason is the end.
"""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Delta, ProviderData, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.framing import JsonArrayReader, SseReader
from provider_services.dialects.gemini import answer, citations, errors, finishes, state, usage
from provider_services.dialects.gemini.partial_arguments import PartialCall
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault


class ContentStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader: SseReader | JsonArrayReader | None = None
        self._held = Held()
        self._begun = b""
        self._candidates: dict[int, _Candidate] = {}
        self._counted: Mapping[str, Any] = {}
        self._feedback: Any = None
        self._id = ""
        self._model = ""
        self._received = estimate.Received()

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        deltas = self._held.read(lambda: self._bodies(data), self._event)
        self._received.add(deltas)
        return deltas

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._last, self._event)
        self._held.check()
        used = usage.read(self._counted)
        if not self._candidates and self._feedback:
            raise finishes.blocked(self._feedback, used)
        if not self._candidates or not all(candidate.finished for candidate in self._candidates.values()):
            raise VendorFault(
                Fault(Reason.VENDOR_INCOMPLETE, "the vendor's stream ended without its finish", retryable=True)
            )
        choices = tuple(candidate.finish(used) for _, candidate in sorted(self._candidates.items()))
        return Finish(choices, used or self._guess(), self._id, self._model, deltas=tuple(last))

    def partial_usage(self) -> Usage:
        """Return what has been used so far; every event counts all before it, though some count the prompt only."""
        used = usage.read(self._counted)
        if used is not None and used.output_tokens:
            return used
        guess = self._received.usage()
        guess.input_tokens = used.input_tokens if used is not None else 0
        return guess

    def _guess(self) -> Usage:
        guess = self._received.usage()
        guess.input_tokens = estimate.prompt_tokens(self._call.prompt)
        return guess

    def _bodies(self, data: bytes) -> list[bytes]:
        if self._reader is None:
            self._begun += data
            first = self._begun.lstrip()[:1]
            if not first:
                return []
            data, self._begun = self._begun, b""
            self._reader = JsonArrayReader() if first == b"[" else SseReader()
        if isinstance(self._reader, SseReader):
            return [event.data for event in self._reader.feed(data)]
        return self._reader.feed(data)

    def _last(self) -> list[bytes]:
        """Return the event that only the end of the stream completed, unless it was cut off."""
        if not isinstance(self._reader, SseReader):
            return []
        return [event.data for event in self._reader.close() if wire.try_decode(event.data) is not None]

    def _event(self, data: bytes, deltas: list[Delta]) -> None:
        body = wire.decode_object(data)
        if body.get("error"):
            raise VendorFault(errors.inside(self._call, body))
        self._id = body.get("responseId") or self._id
        self._model = body.get("modelVersion") or self._model
        self._feedback = body.get("promptFeedback") or self._feedback
        counted = wire.mapping(body.get("usageMetadata"))
        if usage.counts(counted):
            self._counted = counted
        for listed in body.get("candidates") or ():
            index = listed.get("index") or 0
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = self._candidates[index] = _Candidate(index, self._call, self._id)
            candidate.grow(listed, deltas)


class _Candidate:
    """The state of one growing candidate.

    Pieces of one kind continue their part; a part with a signature is a part of its own, so that it can go back as it
    came.
    """

    def __init__(self, index: int, call: Call, response_id: str) -> None:
        self._index = index
        self._call = call
        self._response_id = response_id
        self._part = -1
        self._kind = ""
        self._text = ""
        self._text_part = 0
        self._called = 0
        self._partial: PartialCall | None = None
        self._signature: ProviderData | None = None
        self._said = ""
        self._detail = ""

    def grow(self, candidate: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read one event's share of the candidate."""
        for part in wire.mapping(candidate.get("content")).get("parts") or ():
            self._piece(part, deltas)
        if candidate.get("groundingMetadata") or candidate.get("citationMetadata"):
            deltas.extend(
                Delta(choice_index=self._index, part_index=self._text_part, citation=citation)
                for citation in citations.read(candidate, self._text)
            )
        if probabilities := answer.logprobs(candidate):
            if not deltas:
                self._open("text", None)
                deltas.append(Delta(choice_index=self._index, part_index=self._part, text=""))
            deltas[-1].logprobs.extend(probabilities)
        if said := finishes.name(candidate.get("finishReason")):
            self._said = said
            self._detail = wire.text(candidate.get("finishMessage"))

    @property
    def finished(self) -> bool:
        """Whether the candidate said why it ended."""
        return bool(self._said)

    def finish(self, used: Usage | None) -> ChoiceFinish:
        """Return why the candidate ended; raises VendorFault when it ended in an error."""
        reason = finishes.read(self._said, self._detail, used, called=self._called > 0)
        return ChoiceFinish(choice_index=self._index, reason=reason)

    def _piece(self, part: Mapping[str, Any], deltas: list[Delta]) -> None:
        kept = state.keep(self._call, part)
        if "functionCall" in part:
            self._call_tool(part["functionCall"], kept, deltas)
            return
        text = wire.text(part.get("text"))
        if not text and kept is None:
            return
        if part.get("thought"):
            self._open("reasoning", kept)
            delta = Delta(choice_index=self._index, part_index=self._part, reasoning=text)
        else:
            self._open("text", kept)
            delta = Delta(choice_index=self._index, part_index=self._part, text=text)
            self._heard(text)
        if kept is not None:
            delta.provider_data.CopyFrom(kept)
        deltas.append(delta)

    def _heard(self, text: str) -> None:
        """Remember the text sources will speak of."""
        if text and self._text_part != self._part:
            self._text_part, self._text = self._part, ""
        self._text += text

    def _open(self, kind: str, kept: ProviderData | None) -> None:
        """Continue the part if it is of the same kind and neither it nor the piece is signed; else begin one."""
        if kept is not None or self._kind != kind:
            self._part += 1
        self._kind = kind if kept is None else f"signed {kind}"

    def _call_tool(self, called: Mapping[str, Any], kept: ProviderData | None, deltas: list[Delta]) -> None:
        if self._partial is None and not called.get("willContinue"):
            self._whole_call(called, kept, deltas)
            return
        if self._partial is None:
            self._partial, self._signature = PartialCall(called), kept
        self._partial.grow(called)
        if not called.get("willContinue"):
            whole, kept = self._partial.whole(), self._signature
            self._partial = self._signature = None
            self._whole_call(whole, kept, deltas)

    def _whole_call(self, called: Mapping[str, Any], kept: ProviderData | None, deltas: list[Delta]) -> None:
        self._part += 1
        self._kind = "tool call"
        call = answer.tool_call(called, self._response_id, self._called)
        self._called += 1
        delta = Delta(choice_index=self._index, part_index=self._part, tool_call=call)
        if kept is not None:
            delta.provider_data.CopyFrom(kept)
        deltas.append(delta)
