"""Reads from a request what planning needs: how long it is and what the model must be able to do."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmmesh.chat.v1 import chat_pb2

_JSON_NEEDS = {"json_object": "json_object", "json_schema": "json_schema"}


@dataclass(frozen=True, slots=True)
class VectorFacts:
    """What planning needs to know of texts to be embedded; `longest` in bytes, `dimensions` 0 when not said."""

    texts: int = 0
    longest: int = 0
    dimensions: int = 0


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """What planning needs to know of a prompt, or of texts to be embedded: these have `vectors`. Sizes in bytes."""

    text_bytes: int = 0
    messages: int = 0
    images: int = 0
    needs: frozenset[str] = frozenset()
    max_output_tokens: int | None = None
    answers: int = 1
    vectors: VectorFacts | None = None


def read(prompt: chat_pb2.Prompt) -> PromptFacts:
    """Measure a prompt once."""
    text_bytes = images = 0
    for message in prompt.messages:
        for part in message.parts:
            kind = part.WhichOneof("kind")
            if kind == "image":
                images += 1
            else:
                text_bytes += part.ByteSize()
    text_bytes += sum(tool.ByteSize() for tool in prompt.tools) + prompt.response_format.ByteSize()
    sampling = prompt.sampling
    return PromptFacts(
        text_bytes=text_bytes,
        messages=len(prompt.messages),
        images=images,
        needs=_needs(prompt, images),
        max_output_tokens=sampling.max_output_tokens if sampling.HasField("max_output_tokens") else None,
        answers=sampling.n if sampling.HasField("n") else 1,
    )


def read_texts(texts: Sequence[str], dimensions: int) -> PromptFacts:
    """Measure texts to be embedded."""
    sizes = [len(text.encode()) for text in texts]
    vectors = VectorFacts(len(sizes), max(sizes, default=0), dimensions)
    return PromptFacts(text_bytes=sum(sizes), messages=len(sizes), vectors=vectors)


def _needs(prompt: chat_pb2.Prompt, images: int) -> frozenset[str]:
    needs = set()
    if images:
        needs.add("vision")
    if prompt.tools:
        needs.add("tools")
    if prompt.web_search:
        needs.add("web_search")
    json_need = _JSON_NEEDS.get(prompt.response_format.WhichOneof("kind") or "")
    if json_need:
        needs.add(json_need)
    return frozenset(needs)
