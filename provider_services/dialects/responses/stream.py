"""Reads a streamed response: typed events that add items, grow them and end them.

Only a response's own last event ends the stream well. Items are told apart by their place in the output: at some
vendors the same item bears another id in each event.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Citation, Delta, Usage

from meshkit.errors import Reason
from provider_services.dialects import estimate, wire
from provider_services.dialects.framing import SseEvent, SseReader
from provider_services.dialects.held import Held
from provider_services.dialects.interface import Call, Fault, Finish, VendorFault
from provider_services.dialects.responses import errors, pieces, usage
from provider_services.dialects.responses.growing import Growing
from provider_services.dialects.responses.state import Keeper

DONE = b"[DONE]"
# Named events that repeat what others say.
UNREAD = frozenset(
    {
        b"response.in_progress",
        b"response.content_part.added",
        b"response.content_part.done",
        b"response.output_text.done",
        b"response.function_call_arguments.done",
        b"response.custom_tool_call_input.done",
        b"response.reasoning_summary_part.added",
        b"response.reasoning_summary_part.done",
        b"response.reasoning_summary_text.done",
        b"response.reasoning_text.done",
    }
)


class ResponseStream:
    """Decodes one stream."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._reader = SseReader()
        self._held = Held()
        self._keeper = Keeper(call)
        self._items: dict[int | str, Growing] = {}
        self._parts = 0
        self._thoughts: Growing | None = None
        self._found: list[Citation] = []
        self._last_text: int | None = None
        self._cited = False
        self._called = 0
        self._refused = False
        self._response: Mapping[str, Any] = {}
        self._ended = False
        self._received = estimate.Received()

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes."""
        deltas = self._held.read(lambda: self._reader.feed(data), self._event)
        self._received.add(deltas)
        return deltas

    def finish(self) -> Finish:
        """Take the end of the stream."""
        last = self._held.read(self._cut_off, self._event)
        self._held.check()
        if not self._ended:
            fault = Fault(Reason.VENDOR_INCOMPLETE, "the vendor's stream ended without its finish", retryable=True)
            raise VendorFault(fault)
        reason = pieces.finish(self._response, called=self._called > 0, refused=self._refused)
        return Finish(
            choices=(ChoiceFinish(choice_index=0, reason=reason),),
            usage=usage.read(self._response.get("usage")) or self._guess(),
            vendor_response_id=wire.text(self._response.get("id")),
            vendor_model=wire.text(self._response.get("model")),
            deltas=tuple(last),
        )

    def partial_usage(self) -> Usage:
        """Return what has been used so far; the vendor counts at the end only."""
        return usage.read(self._response.get("usage")) or self._received.usage()

    def _cut_off(self) -> list[SseEvent]:
        """Return the event that only the end of the stream completed, unless it is no JSON."""
        return [event for event in self._reader.close() if wire.try_decode(event.data) is not None]

    def _guess(self) -> Usage:
        guess = self._received.usage()
        guess.input_tokens = estimate.prompt_tokens(self._call.prompt)
        return guess

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        if event.name in UNREAD or event.data.startswith(DONE):
            return
        body = wire.decode_object(event.data)
        read = self._READERS.get(body.get("type") or "")
        if read is not None:
            read(self, body, deltas)
        elif body.get("error"):
            raise VendorFault(errors.inside(self._call, body))

    def _next_part(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _item(self, body: Mapping[str, Any]) -> Growing:
        key = body.get("output_index")
        if key is None:
            key = body.get("item_id") or wire.mapping(body.get("item")).get("id") or ""
        growing = self._items.get(key)
        if growing is None:
            growing = self._items[key] = Growing(self._next_part)
        return growing

    def _text(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        if piece := body.get("delta"):
            delta = self._item(body).text(body.get("content_index") or 0, piece)
            if body.get("logprobs"):
                delta.logprobs.extend(pieces.logprobs(body["logprobs"]))
            self._last_text = delta.part_index
            deltas.append(delta)

    def _refusal(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._refused = True
        if piece := body.get("delta"):
            deltas.append(self._item(body).refusal(body.get("content_index") or 0, piece))

    def _reasoning(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        section = "summary" if "summary" in body["type"] else "content"
        piece = body.get("delta")
        if piece and (delta := self._item(body).reasoning(section, piece)) is not None:
            deltas.append(delta)

    def _arguments(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        piece = body.get("delta")
        if piece and (delta := self._item(body).arguments(piece)) is not None:
            deltas.append(delta)

    def _annotation(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        if (source := pieces.citation(wire.mapping(body.get("annotation")))) is not None:
            self._cited = True
            deltas.append(self._item(body).cite(body.get("content_index") or 0, source))

    def _added(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._begin_item(self._item(body), body["item"], deltas)

    def _begin_item(self, growing: Growing, item: Mapping[str, Any], deltas: list[Delta]) -> None:
        delta = growing.begin(item, self._called)
        if delta is not None:
            self._called += 1
            deltas.append(delta)

    def _done(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        self._end_item(self._item(body), body["item"], deltas)

    def _end_item(self, growing: Growing, item: Mapping[str, Any], deltas: list[Delta]) -> None:
        if growing.done:
            return
        self._begin_item(growing, item, deltas)
        if growing.kind in pieces.FINDS:
            self._found.extend(pieces.sources(item))
        for delta in growing.end(item, self._keeper):
            self._refused = self._refused or delta.WhichOneof("piece") == "refusal"
            self._cited = self._cited or delta.HasField("citation")
            if delta.HasField("text"):
                self._last_text = delta.part_index
            deltas.append(delta)

    def _thought(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read what a vendor's agent tells of its search: its thoughts, and what it found."""
        self._found.extend(pieces.sources(body))
        if thought := wire.text(body.get("thought")):
            self._thoughts = self._thoughts or Growing(self._next_part)
            if (delta := self._thoughts.reasoning("content", thought)) is not None:
                deltas.append(delta)

    def _begin(self, body: Mapping[str, Any], _: list[Delta]) -> None:
        """Read that a response begins; one that follows another counts its items anew."""
        self._items, self._ended = {}, False
        self._response = wire.mapping(body.get("response"))

    def _end(self, body: Mapping[str, Any], deltas: list[Delta]) -> None:
        """Read the last event; items that no event told of are in its response."""
        response = wire.mapping(body.get("response"))
        if response.get("error") or response.get("status") == "failed":
            raise VendorFault(errors.inside(self._call, body))
        self._ended = True
        self._response = {
            **self._response,
            "status": body["type"].removeprefix("response."),  # which its response may leave out
            **{name: value for name, value in response.items() if value is not None},
        }
        for place, item in enumerate(response.get("output") or ()):
            key: int | str = item.get("id") if item.get("id") in self._items else place
            self._end_item(self._items.setdefault(key, Growing(self._next_part)), item, deltas)
        if self._found and not self._cited and self._last_text is not None:
            deltas.extend(Delta(part_index=self._last_text, citation=source) for source in self._found)

    def _fail(self, body: Mapping[str, Any], _: list[Delta]) -> None:
        raise VendorFault(errors.inside(self._call, body))

    # What each type of event does; the others repeat or announce.
    _READERS: ClassVar[Mapping[str, Callable[..., None]]] = {
        "response.output_text.delta": _text,
        "response.refusal.delta": _refusal,
        "response.reasoning_text.delta": _reasoning,
        "response.reasoning_summary_text.delta": _reasoning,
        "response.function_call_arguments.delta": _arguments,
        "response.custom_tool_call_input.delta": _arguments,
        "response.output_text.annotation.added": _annotation,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.reasoning.started": _thought,
        "response.reasoning.search_queries": _thought,
        "response.reasoning.search_results": _thought,
        "response.reasoning.fetch_url_queries": _thought,
        "response.reasoning.fetch_url_results": _thought,
        "response.reasoning.stopped": _thought,
        "response.created": _begin,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _fail,
        "error": _fail,
    }
