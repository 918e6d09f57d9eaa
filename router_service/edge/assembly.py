"""Puts the deltas of a stream together again: what needs the whole message can be said at its end."""

from dataclasses import dataclass, field

from llmmesh.chat.v1 import chat_pb2


@dataclass(slots=True)
class GrowingPart:
    """One part of one answer while it grows."""

    kind: str = ""
    texts: list[str] = field(default_factory=list)
    call: chat_pb2.ToolCall | None = None
    citations: list[chat_pb2.Citation] = field(default_factory=list)
    provider_data: chat_pb2.ProviderData | None = None

    def add(self, delta: chat_pb2.Delta) -> None:
        """Take one piece."""
        if delta.HasField("provider_data"):
            self.provider_data = delta.provider_data
        match delta.WhichOneof("piece"):
            case "text" | "reasoning" | "refusal" as kind:
                self.kind = kind
                self.texts.append(getattr(delta, kind))
            case "tool_call":
                self.kind, self.call = "tool_call", delta.tool_call
                self.texts.append(delta.tool_call.arguments_json)
            case "tool_arguments":
                self.texts.append(delta.tool_arguments)
            case "citation":
                self.citations.append(delta.citation)

    def grown(self) -> chat_pb2.Part:
        """Return the part as it is now."""
        whole = "".join(self.texts)
        part = chat_pb2.Part(provider_data=self.provider_data)
        match self.kind:
            case "reasoning":
                part.reasoning.text = whole
            case "refusal":
                part.refusal.text = whole
            case "tool_call" if self.call is not None:
                part.tool_call.CopyFrom(chat_pb2.ToolCall(id=self.call.id, name=self.call.name, arguments_json=whole))
            case _:
                part.text.CopyFrom(chat_pb2.Text(text=whole, citations=self.citations))
        return part


class GrowingAnswer:
    """One answer of a stream: its parts in order, and which of them are tool calls."""

    def __init__(self) -> None:
        self._parts: dict[int, GrowingPart] = {}
        self._calls: list[int] = []

    def add(self, delta: chat_pb2.Delta) -> None:
        """Take one piece."""
        self._parts.setdefault(delta.part_index, GrowingPart()).add(delta)
        if delta.HasField("tool_call") and delta.part_index not in self._calls:
            self._calls.append(delta.part_index)

    def call_index(self, part_index: int) -> int:
        """Return which tool call, counted from zero, that part is."""
        return self._calls.index(part_index) if part_index in self._calls else 0

    def parts(self) -> list[chat_pb2.Part]:
        """Return the parts as they are now."""
        return [self._parts[index].grown() for index in sorted(self._parts)]
