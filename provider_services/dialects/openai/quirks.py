"""What vendors of this wire do differently: small named functions, chosen by the words of a catalogue row.

A function here bends the request just before it is sent. The words of READING change how an answer or its headers
are read, where that is done.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

READING = frozenset(
    {
        "limits_per_model",  # rate limits count each model of the account apart
        "requests_window_day",  # x-ratelimit-*-requests speak of a day, not of a minute
        "reasoning_outside_output",  # completion_tokens leave reasoning tokens out
        "think_tags",  # reasoning opens the text, between <think> and </think>
        "reasoning_returns_as_reasoning",  # reasoning text goes back in this field
        "reasoning_returns_as_reasoning_content",
    }
)
SAMPLING_FIELDS = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")


@dataclass(frozen=True, slots=True)
class Draft:
    """A request body in the making, and where to note what was bent."""

    call: Call
    body: dict[str, Any]
    notes: Notes

    def drop(self, theirs: str, ours: str) -> None:
        """Leave a field out, with a note if it was there."""
        if self.body.pop(theirs, None) is not None:
            self.notes.drop(ours, "this vendor or model does not take it")

    def rename(self, old: str, new: str) -> None:
        """Send a field under another name."""
        if old in self.body:
            self.body[new] = self.body.pop(old)


Quirk = Callable[[Draft], None]


def no_top_k(draft: Draft) -> None:
    """Leave top_k out, as the wire's inventor does."""
    draft.drop("top_k", "sampling.top_k")


def max_completion_tokens(draft: Draft) -> None:
    """Name the limit as reasoning models want it: with the reasoning counted."""
    draft.rename("max_tokens", "max_completion_tokens")


def random_seed(draft: Draft) -> None:
    """Name the seed otherwise."""
    draft.rename("seed", "random_seed")


def no_seed(draft: Draft) -> None:
    """Leave the seed out."""
    draft.drop("seed", "sampling.seed")


def one_answer(draft: Draft) -> None:
    """Refuse to ask for several answers; one is sent without saying so."""
    if draft.body.pop("n", 1) > 1:
        raise refuse("sampling.n", "this vendor gives one answer")


def no_logprobs(draft: Draft) -> None:
    """Leave token probabilities out."""
    draft.drop("logprobs", "sampling.top_logprobs")
    draft.drop("top_logprobs", "sampling.top_logprobs")


def no_penalties(draft: Draft) -> None:
    """Leave both penalties out."""
    draft.drop("frequency_penalty", "sampling.frequency_penalty")
    draft.drop("presence_penalty", "sampling.presence_penalty")


def no_frequency_penalty(draft: Draft) -> None:
    """Leave one penalty out."""
    draft.drop("frequency_penalty", "sampling.frequency_penalty")


def no_stream_options(draft: Draft) -> None:
    """Do not ask for usage: the vendor refuses the question, and answers it unasked."""
    draft.body.pop("stream_options", None)


def no_parallel_tool_calls(draft: Draft) -> None:
    """Leave the wish for one call at a time out."""
    draft.drop("parallel_tool_calls", "parallel_tool_calls")


def no_strict_tools(draft: Draft) -> None:
    """Leave out that arguments must match their schema exactly."""
    for tool in draft.body.get("tools", ()):
        tool["function"].pop("strict", None)


def no_message_names(draft: Draft) -> None:
    """Leave participants' names out."""
    for number, message in enumerate(draft.body["messages"]):
        if message.pop("name", None):
            draft.notes.drop(f"messages[{number}].name", "this vendor takes no names")


def no_json_schema(draft: Draft) -> None:
    """Refuse a schema for the answer; without it the answer would be another."""
    if draft.body.get("response_format", {}).get("type") == "json_schema":
        raise refuse("response_format.json_schema", "this vendor or model takes no schema")


def no_forced_tools(draft: Draft) -> None:
    """Refuse to force a tool call."""
    if draft.body.get("tool_choice", "auto") not in ("auto", "none"):
        raise refuse("tool_choice", "this vendor lets the model decide")


def required_is_any(draft: Draft) -> None:
    """Spell a forced call otherwise."""
    if draft.body.get("tool_choice") == "required":
        draft.body["tool_choice"] = "any"


def at_most_4_stops(draft: Draft) -> None:
    """Refuse more stop texts than the vendor takes; the answer would end elsewhere."""
    if len(draft.body.get("stop", ())) > 4:
        raise refuse("sampling.stop", "this vendor takes at most 4 stop texts")


def no_stops(draft: Draft) -> None:
    """Refuse stop texts."""
    if draft.body.get("stop"):
        raise refuse("sampling.stop", "this vendor or model takes no stop texts")


def zero_temperature_is_tiny(draft: Draft) -> None:
    """Send the smallest temperature the vendor takes instead of zero."""
    if draft.body.get("temperature") == 0:
        draft.body["temperature"] = 1e-8


