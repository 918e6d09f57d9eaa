"""Holds one output item in the making: what has been heard of it, and which parts of ours it became.

What its last event says beyond what was heard is sent then: some vendors stream an item in pieces, some whole.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Citation, Delta, ProviderData, ToolCall

from provider_services.dialects import wire
from provider_services.dialects.responses import pieces
from provider_services.dialects.responses.state import Keeper

NextPart = Callable[[], int]
# Where reasoning text comes from, by the item's field that holds it.
SECTIONS = ("content", "summary")


class Growing:
    """One output item; `next_part` gives the index of a part that begins."""

    def __init__(self, next_part: NextPart) -> None:
        self._next_part = next_part
        self._parts: dict[tuple[str, int], int] = {}
        self._heard: dict[int, list[str]] = {}
        self._cited: dict[int, int] = {}
        self._section = ""
        self.kind = ""
        self.done = False

    def text(self, index: int, piece: str) -> Delta:
        """Take more text of one of the item's contents."""
        part = self._grow("text", index, piece)
        return Delta(part_index=part, text=piece)

    def refusal(self, index: int, piece: str) -> Delta:
        """Take more of a refusal."""
        part = self._grow("refusal", index, piece)
        return Delta(part_index=part, refusal=piece)

    def reasoning(self, section: str, piece: str) -> Delta | None:
        """Take more reasoning; of a vendor that tells text and summary, the one that comes first is taken."""
        self._section = self._section or section
        if section != self._section:
            return None
        part = self._grow("reasoning", 0, piece)
        return Delta(part_index=part, reasoning=piece)

    def arguments(self, piece: str) -> Delta | None:
        """Take more of a call's arguments; before its name is known they are held."""
        part = self._parts.get(("call", 0))
        self._heard.setdefault(0, []).append(piece)
        return None if part is None else Delta(part_index=part, tool_arguments=piece)

    def cite(self, index: int, citation: Citation) -> Delta:
        """Take a source of one of the item's texts."""
        self._cited[index] = self._cited.get(index, 0) + 1
        return Delta(part_index=self._part("text", index), citation=citation)

    def begin(self, item: Mapping[str, Any], number: int) -> Delta | None:
        """Take the item's first event; a tool call begins with it, once, when its name is there."""
        self.kind = self.kind or wire.text(item.get("type"))
        if self.kind not in pieces.CALLS or ("call", 0) in self._parts or not item.get("name"):
            return None
        call = ToolCall(id=pieces.call_id(item, number), name=item["name"], arguments_json=self._said(0))
        return Delta(part_index=self._part("call", 0), tool_call=call)

    def end(self, item: Mapping[str, Any], keeper: Keeper) -> Iterator[Delta]:
        """Take the item's last event: what was not heard before, and its state."""
        self.done = True
        if self.kind == "message":
            yield from self._end_message(item, keeper.message(item))
        elif self.kind in pieces.CALLS:
            part = self._parts["call", 0]
            rest = self._rest(0, pieces.arguments(self.kind, item))
            if not rest and not self._said(0):
                rest = "{}"
            kept = keeper.call(item)
            if rest or kept is not None:
                yield _with(Delta(part_index=part, tool_arguments=rest), kept)
        else:
            rest, kept = self._rest_of_reasoning(item), keeper.item(item)
            if rest or kept is not None:
                yield _with(Delta(part_index=self._part("reasoning", 0), reasoning=rest), kept)

    def _end_message(self, item: Mapping[str, Any], kept: ProviderData | None) -> Iterator[Delta]:
        for index, content in enumerate(item.get("content") or ()):
            kind = "refusal" if content.get("type") == "refusal" else "text"
            said = wire.text(content.get(kind))
            if not said and (kind, index) not in self._parts:
                continue
            delta = Delta(part_index=self._part(kind, index))
            setattr(delta, kind, self._rest(index, said))
            if kept is not None or (said and not self._heard.get(index)):
                yield _with(delta, kept)
            elif getattr(delta, kind):
                yield delta
            kept = None
            yield from self._uncited(index, content)

    def _uncited(self, index: int, content: Mapping[str, Any]) -> Iterator[Delta]:
        for source in pieces.citations(content.get("annotations") or ())[self._cited.get(index, 0) :]:
            yield self.cite(index, source)

    def _rest_of_reasoning(self, item: Mapping[str, Any]) -> str:
        if self.kind != "reasoning":
            return ""
        whole = pieces.section(item, self._section) if self._section else pieces.reasoning(item)
        return self._rest(0, whole)

    def _grow(self, kind: str, index: int, piece: str) -> int:
        self._heard.setdefault(index, []).append(piece)
        return self._part(kind, index)

    def _part(self, kind: str, index: int) -> int:
        part = self._parts.get((kind, index))
        if part is None:
            part = self._parts[kind, index] = self._next_part()
        return part

    def _said(self, index: int) -> str:
        return "".join(self._heard.get(index, ()))

    def _rest(self, index: int, whole: str) -> str:
        """Return what was not heard; what was forwarded cannot be unsaid, should the vendor now say otherwise."""
        said = self._said(index)
        return whole[len(said) :] if whole.startswith(said) else ""


def _with(delta: Delta, kept: ProviderData | None) -> Delta:
    if kept is not None:
        delta.provider_data.CopyFrom(kept)
    return delta
