"""Reads a streamed chat-completions answer.

The stream ends well when every choice that began has ended, or with `[DONE]`, which many vendors never send.
"""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Delta, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.framing import SseEvent, SseReader
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault
from provider_services.dialects.openai import errors, pieces, state, usage
from provider_services.dialects.openai.calls import Calls
from provider_services.dialects.think_tags import ThinkTags

DONE = b"[DONE]"
# What a chunk holds at nearly every vendor; an error is told in other fields.
USUAL = frozenset(
    {"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "obfuscation"}
)


class ChatStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._held = Held()
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._id = ""
        self._model = ""
        self._received = estimate.Received()
        self._done = False

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        return self._held.read(lambda: self._reader.feed(data), self._event)

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._last, self._event)
        self._held.check()
        open_choices = [choice for choice in self._choices.values() if not choice.ended(self._done)]
        if open_choices or not self._choices:
            fault = Fault(Reason.VENDOR_INCOMPLETE, "the vendor's stream ended without its finish", retryable=True)
            raise VendorFault(fault)
        for _, choice in sorted(self._choices.items()):
            choice.close(last)
        return Finish(
            choices=tuple(choice.finish() for _, choice in sorted(self._choices.items())),
            usage=self._usage or self._estimate(),
            vendor_response_id=self._id,
            vendor_model=self._model,
            deltas=tuple(last),
        )

    def partial_usage(self) -> Usage:
        """Return what has been used so far."""
        return self._usage or self._received.usage()

    def _last(self) -> list[SseEvent]:
        """Return the event that only the end of the stream completed, unless it was cut off."""
        return [
            event
            for event in self._reader.close()
            if event.data.startswith(DONE) or wire.try_decode(event.data) is not None
        ]

    def _estimate(self) -> Usage:
        guess = self._received.usage()
        guess.input_tokens = estimate.prompt_tokens(self._call.prompt)
        return guess

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        if event.data.startswith(DONE):
            self._done = True
            return
        if self._done and wire.try_decode(event.data) is None:
            return  # what comes after the end is no part of the answer
        body = wire.decode_object(event.data)
        if body.get("error") or event.name == b"error" or (not USUAL.issuperset(body) and errors.told(body)):
            raise VendorFault(errors.inside(self._call, body))
        self._id = body.get("id") or self._id
        self._model = body.get("model") or self._model
        for choice in body.get("choices") or ():
            self._choice(choice, deltas)
        if counted := usage.find(body):
            self._usage = usage.read(self._call, counted)

    def _choice(self, chunk: Mapping[str, Any], deltas: list[Delta]) -> None:
        if chunk.get("error"):
            raise VendorFault(errors.inside(self._call, chunk))
        index = chunk.get("index") or 0
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index, self._call, self._id)
        before = len(deltas)
        if delta := chunk.get("delta", chunk.get("message")):  # a vendor that does not stream answers whole
            choice.grow(delta, deltas)
        if chunk.get("logprobs"):
            choice.weigh(chunk, deltas, before)
        if (ended := chunk.get("finish_reason")) is not None:
            choice.end(ended, deltas)
        self._received.add(deltas[before:])


class _Choice:
    """The state of one growing choice: which part each kind of piece belongs to."""

    def __init__(self, index: int, call: Call, response_id: str) -> None:
        self._index = index
        self._call = call
        self._parts: dict[str, int] = {}
        self._calls = Calls(index, response_id, self.part)
        self._ended: str | None = None
        self._opaque: dict[str, list[Any]] = {}
        self._tags = ThinkTags() if "think_tags" in call.quirks else None

    def grow(self, delta: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read one delta object."""
        if thought := pieces.reasoning(delta):
            deltas.append(self._delta("reasoning", reasoning=thought))
        if said := delta.get("content"):
            self._say(said, deltas)
        if refused := delta.get("refusal"):
            deltas.append(self._delta("refusal", refusal=refused))
        for called in delta.get("tool_calls") or ():
            self._calls.grow(called, deltas)
        if len(delta) > 1 or "content" not in delta:
            self._grow_rarely(delta, deltas)

    def _grow_rarely(self, delta: Mapping[str, Any], deltas: list[Delta]) -> None:
        if (legacy := delta.get("function_call")) and any(legacy.values()):
            self._calls.grow({"index": 0, "function": legacy}, deltas)
        if spoken := wire.text(wire.mapping(delta.get("audio")).get("transcript")):
            deltas.append(self._delta("text", text=spoken))
        deltas.extend(self._delta("text", citation=citation) for citation in pieces.citations(delta))
        for field in state.OPAQUE_FIELDS:
            if found := delta.get(field):
                self._opaque.setdefault(field, []).extend(found)

    def weigh(self, chunk: Mapping[str, Any], deltas: list[Delta], before: int) -> None:
        """Read token probabilities; they travel with the text they belong to."""
        if probabilities := pieces.logprobs(chunk):
            text = next((delta for delta in deltas[before:] if delta.text), None)
            if text is None:
                text = self._delta("text", text="")
                deltas.append(text)
            text.logprobs.extend(probabilities)

    def end(self, reason: str, deltas: list[Delta]) -> None:
        """Read why the choice ended; a repeated reason changes nothing."""
        if self._ended or reason in pieces.UNENDED:
            return
        self._ended = reason
        self._complete(deltas)

    def close(self, deltas: list[Delta]) -> None:
        """Take the end of the stream, which may be the only end the choice has."""
        if not self._ended:
            self._complete(deltas)
        self._calls.close(deltas)

    def _complete(self, deltas: list[Delta]) -> None:
        if self._tags:
            self._tagged(self._tags.close(), deltas)
        opaque = {field: state.joined(fragments) for field, fragments in self._opaque.items()}
        if kept := state.keep(self._call, opaque, thought="reasoning" in self._parts):
            deltas.append(self._delta("reasoning", reasoning="", provider_data=kept))

    def ended(self, done: bool) -> bool:
        """Say whether the choice ended; some vendors give no reason and only say that the stream is done."""
        return done or bool(self._ended)

    def finish(self) -> ChoiceFinish:
        """Return why the choice ended."""
        reason = pieces.finish(self._ended or "", called=bool(self._calls), refused="refusal" in self._parts)
        return ChoiceFinish(choice_index=self._index, reason=reason)

    def part(self, kind: str) -> int:
        """Return the index of the part of that kind; the first piece of a kind begins its part."""
        return self._parts.setdefault(kind, len(self._parts))

    def _delta(self, kind: str, **piece: Any) -> Delta:
        return Delta(choice_index=self._index, part_index=self.part(kind), **piece)

    def _say(self, content: Any, deltas: list[Delta]) -> None:
        if isinstance(content, str) and self._tags is None:
            deltas.append(self._delta("text", text=content))
            return
        thought, said = pieces.content(content)
        if self._tags and said:
            more, said = self._tags.feed(said)
            thought += more
        self._tagged((thought, said), deltas)

    def _tagged(self, split: tuple[str, str], deltas: list[Delta]) -> None:
        thought, said = split
        if thought:
            deltas.append(self._delta("reasoning", reasoning=thought))
        if said:
            deltas.append(self._delta("text", text=said))
