"""Reads an embeddings request and writes its reply: JSON and headers in, vectors as numbers or as base64 out."""

import array
import base64
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import invalid
from router_service.edge import extension
from router_service.edge.fields import Fields
from router_service.edge.intent import read_intent, read_provider
from router_service.edge.json_body import read_object
from router_service.edge.said import Said, said_in
from router_service.edge.shapes.replies import Vectors

MOST_TEXTS = 2_048
MOST_DIMENSIONS = 65_536
# Not in the protocol, but what vendors that have it and servers that speak the protocol call it.
INPUT_TYPES: "Mapping[str, chat_pb2.InputKind.ValueType]" = {
    "document": chat_pb2.INPUT_KIND_DOCUMENT,
    "query": chat_pb2.INPUT_KIND_QUERY,
    "classification": chat_pb2.INPUT_KIND_CLASSIFICATION,
    "clustering": chat_pb2.INPUT_KIND_CLUSTERING,
    "passage": chat_pb2.INPUT_KIND_DOCUMENT,
    "search_document": chat_pb2.INPUT_KIND_DOCUMENT,
    "search_query": chat_pb2.INPUT_KIND_QUERY,
}
NOT_TEXT = "must be a text or a list of texts; token ids are those of one vendor's models: send the text itself"
Write = Callable[[chat_pb2.Embedding], list[float] | str]


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """One request as the router understands it, and how its caller wants the numbers."""

    provider: str
    asked: router_pb2.EmbedRequest
    write: Write
    warnings: tuple[chat_pb2.Warning, ...]
    said: Said


def read_embeddings(content: bytes, headers: Mapping[str, str], request_id: str) -> EmbeddingsRequest:
    """Read a request.

    Args:
        content: the body.
        headers: with lower-case names.
        request_id: the id it goes by.

    Raises:
        MeshError: INVALID_REQUEST naming the field, in the path notation of the body.
    """
    body = Fields(read_object(content))
    body.refuse("models", "vectors of different models cannot be compared; name one in `model`")
    asked = router_pb2.EmbedRequest(
        request_id=request_id,
        intent=read_intent(body, headers),
        texts=_texts(body),
        dimensions=body.integer("dimensions", 1, MOST_DIMENSIONS),
        input_kind=body.word("input_type", INPUT_TYPES) or chat_pb2.INPUT_KIND_UNSPECIFIED,
    )
    write = body.word("encoding_format", FORMATS) or as_numbers
    body.ignore("user")
    return EmbeddingsRequest(read_provider(body), asked, write, body.warnings(), said_in(body.value, headers))


def _texts(body: Fields) -> list[str]:
    given = body.raw("input")
    texts = [given] if isinstance(given, str) else body.items("input", MOST_TEXTS)
    if not texts:
        raise invalid("input", "must be a text or a list of texts, and not empty")
    for place, text in enumerate(texts):
        path = f"input[{place}]" if isinstance(given, list) else "input"
        if isinstance(text, int | list):
            raise invalid("input", NOT_TEXT)
        if not isinstance(text, str) or not text:
            raise invalid(path, "must be a text that is not empty")
    return texts


def as_numbers(embedding: chat_pb2.Embedding) -> list[float]:
    """Write a vector as a list of numbers."""
    return list(embedding.values)


def as_base64(embedding: chat_pb2.Embedding) -> str:
    """Write a vector as the bytes of its numbers, four each, the least significant first."""
    numbers = array.array("f", embedding.values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


FORMATS: Mapping[str, Write] = {"float": as_numbers, "base64": as_base64}


def reply(request: EmbeddingsRequest, response: router_pb2.EmbedResponse) -> Vectors:
    """Write the vectors, in the order of the texts, and the mesh's own account."""
    usage, route = response.usage, response.route
    mesh = extension.describe(route, usage, (*request.warnings, *response.warnings))
    if response.vendor_model:
        mesh["vendor_model"] = response.vendor_model
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": request.write(embedding)}
            for index, embedding in enumerate(response.embeddings)
        ],
        "model": route.model,
        "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens + usage.output_tokens},
        "llm_mesh": mesh,
    }