def temperature_at_most_1(draft: Draft) -> None:
    """Clamp the temperature."""
    if draft.body.get("temperature", 0) > 1:
        draft.body["temperature"] = 1
        draft.notes.note("clamped", "sampling.temperature", "this vendor takes at most 1")


def reasoning_models_fix_sampling(draft: Draft) -> None:
    """Leave out what the vendor's reasoning models refuse to be told, unless reasoning is switched off."""
    if not draft.call.reasons or draft.body.get("reasoning_effort") == "none":
        return
    for field in SAMPLING_FIELDS:
        draft.drop(field, f"sampling.{field}")
    no_stops(draft)


def effort_needs_reasoning(draft: Draft) -> None:
    """Leave the effort out for models that do not think, which refuse the field."""
    if draft.call.reasons is False:
        _drop_effort(draft)


def effort_low_to_high(draft: Draft) -> None:
    """Move an effort outside low, medium and high to the nearest of them."""
    effort = draft.body.get("reasoning_effort")
    nearest = {"none": "low", "minimal": "low", "xhigh": "high"}.get(effort or "")
    if nearest:
        draft.body["reasoning_effort"] = nearest
        draft.notes.note("clamped", "reasoning_effort", f"this model takes low, medium or high: {effort} → {nearest}")


def effort_none_or_default(draft: Draft) -> None:
    """Say "default" for any effort but none: the model thinks or it does not."""
    if draft.body.get("reasoning_effort") not in {None, "none"}:
        draft.body["reasoning_effort"] = "default"


def no_minimal_effort(draft: Draft) -> None:
    """Send low for minimal."""
    if draft.body.get("reasoning_effort") == "minimal":
        draft.body["reasoning_effort"] = "low"
        draft.notes.note("clamped", "reasoning_effort", "this model takes low or more: minimal → low")


def no_reasoning_effort(draft: Draft) -> None:
    """Leave the effort out: the vendor decides."""
    _drop_effort(draft)


def reasoning_format_parsed(draft: Draft) -> None:
    """Ask for reasoning in a field of its own, not inside the text."""
    draft.body["reasoning_format"] = "parsed"


def web_search_options(draft: Draft) -> None:
    """Switch on the search that some models of the vendor have."""
    if draft.call.prompt.web_search:
        draft.body["web_search_options"] = {}


def text_as_one_string(draft: Draft) -> None:
    """Join a message's texts, for vendors that take no list; an image is refused."""
    for number, message in enumerate(draft.body["messages"]):
        content = message.get("content")
        if isinstance(content, list):
            if any(part["type"] != "text" for part in content):
                raise refuse(f"messages[{number}]", "this vendor or model takes no images")
            message["content"] = "\n".join(part["text"] for part in content)


def tool_ids_of_nine(draft: Draft) -> None:
    """Replace every tool call's id by nine letters and digits made from it: the vendor takes no others."""
    for message in draft.body["messages"]:
        if "tool_call_id" in message:
            message["tool_call_id"] = _nine(message["tool_call_id"])
        for call in message.get("tool_calls", ()):
            call["id"] = _nine(call["id"])


def _nine(identity: str) -> str:
    if len(identity) == 9 and identity.isascii() and identity.isalnum():
        return identity
    return hashlib.sha256(identity.encode()).hexdigest()[:9]


def _drop_effort(draft: Draft) -> None:
    if draft.body.get("reasoning_effort") == "none":
        del draft.body["reasoning_effort"]
    draft.drop("reasoning_effort", "reasoning_effort")


# In the order they are applied.
BENDING: Mapping[str, Quirk] = {
    quirk.__name__: quirk
    for quirk in (
        effort_needs_reasoning,
        reasoning_models_fix_sampling,
        no_reasoning_effort,
        effort_low_to_high,
        effort_none_or_default,
        no_minimal_effort,
        reasoning_format_parsed,
        max_completion_tokens,
        no_seed,
        random_seed,
        one_answer,
        no_logprobs,
        no_penalties,
        no_frequency_penalty,
        no_stops,
        at_most_4_stops,
        zero_temperature_is_tiny,
        temperature_at_most_1,
        no_stream_options,
        no_parallel_tool_calls,
        no_strict_tools,
        no_message_names,
        no_json_schema,
        no_forced_tools,
        required_is_any,
        web_search_options,
        text_as_one_string,
        tool_ids_of_nine,
    )
}
TAKES = frozenset({"takes_top_k"})
VECTORS = frozenset({"base64_vectors"})  # asks for vectors as bytes, a third of what numbers take as text
ALL = frozenset(BENDING) | READING | TAKES | VECTORS


@lru_cache(maxsize=256)
def _chosen(quirks: frozenset[str]) -> tuple[Quirk, ...]:
    chosen = tuple(quirk for name, quirk in BENDING.items() if name in quirks)
    return chosen if "takes_top_k" in quirks else (no_top_k, *chosen)


def bend(draft: Draft) -> None:
    """Apply the quirks of the draft's vendor and model."""
    for quirk in _chosen(draft.call.quirks):
        quirk(draft)
