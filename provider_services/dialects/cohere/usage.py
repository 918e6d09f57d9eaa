"""Counts the tokens of an answer: those the model saw and made, not the fewer ones the vendor bills.

Images are counted apart from the prompt's other tokens; reasoning is part of the output.
"""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Usage

from provider_services.dialects import wire


def read(body: Mapping[str, Any]) -> Usage | None:
    """Read a usage object; None when it counts nothing."""
    counted = wire.mapping(body.get("tokens")) or wire.mapping(body.get("billed_units"))
    prompt = wire.count(counted.get("input_tokens")) + wire.count(counted.get("image_tokens"))
    output = wire.count(counted.get("output_tokens"))
    if not prompt and not output:
        return None
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cached_input_tokens=min(wire.count(body.get("cached_tokens")), prompt),
        reasoning_tokens=min(wire.count(counted.get("reasoning_tokens")), output),
    )
