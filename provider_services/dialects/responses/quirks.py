"""What vendors of this wire do differently: small named functions, chosen by the words of a catalogue row.

A function here bends the request just before it is sent. The other words change how turns are written, or how an
answer or its headers are read, where that is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse
from provider_services.dialects.responses import state, vectors

ELSEWHERE = frozenset(
    {
        "limits_per_model",  # rate limits count each model of the account apart
        "requests_window_day",  # x-ratelimit-*-requests speak of a day, not of a minute
        "results_named",  # a result goes back with its tool's name, and with what its call is signed with
        "takes_penalties",  # both penalties are taken, which this wire leaves out otherwise
        state.PLAIN,
        vectors.QUIRK,
    }
)
ENCRYPTED = "reasoning.encrypted_content"


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

    @property
    def effort(self) -> str:
        """The effort asked for, or nothing."""
        return str(self.body.get("reasoning", {}).get("effort", ""))

    def move_effort(self, effort: str, taken: str) -> None:
        """Send another effort than was asked for."""
        message = f"this model takes {taken}: {self.effort} → {effort}"
        self.body["reasoning"]["effort"] = effort
        self.notes.note("clamped", "reasoning_effort", message)


Quirk = Callable[[Draft], None]


def effort_needs_reasoning(draft: Draft) -> None:
    """Leave the effort out for models that do not think, which refuse the field."""
    if draft.call.reasons is False:
        no_reasoning_effort(draft)


def reasoning_models_fix_sampling(draft: Draft) -> None:
    """Leave out what the vendor's reasoning models refuse to be told, unless reasoning is switched off."""
    if draft.call.reasons and draft.effort != "none":
        draft.drop("temperature", "sampling.temperature")
        draft.drop("top_p", "sampling.top_p")
        no_logprobs(draft)


def no_reasoning_effort(draft: Draft) -> None:
    """Leave the effort out: the vendor decides."""
    if draft.effort == "none":
        del draft.body["reasoning"]
    draft.drop("reasoning", "reasoning_effort")


def effort_low_to_high(draft: Draft) -> None:
    """Move an effort outside low, medium and high to the nearest of them."""
    nearest = {"none": "low", "minimal": "low", "xhigh": "high"}.get(draft.effort)
    if nearest:
        draft.move_effort(nearest, "low, medium or high")


def no_minimal_effort(draft: Draft) -> None:
    """Send low for minimal."""
    if draft.effort == "minimal":
        draft.move_effort("low", "low or more")


def reasoning_summaries(draft: Draft) -> None:
    """Ask for a summary of the reasoning, where the vendor shows it to verified accounts only."""
    if draft.call.reasons and draft.effort != "none":
        draft.body.setdefault("reasoning", {})["summary"] = "auto"


def at_least_16_output_tokens(draft: Draft) -> None:
    """Raise a smaller limit to the least the vendor takes."""
    if draft.body.get("max_output_tokens", 16) < 16:
        draft.body["max_output_tokens"] = 16
        draft.notes.note("clamped", "sampling.max_output_tokens", "this vendor takes at least 16")


def no_logprobs(draft: Draft) -> None:
    """Leave token probabilities out."""
    draft.drop("top_logprobs", "sampling.top_logprobs")
    _exclude(draft, "message.output_text.logprobs")


def no_parallel_tool_calls(draft: Draft) -> None:
    """Leave the wish for one call at a time out."""
    draft.drop("parallel_tool_calls", "parallel_tool_calls")


def no_strict_tools(draft: Draft) -> None:
    """Leave out whether arguments must match their schema exactly."""
    for tool in draft.body.get("tools", ()):
        tool.pop("strict", None)


def no_forced_tools(draft: Draft) -> None:
    """Refuse to force a tool call."""
    if draft.body.get("tool_choice", "auto") not in ("auto", "none"):  # or an object
        raise refuse("tool_choice", "this vendor lets the model decide")


def no_json_object(draft: Draft) -> None:
    """Refuse a JSON answer without a schema."""
    if draft.body.get("text", {}).get("format", {}).get("type") == "json_object":
        raise refuse("response_format.json_object", "this vendor answers in JSON by a schema only")


def no_json_schema(draft: Draft) -> None:
    """Refuse a schema for the answer; without it the answer would be another."""
    if draft.body.get("text", {}).get("format", {}).get("type") == "json_schema":
        raise refuse("response_format.json_schema", "this vendor or model takes no schema")


def schema_as_response_format(draft: Draft) -> None:
    """Send a schema for the answer in the field that chat completions has for it."""
    wanted = draft.body.pop("text", {}).get("format")
    if wanted:
        named = {name: value for name, value in wanted.items() if name != "type"}
        draft.body["response_format"] = {"type": "json_schema", "json_schema": named}


def no_web_search(draft: Draft) -> None:
    """Leave the vendor's search out."""
    tools = draft.body.get("tools", [])
    if {"type": "web_search"} in tools:
        tools.remove({"type": "web_search"})
        draft.notes.drop("web_search", "this vendor or model does not search the web")
    if not tools:
        draft.body.pop("tools", None)


def no_store(draft: Draft) -> None:
    """Do not say that nothing shall be stored: the vendor stores nothing and takes no such word."""
    del draft.body["store"]


def no_encrypted_reasoning(draft: Draft) -> None:
    """Do not ask for reasoning that can go back."""
    _exclude(draft, ENCRYPTED)


def _exclude(draft: Draft, what: str) -> None:
    left = [name for name in draft.body.pop("include", ()) if name != what]
    if left:
        draft.body["include"] = left


# In the order they are applied.
BENDING: Mapping[str, Quirk] = {
    quirk.__name__: quirk
    for quirk in (
        effort_needs_reasoning,
        reasoning_models_fix_sampling,
        no_reasoning_effort,
        effort_low_to_high,
        no_minimal_effort,
        reasoning_summaries,
        at_least_16_output_tokens,
        no_logprobs,
        no_parallel_tool_calls,
        no_strict_tools,
        no_forced_tools,
        no_json_object,
        no_json_schema,
        schema_as_response_format,
        no_web_search,
        no_store,
        no_encrypted_reasoning,
    )
}
ALL = frozenset(BENDING) | ELSEWHERE


def bend(draft: Draft) -> None:
    """Apply the quirks of the draft's vendor and model."""
    for name, quirk in BENDING.items():
        if name in draft.call.quirks:
            quirk(draft)
