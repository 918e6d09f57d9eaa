"""Reads chat completions and embeddings requests the way strict vendors of this dialect do."""

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.rows import ModelRow, VendorRow


class Part(Struct):
    """A part of a message; only text is understood, the rest is taken note of."""

    type: str
    text: str = ""


class CalledFunction(Struct):
    """The function of an earlier call."""

    name: str
    arguments: str


class CalledTool(Struct):
    """An earlier call in the conversation."""

    function: CalledFunction
    id: str = ""


class Message(Struct):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[CalledTool] | None = None
    reasoning_content: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        if isinstance(self.content, str):
            yield self.content
        for part in self.content if isinstance(self.content, list) else ():
            yield part.text
        for call in self.tool_calls or ():
            yield call.function.name
            yield call.function.arguments


class Function(Struct):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any] | None = None


class ToolSpec(Struct):
    """A tool offered to the model."""

    type: str
    function: Function


class NamedFunction(Struct):
    """The function a tool choice names."""

    name: str


class NamedTool(Struct):
    """A tool choice that names its tool."""

    function: NamedFunction


class Schema(Struct):
    """The schema of a structured answer."""

    schema: dict[str, Any] = {}


class Format(Struct):
    """The response format asked for."""

    type: str
    json_schema: Schema | None = None


class StreamOptions(Struct):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(Struct):
    """A chat completions request; what the simulator does not act on is accepted unread."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | UnsetType | None = UNSET
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | UnsetType | None = UNSET
    tools: list[ToolSpec] | None = None
    tool_choice: str | NamedTool | None = None
    response_format: Format | None = None
    reasoning_effort: str | None = None
    reasoning_format: str | None = None
    include_reasoning: bool | None = None
    temperature: float | UnsetType | None = UNSET
    top_p: Any = UNSET
    presence_penalty: Any = UNSET
    frequency_penalty: Any = UNSET
    logprobs: Any = UNSET
    top_logprobs: Any = UNSET
    logit_bias: Any = UNSET


class EmbeddingRequest(Struct):
    """An embeddings request; token ids are accepted in place of text."""

    model: str
    input: str | list[Any]
    dimensions: int | None = None
    encoding_format: str = "float"


Request = TypeVar("Request", ChatRequest, EmbeddingRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_embedding = msgspec.json.Decoder(EmbeddingRequest)


class Refusals(Struct, frozen=True, kw_only=True):
    """What this vendor answers with a 400: always, and on models that reason."""

    always: tuple[str, ...] = ()
    on_reasoning: tuple[str, ...] = ()
    many: bool = False
    calls_without: Literal["", "reasoning_content", "reasoning_details"] = ""


def read_chat(raw: bytes, call: Call, row: VendorRow, refused: Refusals) -> Ask:
    """Read a chat request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_chat, raw)
    model = hosted(row, request.model)
    _check(request, model, refused)
    if refused.calls_without and model.signed:
        _check_state(request, refused.calls_without)
    tokens = sum(message_tokens(message.texts()) for message in request.messages)
    if tokens > model.context:
        raise RefusalError("context", tokens=tokens, context=model.context, model=model.id)
    user = [message for message in request.messages if message.role == "user"]
    return Ask(
        call=Call(call.operation, model.id, bool(request.stream)),
        model=model,
        input_tokens=tokens,
        last_text="".join(user[-1].texts()) if user else "",
        from_user=request.messages[-1].role == "user",
        max_tokens=request.max_completion_tokens or request.max_tokens or None,
        stop=_stops(request.stop),
        n=request.n or 1,
        tools=tuple(Tool(spec.function.name, spec.function.parameters or {}) for spec in request.tools or ()),
        tool_choice=_choice(request.tool_choice),
        json_schema=_schema(request.response_format),
        reasons=model.reasoning and request.reasoning_effort != "none",
        shows_reasoning=request.include_reasoning is not False and request.reasoning_format != "hidden",
        usage_asked=request.stream_options is not None and request.stream_options.include_usage,
    )


def read_embedding(raw: bytes, call: Call, row: VendorRow) -> Ask:
    """Read an embeddings request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_embedding, raw)
    model = hosted(row, request.model)
    if request.dimensions is not None and not 1 <= request.dimensions <= model.dimensions:
        raise RefusalError(
            "bad_request", param="dimensions", message=f"{request.dimensions} dimensions are not possible"
        )
    given = [request.input] if isinstance(request.input, str) else request.input
    if given and isinstance(given[0], int):
        given = [given]
    inputs = tuple(item if isinstance(item, str) else " ".join(map(str, item)) for item in given)
    return Ask(
        call=Call(call.operation, model.id),
        model=model,
        input_tokens=sum(message_tokens([text]) for text in inputs),
        inputs=inputs,
        dimensions=request.dimensions or 0,
        encoding=request.encoding_format,
    )


def hosted(row: VendorRow, name: str) -> ModelRow:
    """Find the model, or refuse it as unknown."""
    model = row.model(name)
    if model is None:
        raise RefusalError("unknown_model", model=name)
    return model


def _decoded(decoder: msgspec.json.Decoder[Request], raw: bytes) -> Request:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        detail = str(error)
        kind = "bad_request" if isinstance(error, msgspec.ValidationError) else "bad_json"
        raise RefusalError(kind, message=detail, param=detail.partition("`$.")[2].rstrip("`") or None) from error


def _check(request: ChatRequest, model: ModelRow, refused: Refusals) -> None:
    if not request.messages:
        raise RefusalError("bad_request", message="Invalid 'messages': empty array.", param="messages")
    if model.kind != "chat":
        raise RefusalError("not_chat", model=model.id)
    if ((request.n or 1) > 1 and refused.many) or (request.n or 1) < 1:
        raise RefusalError("bad_request", message="'n' : number must be at most 1", param="n")
    if isinstance(request.max_tokens, int) and request.max_completion_tokens is not None:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise RefusalError("bad_request", message=message, param="max_tokens")
    for name in (*refused.always, *(refused.on_reasoning if model.reasoning else ())):
        value = getattr(request, name)
        if value is not UNSET and value is not None and not (name == "temperature" and value == 1):
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            raise RefusalError("unsupported", message=message, param=name)


def _check_state(request: ChatRequest, field: str) -> None:
    for index, message in enumerate(request.messages):
        if message.tool_calls and not getattr(message, field):
            told = f"{field} is missing in assistant tool call message at index {index}"
            raise RefusalError("bad_request", message=f"thinking is enabled but {told}", param="messages")


def _stops(stop: str | list[str] | UnsetType | None) -> tuple[str, ...]:
    if isinstance(stop, str):
        return (stop,)
    return tuple(stop) if isinstance(stop, list) else ()


def _choice(choice: str | NamedTool | None) -> str:
    return choice.function.name if isinstance(choice, NamedTool) else choice or "auto"


def _schema(form: Format | None) -> dict[str, Any] | None:
    if form is None or form.type == "text":
        return None
    return form.json_schema.schema if form.json_schema else {}
