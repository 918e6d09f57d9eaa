"""Bends how long the model shall think, what it may not do while it thinks, and how either is spelled."""

from collections.abc import Mapping

from provider_services.dialects.notes import refuse
from provider_services.dialects.openai.quirks.draft import Draft
from provider_services.dialects.openai.quirks.sampling import drop_sampling, no_stops
from provider_services.dialects.openai.quirks.tools import forced

# Tokens of thinking; the highest effort is the vendor's own, which is the most the model can.
BUDGETS = {"minimal": 512, "low": 2048, "medium": 8192, "high": 24576}
# The words by which thinking can be switched off.
SWITCHES = frozenset({"thinking_switch", "enable_thinking", "reasoning_object"})


def effort_needs_reasoning(draft: Draft) -> None:
    """Leave the effort out for models that do not think, which refuse the field."""
    if draft.call.reasons is False:
        no_reasoning_effort(draft)


def thinking_always(draft: Draft) -> None:
    """Ask for little where nothing at all is refused."""
    _move(draft, {"none": "low"}, "this model always thinks")


def no_forced_tools_when_thinking(draft: Draft) -> None:
    """Switch thinking off where a tool must be called; refuse that where it cannot be switched off."""
    if forced(draft):
        _silence(draft, "tool_choice", "this model cannot think before a tool call that it must make")


def no_json_when_thinking(draft: Draft) -> None:
    """Switch thinking off for an answer in JSON; refuse that where it cannot be switched off."""
    if "response_format" in draft.body:
        _silence(draft, "response_format", "this model cannot think before an answer in JSON")


def thinking_switch(draft: Draft) -> None:
    """Switch thinking on or off beside the effort, which says how long."""
    effort = _taken_effort(draft)
    if effort == "none":
        del draft.body["reasoning_effort"]
        draft.body["thinking"] = {"type": "disabled"}
    elif effort:
        draft.body["thinking"] = {"type": "enabled"}


def enable_thinking(draft: Draft) -> None:
    """Switch thinking on or off, and give it a budget of tokens instead of an effort."""
    effort = _taken_effort(draft)
    if effort:
        del draft.body["reasoning_effort"]
        draft.body["enable_thinking"] = effort != "none"
    if budget := BUDGETS.get(effort):
        draft.body["thinking_budget"] = budget


def reasoning_object(draft: Draft) -> None:
    """Put the effort into an object of its own."""
    if effort := _taken_effort(draft):
        del draft.body["reasoning_effort"]
        draft.body["reasoning"] = {"effort": effort}


def no_reasoning_effort(draft: Draft) -> None:
    """Leave the effort out: the vendor decides."""
    if draft.effort == "none":
        del draft.body["reasoning_effort"]
    draft.drop("reasoning_effort", "reasoning_effort")


def effort_low_to_high(draft: Draft) -> None:
    """Move an effort outside low, medium and high to the nearest of them."""
    _move(draft, {"none": "low", "minimal": "low", "xhigh": "high"}, "this model takes low, medium or high")


def effort_low_high_max(draft: Draft) -> None:
    """Move an effort between the levels the model has to the nearest of them; the highest is called max."""
    _move(draft, {"none": "low", "minimal": "low", "medium": "high"}, "this model takes low, high or max")
    if draft.effort == "xhigh":
        draft.body["reasoning_effort"] = "max"


def effort_none_or_default(draft: Draft) -> None:
    """Say "default" for any effort but none: the model thinks or it does not."""
    if draft.effort not in {"", "none"}:
        draft.body["reasoning_effort"] = "default"


def effort_none_or_high(draft: Draft) -> None:
    """Say "high" for any effort but none: the model thinks or it does not."""
    _move(draft, dict.fromkeys(("minimal", "low", "medium", "xhigh"), "high"), "this model takes none or high")


def no_minimal_effort(draft: Draft) -> None:
    """Send low for minimal."""
    _move(draft, {"minimal": "low"}, "this model takes low or more")


def no_xhigh_effort(draft: Draft) -> None:
    """Send high for the highest."""
    _move(draft, {"xhigh": "high"}, "this model takes high or less")


def reasoning_format_parsed(draft: Draft) -> None:
    """Ask for reasoning in a field of its own, not inside the text."""
    draft.body["reasoning_format"] = "parsed"


def reasoning_models_fix_sampling(draft: Draft) -> None:
    """Leave out what the vendor's reasoning models refuse to be told, unless reasoning is switched off."""
    if draft.call.reasons and draft.thinks:
        drop_sampling(draft)
        no_stops(draft)


def no_sampling_when_thinking(draft: Draft) -> None:
    """Leave sampling out where it means nothing, unless thinking is switched off."""
    if draft.thinks:
        drop_sampling(draft)


def _taken_effort(draft: Draft) -> str:
    """Return the effort asked for; a model that does not think is not told of any."""
    effort_needs_reasoning(draft)
    return draft.effort


def _move(draft: Draft, nearest: Mapping[str, str], taken: str) -> None:
    if moved := nearest.get(draft.effort):
        draft.clamp("reasoning_effort", moved, "reasoning_effort", taken)


def _silence(draft: Draft, field: str, why: str) -> None:
    if not draft.thinks:
        return
    quirks = draft.call.quirks
    if "thinking_always" in quirks or quirks.isdisjoint(SWITCHES):
        raise refuse(field, why)
    draft.body["reasoning_effort"] = "none"
    draft.notes.drop("reasoning_effort", why)
