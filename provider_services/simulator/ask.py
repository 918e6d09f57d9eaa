"""Names what the wires and the rest of the simulator tell each other: calls, asks, answers, scripts, refusals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from provider_services.simulator.quotas import Denial
from provider_services.simulator.rows import ErrorRow, ModelRow


class RefusalError(Exception):
    """The vendor answers with an error: its kind, and the values its words need."""

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.values = values


@dataclass(frozen=True, slots=True)
class Call:
    """What a method and path ask for, before the body is read."""

    operation: str
    model: str = ""
    stream: bool = False
    framing: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call, with the JSON schema of its arguments."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request in the simulator's own words; `tool_choice` is auto, none, required or a tool's name."""

    call: Call
    model: ModelRow
    input_tokens: int = 0
    cached_tokens: int = 0
    last_text: str = ""
    from_user: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    json_schema: Mapping[str, Any] | None = None
    reasons: bool = False
    shows_reasoning: bool = False
    usage_asked: bool = False
    inputs: tuple[str, ...] = ()
    dimensions: int = 0
    encoding: str = "float"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model makes: the arguments' JSON in the pieces they are streamed in."""

    name: str
    arguments: Mapping[str, Any]
    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """One of the n answers; every piece of reasoning, text or arguments is one token.

    It ends by `stop`, by `calls`, at the `length` asked for, at the end of the model's `window`, or because of a
    `filter` or an `abort`.
    """

    reasoning: tuple[str, ...] = ()
    pieces: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"

    @cached_property
    def text_tokens(self) -> int:
        """Return the tokens of text and tool calls."""
        return len(self.pieces) + sum(len(call.pieces) for call in self.calls)


@dataclass(frozen=True)
class Answer:
    """What the model says."""

    input_tokens: int
    choices: tuple[Choice, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()

    @cached_property
    def reasoning_tokens(self) -> int:
        """Return the tokens spent on reasoning."""
        return sum(len(choice.reasoning) for choice in self.choices)

    @cached_property
    def text_tokens(self) -> int:
        """Return the tokens of text and tool calls."""
        return sum(choice.text_tokens for choice in self.choices)

    @cached_property
    def output_tokens(self) -> int:
        """Return all tokens the model produced."""
        return self.reasoning_tokens + self.text_tokens


@dataclass(frozen=True, slots=True)
class Stamp:
    """What makes one answer this answer: its moment, the vendor's id for it, and its planned pace."""

    created: float
    request_id: str
    first_s: float
    token_s: float


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes written at once, and how many tokens they carry."""

    data: bytes
    tokens: int = 1


@dataclass(frozen=True, slots=True)
class Script:
    """A stream written down before it is sent."""

    content_type: str
    opening: bytes
    pieces: tuple[Piece, ...]
    closing: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """An error in the vendor's own words, ready to send."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


class Wire(Protocol):
    """One dialect as a vendor speaks it: reads requests, renders answers and errors."""

    errors: Mapping[str, ErrorRow]

    def route(self, method: str, path: str, query: Mapping[str, str]) -> Call | None:
        """Tell what a path below the vendor's prefix asks for; nothing when there is no such path."""

    def read(self, call: Call, raw: bytes) -> Ask:
        """Read a request body; a `RefusalError` says why it is no good."""

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render an answer in one piece."""

    def script(self, ask: Ask, answer: Answer, stamp: Stamp) -> Script:
        """Render an answer as a stream."""

    def embeddings(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """Render vectors."""

    def catalogue(self, call: Call) -> bytes:
        """Render the answer to a question about the vendor itself: its models, its version."""

    def denial_values(self, denial: Denial, model: str) -> dict[str, Any]:
        """Return the values the words about an exceeded quota need."""

    def fault_values(self, status: int) -> dict[str, Any]:
        """Return the values the words for a status on demand need."""

    def torn(self, piece: bytes) -> bytes:
        """Break a piece so that its frame is whole and its JSON is not."""

    def stream_error(self, call: Call, said: Said) -> bytes:
        """Wrap an error for the middle of a stream."""
