"""The shapes of answers: completions whole and in chunks, vectors, and plain objects."""

from typing import Literal, NotRequired, TypedDict

from router_service.edge.shapes.mesh import Served, Usage, Usd

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]


class CalledFunction(TypedDict):
    """A function and its arguments, which are JSON as the model wrote it."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A tool the model wants called."""

    id: str
    type: Literal["function"]
    function: CalledFunction


class Source(TypedDict):
    """A source and the place of the text it is for."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(TypedDict):
    """A source of what was said."""

    type: Literal["url_citation"]
    url_citation: Source


class Afterthoughts(TypedDict):
    """What can only be said once all of a message is there; the state is to be sent back unchanged."""

    annotations: NotRequired[list[Annotation]]
    llm_mesh_state: NotRequired[str]


class Message(Afterthoughts):
    """What the model said."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    function_call: NotRequired[CalledFunction]


class Token(TypedDict):
    """One token and how likely it was."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(Token):
    """One token of the answer, and those that were likely in its place."""

    top_logprobs: list[Token]


class Logprobs(TypedDict):
    """How likely each token was."""

    content: list[ChosenToken]
    refusal: None


class Choice(TypedDict):
    """One answer."""

    index: int
    message: Message
    logprobs: Logprobs | None
    finish_reason: FinishReason


class Completion(TypedDict):
    """A whole completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    llm_mesh: Served


class CalledPiece(TypedDict):
    """A piece of a call: the name comes first, then arguments."""

    name: NotRequired[str]
    arguments: str


class ToolCallPiece(TypedDict):
    """A piece of a tool call; id and type come with the first."""

    index: int
    id: NotRequired[str]
    type: NotRequired[Literal["function"]]
    function: CalledPiece


class Delta(Afterthoughts):
    """What came."""

    role: NotRequired[Literal["assistant"]]
    content: NotRequired[str | None]
    refusal: NotRequired[str]
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[ToolCallPiece]]
    function_call: NotRequired[CalledPiece]


class ChoicePiece(TypedDict):
    """A piece of one answer."""

    index: int
    delta: Delta
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class Chunk(TypedDict):
    """One event of a stream. The last one with choices has `llm_mesh`; usage comes by itself, if it was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChoicePiece]
    usage: NotRequired[Usage | None]
    llm_mesh: NotRequired[Served]


class Vector(TypedDict):
    """A vector: numbers, or in base64 the bytes of its numbers, four each, the least significant first."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class TextUsage(TypedDict):
    """Tokens of texts."""

    prompt_tokens: int
    total_tokens: int


class Vectors(TypedDict):
    """One vector for each text, all of one model."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: TextUsage
    llm_mesh: Served


class PlainCourse(TypedDict):
    """How a plain answer was served."""

    provider: str
    model: str
    use_case: str
    tokens_used: int
    cost: Usd
    latency_ms: int
    fallback_used: bool
    primary_error: str | None
    usage: Usage
    llm_mesh: Served


class Generated(PlainCourse):
    """The answer of /llm/generate."""

    success: Literal[True]
    content: str


class Processed(PlainCourse):
    """The answer of /orchestrator/process."""

    success: Literal[True]
    result: str
