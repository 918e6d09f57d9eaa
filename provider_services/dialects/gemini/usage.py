"""Counts the tokens of a generate-content answer: thoughts are apart from the candidates' tokens."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire

COUNTED = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")


def counts(body: Mapping[str, Any]) -> bool:
    """Say whether usageMetadata counts anything."""
    return any(wire.count(body.get(name)) for name in COUNTED)


def read(body: Mapping[str, Any]) -> Usage | None:
    """Read usageMetadata; None when it counts nothing."""
    if not counts(body):
        return None
    prompt = wire.count(body.get("promptTokenCount")) + wire.count(body.get("toolUsePromptTokenCount"))
    thoughts = wire.count(body.get("thoughtsTokenCount"))
    output = wire.count(body.get("candidatesTokenCount")) + thoughts
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=min(wire.count(body.get("cachedContentTokenCount")), prompt),
        reasoning_tokens=thoughts,
    )
