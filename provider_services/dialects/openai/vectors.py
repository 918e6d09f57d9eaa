"""Asks for vectors and reads them: lists of numbers, or bytes that are four to each number."""

import array
import base64
import sys
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Embedding, Usage
from llmmesh.provider.v1.provider_pb2 import EmbedResponse

from provider_services.dialects import estimate, wire
from provider_services.dialects.interface import EmbedCall, HttpReply, HttpRequest, VendorFault
from provider_services.dialects.notes import unused_kind
from provider_services.dialects.openai import errors, usage

PATH = "/embeddings"


def encode(call: EmbedCall) -> HttpRequest:
    """Write a request for vectors."""
    form = "base64" if "base64_vectors" in call.quirks else "float"
    body: dict[str, Any] = {"model": call.model, "input": list(call.texts), "encoding_format": form}
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
        rows = sorted(body["data"], key=lambda row: row.get("index", 0))
        embeddings = [Embedding(values=_values(row["embedding"])) for row in rows]
    except wire.MALFORMED:
        raise wire.nonsense("the vendor's vectors have an unknown shape") from None
    counted = wire.mapping(body.get("usage"))
    guess = Usage(input_tokens=estimate.tokens(sum(len(text.encode()) for text in call.texts)), estimated=True)
    used = usage.read(call, counted) if counted else guess
    return EmbedResponse(embeddings=embeddings, usage=used, vendor_model=wire.text(body.get("model")))


def _values(vector: Any) -> list[float]:
    if not isinstance(vector, str):
        return list(vector)
    values = array.array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        values.byteswap()
    return values.tolist()
