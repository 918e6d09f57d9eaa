"""Counts the tokens of a chat-completions answer, in each vendor's own arithmetic."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire
from provider_services.dialects.interface import Subject


def read(subject: Subject, body: Mapping[str, Any]) -> Usage:
    """Read a usage object.

    Some vendors leave reasoning out of completion_tokens: known by their quirk, or because their total says so. Some
    do so for hosted models of others, and their total lies.
    """
    prompt = wire.count(body.get("prompt_tokens")) or wire.count(body.get("input_tokens"))
    completion = wire.count(body.get("completion_tokens")) or wire.count(body.get("output_tokens"))
    details = wire.mapping(body.get("completion_tokens_details"))
    reasoning = wire.count(details.get("reasoning_tokens")) or wire.count(body.get("reasoning_tokens"))
    total = wire.count(body.get("total_tokens"))
    outside = (
        "reasoning_outside_output" in subject.quirks
        or total == prompt + completion + reasoning
        or ("more_reasoning_is_outside" in subject.quirks and reasoning > completion)
    )
    output = completion + reasoning if reasoning and outside else completion
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=min(_cached(body), prompt),
        cache_write_tokens=min(_written(body), prompt),
        reasoning_tokens=min(reasoning, output),
    )


def find(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the usage object of an answer or a chunk.

    Some vendors keep it in an `x_…` field of their own, some in the first choice of the last chunk.
    """
    if body.get("usage"):
        return wire.mapping(body["usage"])
    for key, value in body.items():
        if key.startswith("x_") and (counted := wire.mapping(value).get("usage")):
            return wire.mapping(counted)
    choices = body.get("choices")
    return wire.mapping(wire.mapping(choices[0]).get("usage")) if choices and isinstance(choices, list) else {}


def _cached(body: Mapping[str, Any]) -> int:
    details = wire.mapping(body.get("prompt_tokens_details"))
    for value in (
        details.get("cached_tokens"),
        wire.mapping(body.get("prompt_token_details")).get("cached_tokens"),
        body.get("prompt_cache_hit_tokens"),
        body.get("cached_tokens"),
        body.get("num_cached_tokens"),
        body.get("cache_read_input_tokens"),
    ):
        if found := wire.count(value):
            return found
    return 0


def _written(body: Mapping[str, Any]) -> int:
    details = wire.mapping(body.get("prompt_tokens_details"))
    for value in (
        details.get("cache_write_tokens"),
        details.get("cache_creation_input_tokens"),
        body.get("cache_creation_input_tokens"),
    ):
        if found := wire.count(value):
            return found
    return 0
