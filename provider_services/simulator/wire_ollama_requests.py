"""Reads chat and embedding requests the way the server of this dialect does."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.rows import ModelRow, VendorRow

DEFAULT_CONTEXT = 4_096


class CalledFunction(Struct):
    """The function of an earlier call."""

    name: str
    arguments: dict[str, Any] = {}


class CalledTool(Struct):
    """An earlier call in the conversation."""

    function: CalledFunction


class Message(Struct):
    """One message of the conversation."""

    role: str
    content: str = ""
    tool_calls: list[CalledTool] | None = None

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        yield self.content
        for call in self.tool_calls or ():
            yield call.function.name + msgspec.json.encode(call.function.arguments).decode()


class Function(Struct):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any] | None = None


class ToolSpec(Struct):
    """A tool offered to the model."""

    function: Function


class Options(Struct, frozen=True):
    """Options of the model runner."""

    num_predict: int | None = None
    num_ctx: int | None = None
    stop: list[str] | str | None = None


class ChatRequest(Struct):
    """A chat request; what the simulator does not act on is accepted unread."""

    model: str
    messages: list[Message] = []
    stream: bool | None = None
    tools: list[ToolSpec] | None = None
    format: str | dict[str, Any] | None = None
    think: bool | str | None = None
    options: Options = Options()


class EmbedRequest(Struct):
    """An embedding request."""

    model: str
    input: str | list[str] = ""
    dimensions: int | None = None


Request = TypeVar("Request", ChatRequest, EmbedRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_embed = msgspec.json.Decoder(EmbedRequest)


def read_chat(raw: bytes, call: Call, row: VendorRow) -> Ask:
    """Read a chat request.

    Raises:
        RefusalError: the body is not what the server takes, or names a model it does not have.
    """
    request = _decoded(_chat, raw)
    model = _hosted(row, request.model)
    _check(request, model)
    options = request.options
    tokens = sum(message_tokens(message.texts()) for message in request.messages)
    user = [message for message in request.messages if message.role == "user"]
    return Ask(
        call=Call(call.operation, model.id, request.stream is not False),
        model=model,
        input_tokens=min(tokens, options.num_ctx or DEFAULT_CONTEXT),
        last_text=user[-1].content if user else "",
        from_user=bool(user) and request.messages[-1] is user[-1],
        max_tokens=options.num_predict if (options.num_predict or 0) > 0 else None,
        stop=(options.stop,) if isinstance(options.stop, str) else tuple(options.stop or ()),
        tools=tuple(Tool(spec.function.name, spec.function.parameters or {}) for spec in request.tools or ()),
        json_schema=_schema(request.format),
        reasons=model.reasoning and request.think is not False,
        shows_reasoning=True,
    )


def read_embed(raw: bytes, call: Call, row: VendorRow) -> Ask:
    """Read an embedding request.

    Raises:
        RefusalError: the body is not what the server takes, or names a model it does not have.
    """
    request = _decoded(_embed, raw)
    model = _hosted(row, request.model)
    inputs = (request.input,) if isinstance(request.input, str) else tuple(request.input)
    return Ask(
        call=Call(call.operation, model.id),
        model=model,
        input_tokens=sum(message_tokens([text]) for text in inputs),
        inputs=inputs,
        dimensions=request.dimensions or 0,
    )


def _check(request: ChatRequest, model: ModelRow) -> None:
    if model.kind != "chat":
        raise RefusalError("not_chat", model=model.id)
    if request.think and not model.reasoning:
        raise RefusalError("bad_request", message=f'"{model.id}" does not support thinking')
    if request.tools and not model.tools:
        raise RefusalError("bad_request", message=f"{model.id} does not support tools")


def _schema(form: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(form, dict):
        return form
    return {} if form == "json" else None


def _hosted(row: VendorRow, name: str) -> ModelRow:
    model = row.model(name) or row.model(f"{name}:latest")
    if model is None:
        raise RefusalError("unknown_model", model=name)
    return model


def _decoded(decoder: msgspec.json.Decoder[Request], raw: bytes) -> Request:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise RefusalError("bad_request", message=f"json: {error}") from error
