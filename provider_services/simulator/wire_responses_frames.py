"""Writes the server-sent events of the responses dialect."""

from collections.abc import Iterator
from typing import Any

import msgspec

from provider_services.simulator.ask import Choice, Piece
from provider_services.simulator.wire_responses_items import Rules

Item = dict[str, Any]
DONE = b"data: [DONE]\n\n"
_json = msgspec.json.encode


class Frames:
    """Writes the events of one response, numbered in their order."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._number = -1
        self._index = -1

    def event(self, kind: str, **fields: Any) -> bytes:
        """Write one event."""
        self._number += 1
        name = f"event: {kind}\n".encode() if self._rules.named_events else b""
        return name + b"data: " + _json({"type": kind} | fields | {"sequence_number": self._number}) + b"\n\n"

    def opening(self, response: Item) -> bytes:
        """Write the events before any item."""
        return self.event("response.created", response=response) + self.event("response.in_progress", response=response)

    def closing(self, response: Item) -> bytes:
        """Write the last event, which holds the response whole."""
        last = self.event(f"response.{response['status']}", response=response)
        return last + (DONE if self._rules.done else b"")

    def item(self, item: Item, choice: Choice, call: int) -> Iterator[Piece]:
        """Write the events of one item; every token is a piece of its own."""
        self._index += 1
        yield Piece(self._on("output_item.added", item=_begun(item)), 0)
        if item["type"] == "reasoning":
            yield from self._reasoning(item, choice)
        elif item["type"] == "message":
            yield from self._message(item, choice)
        elif item["type"] == "function_call":
            yield from self._arguments(item, choice.calls[call].pieces)
        yield Piece(self._on("output_item.done", item=item), 0)

    def _reasoning(self, item: Item, choice: Choice) -> Iterator[Piece]:
        if not item["summary"]:
            yield Piece(b"", len(choice.reasoning))
            return
        place = self._place(item) | {"summary_index": 0}
        yield Piece(self._on("reasoning_summary_part.added", **place, part={"type": "summary_text", "text": ""}), 0)
        for piece in choice.reasoning:
            yield Piece(self._on("reasoning_summary_text.delta", **place, delta=piece))
        yield Piece(self._on("reasoning_summary_part.done", **place, part=item["summary"][0]), 0)

    def _message(self, item: Item, choice: Choice) -> Iterator[Piece]:
        place = self._place(item) | {"content_index": 0}
        (content,) = item["content"]
        yield Piece(self._on("content_part.added", **place, part=content | {"text": "", "annotations": []}), 0)
        for piece in choice.pieces:
            yield Piece(self._on("output_text.delta", **place, delta=piece, logprobs=[]))
        for number, annotation in enumerate(content["annotations"]):
            told = {"annotation_index": number, "annotation": annotation}
            yield Piece(self._on("output_text.annotation.added", **place, **told), 0)
        yield Piece(self._on("output_text.done", **place, text=content["text"]), 0)
        yield Piece(self._on("content_part.done", **place, part=content), 0)

    def _arguments(self, item: Item, pieces: tuple[str, ...]) -> Iterator[Piece]:
        for piece in pieces:
            yield Piece(self._on("function_call_arguments.delta", **self._place(item), delta=piece))
        yield Piece(self._on("function_call_arguments.done", **self._place(item), arguments=item["arguments"]), 0)

    def _place(self, item: Item) -> Item:
        identity = item.get("id", "")
        return {"item_id": f"{identity}{self._number}" if self._rules.item_ids_change else identity}

    def _on(self, kind: str, **fields: Any) -> bytes:
        return self.event(f"response.{kind}", output_index=self._index, **fields)


def _begun(item: Item) -> Item:
    """Return an item as its first event shows it: without what is still to come."""
    empty: Item = {"summary": [], "content": [], "arguments": ""}
    begun = {name: empty.get(name, value) for name, value in item.items()}
    begun.pop("encrypted_content", None)
    return begun | ({"status": "in_progress"} if "status" in item else {})
