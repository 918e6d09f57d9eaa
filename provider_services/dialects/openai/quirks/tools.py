"""Bends which tools are offered, and how the model is made to call one."""

from typing import Any

from provider_services.dialects.notes import refuse
from provider_services.dialects.openai.quirks.draft import Draft


def forced(draft: Draft) -> bool:
    """Say whether the model must call a tool."""
    return draft.body.get("tool_choice", "auto") not in ("auto", "none")


def no_parallel_tool_calls(draft: Draft) -> None:
    """Leave the wish for one call at a time out."""
    draft.drop("parallel_tool_calls", "parallel_tool_calls")


def no_strict_tools(draft: Draft) -> None:
    """Leave out that arguments must match their schema exactly."""
    for tool in draft.body.get("tools", ()):
        tool["function"].pop("strict", None)


def no_forced_tools(draft: Draft) -> None:
    """Refuse to force a tool call."""
    if forced(draft):
        raise refuse("tool_choice", "this vendor lets the model decide")


def no_tool_choice(draft: Draft) -> None:
    """Refuse to force a tool call; tools that must not be called are not told of, and nothing is said of the choice."""
    no_forced_tools(draft)
    if draft.body.pop("tool_choice", "auto") == "none":
        del draft.body["tools"]
        draft.body.pop("parallel_tool_calls", None)


def no_required_tools(draft: Draft) -> None:
    """Name the only tool instead of requiring any, which means the same; refuse that of several."""
    if draft.body.get("tool_choice") != "required":
        return
    first, *more = draft.body["tools"]
    if more:
        raise refuse("tool_choice", "this vendor forces a call of a named tool only")
    draft.body["tool_choice"] = {"type": "function", "function": {"name": first["function"]["name"]}}


def no_named_tools(draft: Draft) -> None:
    """Offer the named tool only and require a call, which means the same."""
    choice = draft.body.get("tool_choice")
    if isinstance(choice, dict):
        draft.body["tools"] = [tool for tool in draft.body["tools"] if _name(tool) == _name(choice)]
        draft.body["tool_choice"] = "required"


def required_is_any(draft: Draft) -> None:
    """Spell a forced call otherwise."""
    if draft.body.get("tool_choice") == "required":
        draft.body["tool_choice"] = "any"


def _name(function: dict[str, Any]) -> Any:
    return function["function"]["name"]
