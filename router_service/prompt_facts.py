"""Reads from a prompt what planning needs: how long it is and what the model must be able to do."""

from dataclasses import dataclass

from llmmesh.chat.v1 import chat_pb2

_JSON_NEEDS = {"json_object": "json_object", "json_schema": "json_schema"}


@dataclass(frozen=True, slots=True)
class PromptFacts:
    """What planning needs to know of a prompt; sizes in bytes of UTF-8."""

    text_bytes: int = 0
    messages: int = 0
    images: int = 0
    needs: frozenset[str] = frozenset()
    max_output_tokens: int | None = None
    answers: int = 1


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
