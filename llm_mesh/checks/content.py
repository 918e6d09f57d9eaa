"""What one answer says, its pieces put together; only the first choice is read, for one is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from llmmesh.chat.v1 import chat_pb2


@dataclass(slots=True)
class Call:
    """A call of a tool, its arguments as the JSON the model wrote."""

    name: str
    arguments: str


@dataclass(slots=True)
class Content:
    """The text, reasoning, refusal and tool calls of an answer."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: dict[int, Call] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Tell whether nobody would find anything in it; reasoning is no answer."""
        return not (self.text.strip() or self.refusal or self.calls)

    @property
    def size(self) -> int:
        """Return how many bytes the model has written."""
        said = self.text + self.reasoning + self.refusal
        return len(said.encode()) + sum(len(call.arguments.encode()) for call in self.calls.values())


def of_parts(parts: Iterable[chat_pb2.Part]) -> Content:
    """Read a whole answer."""
    content = Content()
    for number, part in enumerate(parts):
        content.text += part.text.text
        content.reasoning += part.reasoning.text
        content.refusal += part.refusal.text
        if part.HasField("tool_call"):
            content.calls[number] = Call(part.tool_call.name, part.tool_call.arguments_json)
    return content


def of_deltas(deltas: Iterable[chat_pb2.Delta]) -> Content:
    """Read a streamed answer; arguments of a call that never began are left out."""
    content = Content()
    for delta in deltas:
        if delta.choice_index:
            continue
        content.text += delta.text
        content.reasoning += delta.reasoning
        content.refusal += delta.refusal
        if delta.HasField("tool_call"):
            content.calls[delta.part_index] = Call(delta.tool_call.name, delta.tool_call.arguments_json)
        elif delta.tool_arguments and delta.part_index in content.calls:
            content.calls[delta.part_index].arguments += delta.tool_arguments
    return content


def says_something(delta: chat_pb2.Delta) -> bool:
    """Tell whether a piece has something in it that a reader could see."""
    piece = delta.WhichOneof("piece")
    return piece == "tool_call" or (piece is not None and piece != "citation" and bool(getattr(delta, piece)))
