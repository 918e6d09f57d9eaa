"""Counts the tokens of a response: input includes cached tokens and output includes reasoning, as ours do."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire


def read(body: Any) -> Usage | None:
    """Read a usage object; None when it counts nothing."""
    counted = wire.mapping(body)
    given, made = wire.count(counted.get("input_tokens")), wire.count(counted.get("output_tokens"))
    if not given and not made:
        return None
    before, after = (
        wire.mapping(counted.get("input_tokens_details")),
        wire.mapping(counted.get("output_tokens_details")),
    )
    return Usage(
        input_tokens=given,
        output_tokens=made,
        cached_input_tokens=min(_first(before, "cached_tokens", "cache_read_input_tokens"), given),
        cache_write_tokens=min(_first(before, "cache_write_tokens", "cache_creation_input_tokens"), given),
        reasoning_tokens=min(wire.count(after.get("reasoning_tokens")), made),
    )


def _first(details: Mapping[str, Any], *names: str) -> int:
    return next((found for name in names if (found := wire.count(details.get(name)))), 0)
