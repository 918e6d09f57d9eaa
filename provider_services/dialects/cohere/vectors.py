"""Asks for vectors and reads them."""

import array
import base64
import sys
from typing import Any

from llmmesh.chat.v1 import chat_pb2
from llmmesh.chat.v1.chat_pb2 import Embedding, Usage
from llmmesh.provider.v1.provider_pb2 import EmbedResponse

from provider_services.dialects import estimate, wire
from provider_services.dialects.cohere import errors
from provider_services.dialects.interface import EmbedCall, HttpReply, HttpRequest, VendorFault
from provider_services.dialects.notes import refuse

PATH = "/v2/embed"
MOST_TEXTS = 96
INPUT_TYPES = {
    chat_pb2.INPUT_KIND_UNSPECIFIED: "search_document",  # the vendor insists on one
    chat_pb2.INPUT_KIND_DOCUMENT: "search_document",
    chat_pb2.INPUT_KIND_QUERY: "search_query",
    chat_pb2.INPUT_KIND_CLASSIFICATION: "classification",
    chat_pb2.INPUT_KIND_CLUSTERING: "clustering",
}
KINDS = ("float", "base64", "int8", "uint8", "binary", "ubinary")


def encode(call: EmbedCall) -> HttpRequest:
    """Write a request for vectors; a text that is too long is an error, not cut in silence."""
    if len(call.texts) > MOST_TEXTS:
        raise refuse("texts", f"this vendor takes at most {MOST_TEXTS} texts at once")
    body: dict[str, Any] = {
        "model": call.model,
        "texts": list(call.texts),
        "input_type": INPUT_TYPES[call.kind],
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    if call.dimensions:
        body["output_dimension"] = call.dimensions
    return HttpRequest("POST", call.paths.get("embed", PATH), wire.encode(body))


def decode(call: EmbedCall, reply: HttpReply) -> EmbedResponse:
    """Read vectors, in the order of the texts."""
    body = wire.decode_object(reply.body)
    if errors.told(body):
        raise VendorFault(errors.inside(call, body))
    try:
        embeddings = [Embedding(values=_values(row)) for row in _rows(body["embeddings"])]
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's vectors have an unknown shape") from None
    meta = wire.mapping(body.get("meta"))
    counted = wire.mapping(meta.get("tokens")) or wire.mapping(meta.get("billed_units"))
    spent = wire.count(counted.get("input_tokens")) + wire.count(counted.get("image_tokens"))
    guess = estimate.tokens(sum(len(text.encode()) for text in call.texts))
    used = Usage(input_tokens=spent) if spent else Usage(input_tokens=guess, estimated=True)
    return EmbedResponse(embeddings=embeddings, usage=used)


def _rows(embeddings: Any) -> list[Any]:
    """Return the vectors of whatever kind there is; the first wire sent them bare."""
    if isinstance(embeddings, list):
        return embeddings
    kind = next((kind for kind in KINDS if embeddings.get(kind)), KINDS[0])
    return list(embeddings[kind])


def _values(vector: Any) -> list[float]:
    if not isinstance(vector, str):
        return list(vector)
    values = array.array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
