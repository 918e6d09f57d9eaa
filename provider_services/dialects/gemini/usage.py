"""Counts the tokens of a generate-content answer: thoughts are apart from the candidates' tokens."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire


def read(body: Mapping[str, Any]) -> Usage | None:
    """Read usageMetadata; None when it counts nothing."""
    prompt = wire.count(body.get("promptTokenCount")) + wire.count(body.get("toolUsePromptTokenCount"))
    thoughts = wire.count(body.get("thoughtsTokenCount"))
    output = wire.count(body.get("candidatesTokenCount")) + thoughts
    if not prompt and not output:
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=min(wire.count(body.get("cachedContentTokenCount")), prompt),
        reasoning_tokens=thoughts,
    )
