"""Reads requests for responses and embeddings the way strict vendors of this dialect do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.rows import ModelRow, VendorRow
from provider_services.simulator.wire_responses_items import Item, Rules, check_items

ENCRYPTED = "reasoning.encrypted_content"


class ToolSpec(Struct):
    """A tool offered to the model: a function, or one of the vendor's own."""

    type: str
    name: str = ""
    parameters: dict[str, Any] | None = None


class NamedTool(Struct):
    """A tool choice that names its tool."""

    name: str = ""


class Format(Struct):
    """The shape of answer asked for."""

    type: str = "text"
    schema: dict[str, Any] = {}


class TextConfig(Struct):
    """How the text shall be."""

    format: Format = msgspec.field(default_factory=Format)


class Thinking(Struct):
    """How much the model shall think, and whether it tells of it."""

    effort: str | None = None
    summary: str | None = None


class ResponseRequest(Struct, forbid_unknown_fields=True):
    """A request for a response; an unknown field is refused."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: str | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Thinking | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None

    def items(self) -> list[Item]:
        """Return the input as items."""
        return [Item("message", "user", self.input)] if isinstance(self.input, str) else self.input


class EmbeddingRequest(Struct):
    """An embeddings request."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: str = "float"


@dataclass(frozen=True, slots=True)
class ResponseAsk(Ask):
    """A request in the simulator's own words, and what only this dialect asks for."""

    searches: bool = False
    sealed: bool = False


Request = TypeVar("Request", ResponseRequest, EmbeddingRequest)
_response = msgspec.json.Decoder(ResponseRequest)
_embedding = msgspec.json.Decoder(EmbeddingRequest)


def read_response(raw: bytes, call: Call, row: VendorRow, rules: Rules) -> Ask:
    """Read a request for a response.

    Raises:
        RefusalError: the body is not what the vendor takes, lacks a turn's state, or names a model it does not host.
    """
    request = _decoded(_response, raw)
    model = hosted(row, request.model)
    items = request.items()
    _check(request, model, rules)
    check_items(items, model, rules, row.name)
    tokens = sum(message_tokens(item.texts()) for item in items) + message_tokens([request.instructions or ""])
    if tokens > model.context:
        raise RefusalError("context", tokens=tokens, context=model.context, model=model.id)
    thinking = request.reasoning or Thinking()
    spoken = [item for item in items if item.role == "user"]
    return ResponseAsk(
        call=Call(call.operation, model.id, bool(request.stream)),
        model=model,
        input_tokens=tokens,
        last_text="".join(spoken[-1].texts()) if spoken else "",
        from_user=items[-1].role == "user",
        max_tokens=request.max_output_tokens,
        tools=tuple(Tool(spec.name, spec.parameters or {}) for spec in _functions(request)),
        tool_choice=request.tool_choice.name
        if isinstance(request.tool_choice, NamedTool)
        else request.tool_choice or "auto",
        json_schema=None if request.text is None or request.text.format.type == "text" else request.text.format.schema,
        reasons=model.reasoning and thinking.effort != "none",
        shows_reasoning=rules.always_shows_reasoning or thinking.summary is not None,
        searches=any(spec.type == "web_search" for spec in request.tools or ()),
        sealed=ENCRYPTED in (request.include or ()),
    )


def read_embedding(raw: bytes, call: Call, row: VendorRow, rules: Rules) -> Ask:
    """Read an embeddings request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_embedding, raw)
    model = hosted(row, request.model)
    if request.encoding_format != rules.vectors:
        raise RefusalError("bad_request", param="encoding_format", message=f"encoding_format must be {rules.vectors}")
    inputs = (request.input,) if isinstance(request.input, str) else tuple(request.input)
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


def _functions(request: ResponseRequest) -> Iterator[ToolSpec]:
    return (spec for spec in request.tools or () if spec.type == "function")


def _check(request: ResponseRequest, model: ModelRow, rules: Rules) -> None:
    if not request.input:
        raise RefusalError("bad_request", message="Invalid 'input': empty.", param="input")
    if model.kind != "chat":
        raise RefusalError("not_chat", model=model.id)
    least = rules.least_output
    if request.max_output_tokens is not None and request.max_output_tokens < least:
        message = f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {least}."
        raise RefusalError("bad_request", message=message, param="max_output_tokens")
    thinking = model.reasoning and (request.reasoning is None or request.reasoning.effort != "none")
    for name in (*rules.unknown_fields, *(rules.refused_on_reasoning if thinking else ())):
        if getattr(request, name) is not None:
            raise RefusalError("unsupported", message=f"Unsupported parameter: '{name}'.", param=name)
    if ENCRYPTED in (request.include or ()) and not model.reasoning:
        message = "Encrypted content is not supported with this model."
        raise RefusalError("bad_request", message=message, param="include")
