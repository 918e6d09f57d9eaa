"""Says how long a generate-content model should think: as a level, or as a budget of tokens for older ones."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import ReasoningEffort

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes

QUIRKS = frozenset(
    {
        "thinking_budget",  # thinks by a budget of tokens, not by a level
        "thinking_always",  # cannot be told not to think
    }
)
EFFORTS = {
    ReasoningEffort.REASONING_EFFORT_NONE: "none",
    ReasoningEffort.REASONING_EFFORT_MINIMAL: "minimal",
    ReasoningEffort.REASONING_EFFORT_LOW: "low",
    ReasoningEffort.REASONING_EFFORT_MEDIUM: "medium",
    ReasoningEffort.REASONING_EFFORT_HIGH: "high",
    ReasoningEffort.REASONING_EFFORT_EXTRA_HIGH: "xhigh",
}
BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576}
LEAST_BUDGET = 128


def encode(call: Call, notes: Notes) -> dict[str, Any]:
    """Return the thinking configuration; empty when the vendor's default is wanted."""
    effort = EFFORTS.get(call.prompt.reasoning_effort)
    if effort is None:
        return {}
    if call.reasons is False:
        if effort != "none":
            notes.drop("reasoning_effort", "this model does not think")
        return {}
    if effort == "none" and "thinking_always" in call.quirks:
        notes.note("clamped", "reasoning_effort", "this model always thinks: none → as little as possible")
        effort = "minimal"
        if "thinking_budget" in call.quirks:
            return {"thinkingBudget": LEAST_BUDGET, "includeThoughts": True}
    if "thinking_budget" in call.quirks:
        return {"thinkingBudget": BUDGETS[effort], "includeThoughts": effort != "none"}
    if effort == "none":
        notes.note("clamped", "reasoning_effort", "this model's least is minimal: none → minimal")
        effort = "minimal"
    return {"thinkingLevel": effort.upper(), "includeThoughts": True}
