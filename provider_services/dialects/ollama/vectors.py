"""Asks the local model server for vectors, and reads them and the list of its models."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Embedding, Usage
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse

from provider_services.dialects import estimate, wire
from provider_services.dialects.interface import EmbedCall, HttpReply, HttpRequest, VendorFault
from provider_services.dialects.notes import unused_kind
from provider_services.dialects.ollama import errors

PATH = "/api/embed"
# What the server adds to a name that was said without a tag; both mean the same model.
DEFAULT_TAG = ":latest"


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
        embeddings = [Embedding(values=row) for row in _rows(body)]
    except wire.MALFORMED:
        raise wire.nonsense("the server's vectors have an unknown shape") from None
    counted = wire.count(body.get("prompt_eval_count"))
    counted = counted or wire.count(wire.mapping(body.get("usage")).get("prompt_tokens"))
    guess = estimate.tokens(sum(len(text.encode()) for text in call.texts))
    used = Usage(input_tokens=counted) if counted else Usage(input_tokens=guess, estimated=True)
    return EmbedResponse(embeddings=embeddings, usage=used, vendor_model=wire.text(body.get("model")))


def _rows(body: Mapping[str, Any]) -> list[Any]:
    """Return the vectors; older servers, and the server's other face, name them otherwise."""
    if "embeddings" in body:
        return list(body["embeddings"])
    return [body["embedding"]] if "embedding" in body else [row["embedding"] for row in body["data"]]


def listed(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the models that are installed; raises VendorFault when this is no such list: another server answered."""
    rows = wire.decode_object(reply.body).get("models", False)
    if not isinstance(rows, list | None):
        raise wire.nonsense("what answers is not a local model server: it lists no models")
    return [
        DescribeResponse.DiscoveredModel(id=row["name"].removesuffix(DEFAULT_TAG))
        for row in rows or ()
        if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]
