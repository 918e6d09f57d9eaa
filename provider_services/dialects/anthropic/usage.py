"""Counts the tokens of an answer: the vendor counts cached input apart from the rest of the input."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire


def read(body: Mapping[str, Any]) -> Usage | None:
    """Read the counts; None when there are none."""
    if "input_tokens" not in body and "output_tokens" not in body:
        return None
    cached, written = wire.count(body.get("cache_read_input_tokens")), _written(body)
    return Usage(
        input_tokens=wire.count(body.get("input_tokens")) + cached + written,
        output_tokens=wire.count(body.get("output_tokens")),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=wire.count(wire.mapping(body.get("output_tokens_details")).get("thinking_tokens")),
    )


def _written(body: Mapping[str, Any]) -> int:
    if body.get("cache_creation_input_tokens") is not None:
        return wire.count(body["cache_creation_input_tokens"])
    return sum(wire.count(tokens) for tokens in wire.mapping(body.get("cache_creation")).values())
