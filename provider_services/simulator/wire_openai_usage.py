"""Counts the tokens of an answer the way each host of the openai dialect writes them down."""

from typing import Any
from zlib import crc32

from provider_services.simulator.ask import Answer, Ask, Stamp
from provider_services.simulator.patterns import fits
from provider_services.simulator.wire_openai_quirks import Quirks

ALL_PROMPT = {"cached_tokens": 0, "audio_tokens": 0}
ALL_COMPLETION = {
    "reasoning_tokens": 0,
    "audio_tokens": 0,
    "accepted_prediction_tokens": 0,
    "rejected_prediction_tokens": 0,
}


def usage(quirks: Quirks, ask: Ask, answer: Answer, stamp: Stamp) -> dict[str, Any]:
    """Return the usage object of an answer; the total holds the reasoning wherever else it is counted."""
    outside = fits(quirks.reasoning_outside, ask.model.id)
    counted: dict[str, Any] = {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": answer.text_tokens if outside else answer.output_tokens,
        "total_tokens": ask.input_tokens + answer.output_tokens,
    }
    if quirks.timing:
        counted |= _times(answer, stamp)
    counted |= _details(quirks, ask, answer)
    if ask.cached_tokens and quirks.cached_in:
        _tell_cached(counted, quirks.cached_in[crc32(ask.model.id.encode()) % len(quirks.cached_in)], ask.cached_tokens)
    return counted | quirks.usage_fields


def _times(answer: Answer, stamp: Stamp) -> dict[str, float]:
    busy = stamp.token_s * answer.output_tokens
    waits = {"queue_time": stamp.first_s / 2, "prompt_time": stamp.first_s / 2}
    return waits | {"completion_time": busy, "total_time": stamp.first_s / 2 + busy}


def _details(quirks: Quirks, ask: Ask, answer: Answer) -> dict[str, Any]:
    """Return how tokens were spent; reasoning inside the text is nothing a host could tell from it."""
    reasoning = {"reasoning_tokens": answer.reasoning_tokens}
    if quirks.usage_details == "all":
        return {
            "prompt_tokens_details": dict(ALL_PROMPT),
            "completion_tokens_details": ALL_COMPLETION | reasoning,
        }
    if not answer.reasoning_tokens or quirks.form(ask.model.id) == "tags":
        return {}
    return {"completion_tokens_details": reasoning}


def _tell_cached(counted: dict[str, Any], spelling: str, tokens: int) -> None:
    if spelling.endswith("_details"):
        counted[spelling] = counted.get(spelling, {}) | {"cached_tokens": tokens}
    else:
        counted[spelling] = tokens
