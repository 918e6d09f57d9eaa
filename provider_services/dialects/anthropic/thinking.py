"""Says how long a model should think: by a budget of tokens, or by an effort for models that decide themselves."""

from dataclasses import dataclass, field
from typing import Any

from llmmesh.chat.v1.chat_pb2 import ReasoningEffort, ToolChoice

from provider_services.dialects import room
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes

QUIRKS = frozenset(
    {
        "adaptive_thinking",  # thinks by an effort; a budget is refused
        "thinking_always",  # cannot be told not to think
        "xhigh_is_max",  # knows "max" above "high", and nothing between
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
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 24576, "xhigh": 32768}
LEAST_BUDGET = 1024
# An answer needs a limit on this wire; the smallest one among its models' largest.
ANSWER = 4096


@dataclass(frozen=True, slots=True)
class Thinking:
    """The room of an answer, thinking included, and the fields that ask for thinking."""

    max_tokens: int
    fields: dict[str, Any] = field(default_factory=dict)
    effort: str = ""

    @property
    def on(self) -> bool:
        """Whether the model was asked to think."""
        return bool(self.fields) and self.fields["thinking"]["type"] != "disabled"


def plan(call: Call, turns: list[dict[str, Any]], notes: Notes) -> Thinking:
    """Return what to ask for; `turns` as they will be sent."""
    wanted = EFFORTS.get(call.prompt.reasoning_effort, "")
    limit = room.asked(call, notes)
    if wanted and wanted != "none" and (why := _hindrance(call, turns)):
        notes.drop("reasoning_effort", why)
        wanted = ""
    if not wanted or (wanted == "none" and call.reasons is False):
        return Thinking(limit or call.max_output_tokens or ANSWER)
    if "adaptive_thinking" in call.quirks:
        return _adaptive(call, wanted, limit or call.max_output_tokens or ANSWER + BUDGETS["medium"], notes)
    if wanted == "none":
        return Thinking(limit or call.max_output_tokens or ANSWER)
    return _budgeted(call, wanted, limit, notes)


def _hindrance(call: Call, turns: list[dict[str, Any]]) -> str:
    """Return why the model may not be asked to think; nothing when it may."""
    if call.reasons is False:
        return "this model does not think"
    if "thinking_always" in call.quirks:
        return ""
    if call.prompt.tools and call.prompt.tool_choice.mode in {ToolChoice.MODE_REQUIRED, ToolChoice.MODE_NAMED}:
        return "a model that must call a tool cannot think before"
    if "adaptive_thinking" not in call.quirks and _begun_without_thinking(turns):
        return "the tool calls to go on from were made without thinking, or by another vendor"
    return ""


def _begun_without_thinking(turns: list[dict[str, Any]]) -> bool:
    """Say whether a loop of tool calls is open whose first turn does not begin with thinking."""
    first = None
    for turn in reversed(turns):
        if turn["role"] == "assistant":
            first = turn
            if not any(block["type"] == "tool_use" for block in turn["content"]):
                break
        elif first is not None and any(block["type"] != "tool_result" for block in turn["content"]):
            break
    if first is None or not any(block["type"] == "tool_use" for block in first["content"]):
        return False
    return first["content"][0]["type"] not in {"thinking", "redacted_thinking"}


def _adaptive(call: Call, wanted: str, limit: int, notes: Notes) -> Thinking:
    if wanted == "none":
        if "thinking_always" not in call.quirks:
            return Thinking(limit, {"thinking": {"type": "disabled"}})
        notes.note("clamped", "reasoning_effort", "this model always thinks: none → low")
        wanted = "low"
    elif wanted == "minimal":
        notes.note("clamped", "reasoning_effort", "this model's least is low: minimal → low")
        wanted = "low"
    elif wanted == "xhigh" and "xhigh_is_max" in call.quirks:
        wanted = "max"
    return Thinking(limit, {"thinking": {"type": "adaptive", "display": "summarized"}}, wanted)


def _budgeted(call: Call, wanted: str, limit: int, notes: Notes) -> Thinking:
    if not limit:
        limit = call.max_output_tokens or ANSWER + BUDGETS[wanted]
    if limit <= LEAST_BUDGET:
        notes.drop(
            "reasoning_effort", f"thinking takes {LEAST_BUDGET} tokens at least, and the answer may have {limit}"
        )
        return Thinking(limit)
    budget = min(BUDGETS[wanted], max(LEAST_BUDGET, limit // 2))
    return Thinking(limit, {"thinking": {"type": "enabled", "budget_tokens": budget}})
