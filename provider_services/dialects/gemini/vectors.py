"""Asks for vectors and reads them; all texts travel in one batch."""

from typing import Any

from llmmesh.chat.v1 import chat_pb2
from llmmesh.chat.v1.chat_pb2 import Embedding, Usage
from llmmesh.provider.v1.provider_pb2 import EmbedResponse

from provider_services.dialects import estimate, wire
from provider_services.dialects.gemini import errors
from provider_services.dialects.gemini.request import path
from provider_services.dialects.interface import EmbedCall, HttpReply, HttpRequest, VendorFault
from provider_services.dialects.notes import unused_kind

QUIRKS = frozenset(
    {
        "task_types",  # the model wants to be told what a text is for
    }
)
TASKS = {
    chat_pb2.INPUT_KIND_DOCUMENT: "RETRIEVAL_DOCUMENT",
    chat_pb2.INPUT_KIND_QUERY: "RETRIEVAL_QUERY",
    chat_pb2.INPUT_KIND_CLASSIFICATION: "CLASSIFICATION",
    chat_pb2.INPUT_KIND_CLUSTERING: "CLUSTERING",
}


def encode(call: EmbedCall) -> HttpRequest:
    """Write a request for vectors."""
    model = "models/" + call.model.removeprefix("models/")
    requests: list[dict[str, Any]] = [{"model": model, "content": {"parts": [{"text": text}]}} for text in call.texts]
    told = "task_types" in call.quirks
    options: dict[str, Any] = {}
    if call.dimensions:
        options["outputDimensionality"] = call.dimensions
    if told and call.kind in TASKS:
        options["taskType"] = TASKS[call.kind]
    body = wire.encode({"requests": [request | options for request in requests]})
    warnings = () if told else unused_kind(call.kind)
    return HttpRequest("POST", f"{path(call.model)}:batchEmbedContents", body, warnings=warnings)


def decode(call: EmbedCall, reply: HttpReply) -> EmbedResponse:
    """Read vectors, in the order of the texts."""
    body = wire.decode_object(reply.body)
    if body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        rows = body["embeddings"] if "embeddings" in body else [body["embedding"]]
        embeddings = [Embedding(values=row["values"]) for row in rows]
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's vectors have an unknown shape") from None
    counted = wire.count(wire.mapping(body.get("usageMetadata")).get("promptTokenCount"))
    guess = estimate.tokens(sum(len(text.encode()) for text in call.texts))
    used = Usage(input_tokens=counted) if counted else Usage(input_tokens=guess, estimated=True)
    return EmbedResponse(embeddings=embeddings, usage=used)
