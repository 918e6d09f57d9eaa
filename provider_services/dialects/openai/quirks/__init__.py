"""What vendors of this wire do differently: small named functions, chosen by the words of a catalogue row.

A function bends the request just before it is sent. The words of READING change how turns are written, or how an answer
or its headers are read, where that is done.
"""

from collections.abc import Mapping
from functools import lru_cache

from provider_services.dialects import wire
from provider_services.dialects.notes import SPEAK_OF_JSON, refuse
from provider_services.dialects.openai import state
from provider_services.dialects.openai.quirks import sampling, thinking, tools, turns
from provider_services.dialects.openai.quirks.draft import Draft, Quirk

__all__ = ["ALL", "BENDING", "Draft", "bend"]
READING = frozenset(
    {
        "limits_per_model",  # rate limits count each model of the account apart
        "requests_window_day",  # x-ratelimit-*-requests speak of a day, not of a minute
        "reasoning_outside_output",  # completion_tokens leave reasoning tokens out
        "more_reasoning_is_outside",  # ... when they count less than the reasoning tokens
        "resets_in_china_time",  # an error names the local time at which a quota comes back
        "thinking_only_streams",  # a whole answer is asked for as a stream and put together
        "thinks_when_asked",  # does not think of its own accord
        "think_tags",  # reasoning opens the text, between <think> and </think>
        *state.RETURNS,  # where reasoning text goes back
    }
)


def no_stream_options(draft: Draft) -> None:
    """Do not ask for usage: the vendor refuses the question, and answers it unasked."""
    draft.body.pop("stream_options", None)


def no_json_schema(draft: Draft) -> None:
    """Refuse a schema for the answer; without it the answer would be another."""
    if draft.body.get("response_format", {}).get("type") == "json_schema":
        raise refuse("response_format.json_schema", "this vendor or model takes no schema")


def json_needs_its_word(draft: Draft) -> None:
    """Speak of JSON where a JSON answer is wanted and the conversation does not: the vendor refuses it otherwise."""
    if draft.body.get("response_format", {}).get("type") != "json_object":
        return
    if b"json" not in wire.encode(draft.body["messages"]).lower():
        draft.body["messages"].insert(0, {"role": "system", "content": SPEAK_OF_JSON})
        draft.notes.speak_of_json()


def web_search_options(draft: Draft) -> None:
    """Switch on the search that some models of the vendor have."""
    if draft.call.prompt.web_search:
        draft.body["web_search_options"] = {}


# In the order they are applied: what forbids thinking comes before the words that switch it, those before the effort's
# levels, and what follows from thinking after all of them.
BENDING: Mapping[str, Quirk] = {
    quirk.__name__: quirk
    for quirk in (
        thinking.effort_needs_reasoning,
        thinking.thinking_always,
        thinking.no_forced_tools_when_thinking,
        thinking.no_json_when_thinking,
        thinking.thinking_switch,
        thinking.enable_thinking,
        thinking.reasoning_object,
        thinking.no_reasoning_effort,
        thinking.effort_low_to_high,
        thinking.effort_low_high_max,
        thinking.effort_none_or_default,
        thinking.effort_none_or_high,
        thinking.no_minimal_effort,
        thinking.no_xhigh_effort,
        thinking.reasoning_format_parsed,
        thinking.reasoning_models_fix_sampling,
        thinking.no_sampling_when_thinking,
        sampling.no_sampling,
        sampling.max_completion_tokens,
        sampling.no_seed,
        sampling.random_seed,
        sampling.one_answer,
        sampling.one_answer_beside_tools,
        sampling.one_answer_in_streams,
        sampling.at_most_4_answers,
        sampling.no_logprobs,
        sampling.at_most_8_logprobs,
        sampling.no_penalties,
        sampling.no_frequency_penalty,
        sampling.no_stops,
        sampling.one_stop,
        sampling.at_most_4_stops,
        sampling.at_most_5_stops,
        sampling.at_most_16_stops,
        sampling.zero_temperature_is_tiny,
        sampling.temperature_at_least_a_hundredth,
        sampling.temperature_at_most_1,
        sampling.temperature_below_2,
        tools.no_parallel_tool_calls,
        tools.no_strict_tools,
        tools.no_forced_tools,
        tools.no_tool_choice,
        tools.no_required_tools,
        tools.no_named_tools,
        tools.required_is_any,
        turns.no_message_names,
        turns.user_names_only,
        turns.images_as_data_only,
        turns.text_as_one_string,
        turns.tool_ids_of_nine,
        turns.refusals_as_text,
        turns.reasoning_content_required,
        turns.preserve_thinking,
        no_stream_options,
        no_json_schema,
        json_needs_its_word,
        web_search_options,
    )
}
TAKES = frozenset({"takes_top_k", "object_schemas"})  # ... and a tool schema that is one object, no union, at its root
VECTORS = frozenset(
    {
        "base64_vectors",  # asks for vectors as bytes, a third of what numbers take as text
        "output_dimension",  # how long vectors are is asked for in this field
    }
)
ALL = frozenset(BENDING) | READING | TAKES | VECTORS


@lru_cache(maxsize=256)
def _chosen(quirks: frozenset[str]) -> tuple[Quirk, ...]:
    chosen = tuple(quirk for name, quirk in BENDING.items() if name in quirks)
    return chosen if "takes_top_k" in quirks else (sampling.no_top_k, *chosen)


def bend(draft: Draft) -> None:
    """Apply the quirks of the draft's vendor and model."""
    for quirk in _chosen(draft.call.quirks):
        quirk(draft)
