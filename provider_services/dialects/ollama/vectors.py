"""Asks the local model server for vectors, and reads them and the list of its models."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Embedding, Usage
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse

from provider_services.dialects import estimate, wire
from provider_services.dialects.interface import EmbedCall, HttpReply, HttpRequest, VendorFault
from provider_services.dialects.notes import unused_kind
from provider_services.dialects.ollama import errors

PATH = "/api/embed"


def encode(call: EmbedCall) -> HttpRequest:
    """Write a request for vectors; a text that is too long is an error, not cut in silence."""
    body: dict[str, Any] = {"model": call.model, "input": list(call.texts), "truncate": False}
    if call.dimensions:
        body["dimensions"] = call.dimensions
    path = call.paths.get("embed", PATH)
    return HttpRequest("POST", path, wire.encode(body), warnings=unused_kind(call.kind))


def decode(call: EmbedCall, reply: HttpReply) -> EmbedResponse:
    """Read vectors, in the order of the texts."""
    body = wire.decode_object(reply.body)
    if body.get("error"):
        raise VendorFault(errors.inside(call, body))
    try:
        embeddings = [Embedding(values=row) for row in body["embeddings"]]
    except wire.MALFORMED:
        raise wire.nonsense("the server's vectors have an unknown shape") from None
    counted = wire.count(body.get("prompt_eval_count"))
    guess = estimate.tokens(sum(len(text.encode()) for text in call.texts))
    used = Usage(input_tokens=counted) if counted else Usage(input_tokens=guess, estimated=True)
    return EmbedResponse(embeddings=embeddings, usage=used, vendor_model=wire.text(body.get("model")))


def listed(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the models that are installed."""
    rows = wire.mapping(wire.decode(reply.body)).get("models") or ()
    return [
        DescribeResponse.DiscoveredModel(id=row["name"])
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]
