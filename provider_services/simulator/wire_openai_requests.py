"""Reads chat completions and embeddings requests the way strict vendors of this dialect do."""

from typing import Any, TypeVar

import msgspec

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import cached_tokens, message_tokens
from provider_services.simulator.rows import ModelRow, VendorRow
from provider_services.simulator.wire_openai_bodies import ChatRequest, EmbeddingRequest, Format
from provider_services.simulator.wire_openai_quirks import Quirks
from provider_services.simulator.wire_openai_rules import check, check_fields, check_vector_fields
from provider_services.simulator.wire_openai_state import check_state

Request = TypeVar("Request", ChatRequest, EmbeddingRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_embedding = msgspec.json.Decoder(EmbeddingRequest)


def read_chat(raw: bytes, call: Call, row: VendorRow, quirks: Quirks) -> Ask:
    """Read a chat request; a model in the path beats the one in the body.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_chat, raw)
    if quirks.refused.only or quirks.refused.only_in_messages:
        check_fields(msgspec.json.decode(raw), quirks.refused)
    model = hosted(row, call.model or request.model, quirks)
    check(request, model, quirks.refused)
    if model.signed and request.thinks(model):
        check_state(request.messages, quirks.refused.state, row.name)
    counts = [message_tokens(message.texts()) for message in request.messages]
    if sum(counts) > model.context:
        raise RefusalError("context", tokens=sum(counts), context=model.context, model=model.id)
    user = [message for message in request.messages if message.role == "user"]
    return Ask(
        call=Call(call.operation, model.id, bool(request.stream)),
        model=model,
        input_tokens=sum(counts),
        cached_tokens=cached_tokens(sum(counts[:-1])) if quirks.cached_in else 0,
        last_text="".join(user[-1].texts()) if user else "",
        from_user=request.messages[-1].role == "user",
        max_tokens=request.most_tokens,
        stop=request.stops,
        n=request.n or 1,
        tools=tuple(Tool(spec.function.name, spec.function.parameters or {}) for spec in request.tools or ()),
        tool_choice={"any": "required"}.get(request.choice, request.choice),
        json_schema=_schema(request.response_format),
        reasons=request.thinks(model),
        shows_reasoning=request.shows_reasoning,
        usage_asked=request.stream_options is not None and request.stream_options.include_usage,
    )


def read_embedding(raw: bytes, call: Call, row: VendorRow, quirks: Quirks) -> Ask:
    """Read an embeddings request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_embedding, raw)
    if quirks.refused.only_in_vectors:
        check_vector_fields(msgspec.json.decode(raw), quirks.refused)
    model = hosted(row, call.model or request.model, quirks)
    if model.kind != "embed":
        raise RefusalError("unknown_model", model=model.id)
    wanted = request.dimensions or request.output_dimension
    if wanted is not None and not 1 <= wanted <= (model.most_dimensions or model.dimensions):
        raise RefusalError("bad_request", param="dimensions", message=f"{wanted} dimensions are not possible")
    given = [request.input] if isinstance(request.input, str) else request.input
    if given and isinstance(given[0], int):
        given = [given]
    inputs = tuple(item if isinstance(item, str) else " ".join(map(str, item)) for item in given)
    return Ask(
        call=Call(call.operation, model.id),
        model=model,
        input_tokens=sum(message_tokens([text]) for text in inputs),
        inputs=inputs,
        dimensions=wanted or 0,
        encoding=request.encoding_format,
    )


def hosted(row: VendorRow, name: str | None, quirks: Quirks) -> ModelRow:
    """Find the model, or refuse it as unknown; a deployment is any name with a model's id in it."""
    if not name:
        raise RefusalError("bad_request", message="you must provide a model parameter", param="model")
    model = row.model(name)
    if model is None and quirks.names == "hosts":
        named = name.partition(":")[0]
        model = next((model for model in row.models if model.id.partition(":")[0] == named), None)
    if model is None and quirks.names == "deployments":
        inside = [model for model in row.models if model.id in name]
        model = max(inside, key=lambda found: len(found.id), default=None)
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


def _schema(form: Format | None) -> dict[str, Any] | None:
    if form is None or form.type == "text":
        return None
    return form.json_schema.schema if form.json_schema else {}
