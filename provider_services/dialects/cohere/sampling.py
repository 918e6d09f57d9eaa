"""Writes how the model should sample, within what the vendor takes."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Sampling

from provider_services.dialects import room
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

MOST_STOPS = 5
# From the vendor's reference of the chat call and its list of errors: https://docs.cohere.com/reference/errors
RANGES = (
    ("temperature", "temperature", 0.0, 1.0),
    ("top_p", "p", 0.01, 0.99),
    ("top_k", "k", 0, 500),
    ("frequency_penalty", "frequency_penalty", 0.0, 1.0),
    ("presence_penalty", "presence_penalty", 0.0, 1.0),
)


def encode(call: Call, notes: Notes) -> dict[str, Any]:
    """Return the fields about sampling; raises MeshError VENDOR_UNSUPPORTED."""
    sampling = call.prompt.sampling
    if sampling.n > 1:
        raise refuse("sampling.n", "this vendor gives one answer")
    if len(sampling.stop) > MOST_STOPS:
        raise refuse("sampling.stop", f"this vendor takes at most {MOST_STOPS} stop texts")
    encoded = _clamped(sampling, notes)
    _one_penalty(encoded, notes)
    if limit := room.asked(call, notes):
        encoded["max_tokens"] = limit
    if sampling.stop:
        encoded["stop_sequences"] = list(sampling.stop)
    return encoded | _seed(sampling, notes) | _logprobs(sampling, notes)


def _clamped(sampling: Sampling, notes: Notes) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for ours, theirs, least, most in RANGES:
        if sampling.HasField(ours):  # type: ignore[arg-type]
            wanted = getattr(sampling, ours)
            encoded[theirs] = min(max(wanted, least), most)
            if encoded[theirs] != wanted:
                notes.note("clamped", f"sampling.{ours}", f"this vendor takes {least} to {most}")
    return encoded


def _one_penalty(encoded: dict[str, Any], notes: Notes) -> None:
    """Keep one penalty at most: the vendor refuses both together, even where one is nothing."""
    for name in ("frequency_penalty", "presence_penalty"):
        if not encoded.get(name):
            encoded.pop(name, None)
    if "frequency_penalty" in encoded and encoded.pop("presence_penalty", None):
        notes.drop("sampling.presence_penalty", "this vendor takes one penalty at a time")


def _seed(sampling: Sampling, notes: Notes) -> dict[str, Any]:
    if not sampling.HasField("seed"):
        return {}
    if sampling.seed < 0:
        notes.drop("sampling.seed", "this vendor takes no negative seed")
        return {}
    return {"seed": sampling.seed}


def _logprobs(sampling: Sampling, notes: Notes) -> dict[str, Any]:
    if not sampling.HasField("top_logprobs"):
        return {}
    if sampling.top_logprobs:
        notes.drop("sampling.top_logprobs", "this vendor tells the generated tokens' probabilities only")
    return {"logprobs": True}
