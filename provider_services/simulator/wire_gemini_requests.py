"""Reads generateContent and embedContent requests the way the vendor of this dialect does."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.patterns import fits
from provider_services.simulator.rows import ModelRow, VendorRow
from provider_services.simulator.wire_gemini_quirks import Quirks

JSON = "application/json"
MOST_STOPS = 5


class Camel(Struct, rename="camel", frozen=True):
    """Names in camel case, as proto JSON has them."""


class FunctionCall(Camel, frozen=True):
    """A call the model made earlier."""

    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class FunctionResponse(Camel, frozen=True):
    """What a called function returned."""

    name: str
    response: dict[str, Any] | None = None
    id: str | None = None


class Part(Camel, frozen=True):
    """A part of a turn; of its kinds only text and functions are understood."""

    text: str = ""
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None

    def written(self) -> str:
        """Return what counts as text."""
        if self.function_call:
            return self.function_call.name + msgspec.json.encode(self.function_call.args or {}).decode()
        if self.function_response:
            return msgspec.json.encode(self.function_response.response or {}).decode()
        return self.text


class Content(Camel, frozen=True):
    """One turn of the conversation."""

    parts: list[Part] = []
    role: str | None = None

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        return (part.written() for part in self.parts)


class FunctionDeclaration(Camel, frozen=True):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any] | None = None
    parameters_json_schema: dict[str, Any] | None = None


class ToolSpec(Camel, frozen=True):
    """A group of functions offered to the model."""

    function_declarations: list[FunctionDeclaration] = []


class FunctionCallingConfig(Camel, frozen=True):
    """When functions are to be called."""

    mode: str = "AUTO"
    allowed_function_names: list[str] = []


class ToolConfig(Camel, frozen=True):
    """How tools are to be used."""

    function_calling_config: FunctionCallingConfig = FunctionCallingConfig()


class ThinkingConfig(Camel, frozen=True):
    """How much the model is to think, and whether it shows its thoughts."""

    thinking_budget: int | None = None
    thinking_level: str | None = None
    include_thoughts: bool = False


class GenerationConfig(Camel, frozen=True):
    """How the answer is to be made."""

    max_output_tokens: int | None = None
    candidate_count: int | None = None
    stop_sequences: list[str] = []
    response_mime_type: str = ""
    response_schema: dict[str, Any] | None = None
    response_json_schema: dict[str, Any] | None = None
    thinking_config: ThinkingConfig | None = None


class GenerateRequest(Camel, frozen=True):
    """A generateContent request; what the simulator does not act on is accepted unread."""

    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[ToolSpec] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None


class EmbedRequest(Camel, frozen=True):
    """An embedContent request."""

    content: Content
    output_dimensionality: int | None = None


class BatchRequest(Camel, frozen=True):
    """A batchEmbedContents request."""

    requests: list[EmbedRequest]


Request = TypeVar("Request", GenerateRequest, EmbedRequest, BatchRequest)
_generate = msgspec.json.Decoder(GenerateRequest)
_embed = msgspec.json.Decoder(EmbedRequest)
_batch = msgspec.json.Decoder(BatchRequest)


def read_generate(raw: bytes, call: Call, row: VendorRow, quirks: Quirks) -> Ask:
    """Read a generateContent request.

    Raises:
        RefusalError: the body is not what the vendor takes, or the path names a model it does not host.
    """
    model = hosted(row, call.model, "generateContent")
    if model.kind != "chat":
        raise RefusalError("unknown_model", model=model.id, method="generateContent")
    request = _decoded(_generate, raw)
    config = request.generation_config or GenerationConfig()
    _check(request, model, config)
    _check_model(request, model, config, quirks)
    turns = [*request.contents, *([request.system_instruction] if request.system_instruction else [])]
    tokens = sum(message_tokens(turn.texts()) for turn in turns)
    if tokens > model.context:
        raise RefusalError("context", tokens=tokens, context=model.context)
    last = next((turn for turn in reversed(request.contents) if _is_users(turn)), None)
    thinking = config.thinking_config or ThinkingConfig()
    return Ask(
        call=call,
        model=model,
        input_tokens=tokens,
        last_text="".join(part.text for part in last.parts) if last else "",
        from_user=_is_users(request.contents[-1]),
        max_tokens=config.max_output_tokens,
        stop=tuple(config.stop_sequences),
        n=config.candidate_count or 1,
        tools=_tools(request),
        tool_choice=_choice(request.tool_config),
        json_schema=_schema(config),
        reasons=model.reasoning and (_asked(thinking) if model.when_asked else thinking.thinking_budget != 0),
        shows_reasoning=thinking.include_thoughts,
    )


def read_embed(raw: bytes, call: Call, row: VendorRow) -> Ask:
    """Read a request for one vector or a batch of them.

    Raises:
        RefusalError: the body is not what the vendor takes, or the path names a model it does not host.
    """
    model = hosted(row, call.model, "embedContent")
    if model.kind != "embed":
        raise RefusalError("unknown_model", model=model.id, method="embedContent")
    batch = call.framing == "batch"
    requests = _decoded(_batch, raw).requests if batch else [_decoded(_embed, raw)]
    inputs = tuple("".join(request.content.texts()) for request in requests)
    return Ask(
        call=call,
        model=model,
        input_tokens=sum(message_tokens([text]) for text in inputs),
        inputs=inputs,
        dimensions=next((request.output_dimensionality or 0 for request in requests), 0),
    )


def hosted(row: VendorRow, name: str, method: str) -> ModelRow:
    """Find the model, or refuse it as unknown."""
    model = row.model(name)
    if model is None:
        raise RefusalError("unknown_model", model=name, method=method)
    return model


def _decoded(decoder: msgspec.json.Decoder[Request], raw: bytes) -> Request:
    try:
        return decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise RefusalError("bad_request", message=f"Invalid JSON payload received. {error}") from error


def _check(request: GenerateRequest, model: ModelRow, config: GenerationConfig) -> None:
    if not request.contents:
        raise RefusalError("bad_request", message="* GenerateContentRequest.contents: contents is not specified\n")
    if len(config.stop_sequences) > MOST_STOPS:
        raise RefusalError("bad_request", message=f"The number of stop sequences must be at most {MOST_STOPS}.")
    if (config.candidate_count or 1) > 1 and model.signed:
        raise RefusalError("bad_request", message="Multiple candidates is not enabled for this model")
    for turn in request.contents if model.signed else ():
        first = next((part for part in turn.parts if part.function_call), None)
        if first is not None and not first.thought_signature:
            message = "Function call is missing a thought_signature in functionCall parts."
            raise RefusalError("bad_request", message=message)


def _check_model(request: GenerateRequest, model: ModelRow, config: GenerationConfig, quirks: Quirks) -> None:
    thinking = config.thinking_config or ThinkingConfig()
    refused = {
        "Thinking level is not supported for this model.": thinking.thinking_level and fits(quirks.budgets, model.id),
        "Budget 0 is invalid. This model only works in thinking mode.": thinking.thinking_budget == 0
        and fits(quirks.always, model.id),
        f"Function calling with a response mime type: '{JSON}' is unsupported": config.response_mime_type == JSON
        and bool(_tools(request))
        and fits(quirks.json_or_tools, model.id),
    }
    for message, is_broken in refused.items():
        if is_broken:
            raise RefusalError("bad_request", message=message)


def _asked(thinking: ThinkingConfig) -> bool:
    return bool(thinking.thinking_budget) or thinking.thinking_level is not None


def _is_users(turn: Content) -> bool:
    return turn.role in (None, "user") and not any(part.function_response for part in turn.parts)


def _tools(request: GenerateRequest) -> tuple[Tool, ...]:
    declared = [function for spec in request.tools or () for function in spec.function_declarations]
    return tuple(Tool(it.name, it.parameters or it.parameters_json_schema or {}) for it in declared)


def _choice(config: ToolConfig | None) -> str:
    if config is None:
        return "auto"
    calling = config.function_calling_config
    if calling.mode == "ANY" and calling.allowed_function_names:
        return calling.allowed_function_names[0]
    return {"ANY": "required", "NONE": "none"}.get(calling.mode, "auto")


def _schema(config: GenerationConfig) -> dict[str, Any] | None:
    if config.response_mime_type != JSON:
        return None
    return config.response_json_schema or config.response_schema or {}
