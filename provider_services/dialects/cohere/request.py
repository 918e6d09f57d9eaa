"""Writes a prompt as a v2 chat request."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Prompt, ReasoningEffort

from provider_services.dialects import contract, wire
from provider_services.dialects.cohere import messages, sampling, tools
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import Notes, refuse

QUIRKS = tools.QUIRKS
PATH = "/v2/chat"
# This wire knows a budget of tokens, not levels; the highest levels are the vendor's own, which has none.
BUDGETS = {
    ReasoningEffort.REASONING_EFFORT_MINIMAL: 512,
    ReasoningEffort.REASONING_EFFORT_LOW: 2048,
    ReasoningEffort.REASONING_EFFORT_MEDIUM: 8192,
    ReasoningEffort.REASONING_EFFORT_HIGH: 0,
    ReasoningEffort.REASONING_EFFORT_EXTRA_HIGH: 0,
}


def encode(call: Call) -> HttpRequest:
    """Write the request of a call; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    contract.check(call.prompt)
    notes = Notes()
    prompt = call.prompt
    body: dict[str, Any] = {"model": call.model, "messages": messages.encode(call, notes), "stream": call.stream}
    body.update(sampling.encode(call, notes))
    body.update(tools.encode(call, notes))
    body.update(_format(prompt, notes))
    body.update(_thinking(call, notes))
    if prompt.web_search:
        notes.drop("web_search", "this vendor does not search the web")
    accept = "text/event-stream" if call.stream else "application/json"
    return HttpRequest("POST", call.paths.get("chat", PATH), wire.encode(body), accept, notes.warnings)


def _format(prompt: Prompt, notes: Notes) -> dict[str, Any]:
    wanted = prompt.response_format
    kind = wanted.WhichOneof("kind")
    if kind not in {"json_object", "json_schema"}:
        return {}
    if tools.offered(prompt):
        raise refuse("response_format", "this vendor cannot answer in JSON and call tools in one turn")
    encoded: dict[str, Any] = {"type": "json_object"}
    if kind == "json_schema":
        if wanted.json_schema.description:
            notes.drop("response_format.json_schema.description", "this vendor takes the schema alone")
        field = "response_format.json_schema.schema_json"
        if schema := wire.schema(wanted.json_schema.schema_json, field):
            encoded["json_schema"] = schema
    return {"response_format": encoded}


def _thinking(call: Call, notes: Notes) -> dict[str, Any]:
    effort = call.prompt.reasoning_effort
    if effort == ReasoningEffort.REASONING_EFFORT_NONE:
        return {} if call.reasons is False else {"thinking": {"type": "disabled"}}
    budget = BUDGETS.get(effort)
    if budget is None:
        return {}
    if call.reasons is False:
        notes.drop("reasoning_effort", "this model does not think")
        return {}
    thinking: dict[str, Any] = {"type": "enabled"}
    if budget:
        # The answer's limit counts thoughts too: a quarter of it is kept for the answer itself.
        limit = call.prompt.sampling.max_output_tokens
        thinking["token_budget"] = max(1, min(budget, limit * 3 // 4)) if limit else budget
    return {"thinking": thinking}
