"""Writes a prompt as a request for a response; the vendor's quirks then bend it to what the vendor takes.

Nothing is left at the vendor: each request carries the whole conversation, and says that it shall not be stored.
"""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Prompt, ReasoningEffort, ResponseFormat, Sampling, Tool, ToolChoice

from provider_services.dialects import contract, room, schemas, wire
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import SPEAK_OF_JSON, Notes, refuse
from provider_services.dialects.responses import items, quirks, state

PATH = "/responses"
EFFORTS = {
    ReasoningEffort.REASONING_EFFORT_NONE: "none",
    ReasoningEffort.REASONING_EFFORT_MINIMAL: "minimal",
    ReasoningEffort.REASONING_EFFORT_LOW: "low",
    ReasoningEffort.REASONING_EFFORT_MEDIUM: "medium",
    ReasoningEffort.REASONING_EFFORT_HIGH: "high",
    ReasoningEffort.REASONING_EFFORT_EXTRA_HIGH: "xhigh",
}
CHOICES = {ToolChoice.MODE_AUTO: "auto", ToolChoice.MODE_NONE: "none", ToolChoice.MODE_REQUIRED: "required"}


def encode(call: Call) -> HttpRequest:
    """Write the request of a call; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    contract.check(call.prompt)
    notes = Notes()
    prompt = call.prompt
    written = items.encode(call, notes)
    if not written:
        raise refuse("messages", "nothing is said in them")
    body: dict[str, Any] = {"model": call.model, "input": written}
    body.update(_sampling(call, notes))
    body.update(_tools(prompt))
    body.update(_format(prompt.response_format))
    if prompt.response_format.HasField("json_object") and b"json" not in wire.encode(written).lower():
        written.insert(0, {"type": "message", "role": "system", "content": SPEAK_OF_JSON})
        notes.speak_of_json()
    effort = EFFORTS.get(prompt.reasoning_effort)
    if effort:
        body["reasoning"] = {"effort": effort}
    if included := _included(call, effort):
        body["include"] = included
    body["store"] = False
    if call.stream:
        body["stream"] = True
    quirks.bend(quirks.Draft(call, body, notes))
    accept = "text/event-stream" if call.stream else "application/json"
    return HttpRequest("POST", call.paths.get("chat", PATH), wire.encode(body), accept, notes.warnings)


def _included(call: Call, effort: str | None) -> list[str]:
    """Ask for reasoning that can go back where the model is known or told to think: others refuse the question."""
    included = []
    thinks = call.reasons or (call.reasons is None and effort not in {None, "none"})
    if thinks and state.PLAIN not in call.quirks:
        included.append(quirks.ENCRYPTED)
    if call.prompt.sampling.HasField("top_logprobs"):
        included.append("message.output_text.logprobs")
    return included


def _sampling(call: Call, notes: Notes) -> dict[str, Any]:
    sampling = call.prompt.sampling
    _refuse(sampling)
    taken = ["temperature", "top_p", "top_logprobs"]
    left_out = ["top_k", "seed"]
    (taken if "takes_penalties" in call.quirks else left_out).extend(("frequency_penalty", "presence_penalty"))
    for name in left_out:
        if sampling.HasField(name):  # type: ignore[arg-type]
            notes.drop(f"sampling.{name}", "this wire has no such field")
    body = {name: getattr(sampling, name) for name in taken if sampling.HasField(name)}  # type: ignore[arg-type]
    if limit := room.asked(call, notes):
        body["max_output_tokens"] = limit
    return body


def _refuse(sampling: Sampling) -> None:
    if sampling.n > 1:
        raise refuse("sampling.n", "this vendor gives one answer")
    if sampling.stop:
        raise refuse("sampling.stop", "this wire takes no stop texts")


def _tools(prompt: Prompt) -> dict[str, Any]:
    tools = [_tool(f"tools[{number}]", tool) for number, tool in enumerate(prompt.tools)]
    if prompt.web_search:
        tools.append({"type": "web_search"})
    body: dict[str, Any] = {"tools": tools} if tools else {}
    if not prompt.tools:
        return body
    mode = prompt.tool_choice.mode
    if mode == ToolChoice.MODE_NAMED:
        body["tool_choice"] = {"type": "function", "name": prompt.tool_choice.name}
    elif mode in CHOICES:
        body["tool_choice"] = CHOICES[mode]
    if prompt.HasField("parallel_tool_calls"):
        body["parallel_tool_calls"] = prompt.parallel_tool_calls
    return body


def _tool(field: str, tool: Tool) -> dict[str, Any]:
    """Write a tool; strictness is always said, because this wire rewrites a schema when nothing is."""
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = schemas.parameters(tool, field, untaken=schemas.UNIONS) or schemas.NO_PARAMETERS
    written["strict"] = tool.strict
    return written


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    kind = wanted.WhichOneof("kind")
    if kind == "json_object":
        return {"text": {"format": {"type": "json_object"}}}
    if kind != "json_schema":
        return {}
    written: dict[str, Any] = {"type": "json_schema", "name": wanted.json_schema.name or "answer"}
    if wanted.json_schema.description:
        written["description"] = wanted.json_schema.description
    field = "response_format.json_schema.schema_json"
    written["schema"] = wire.schema(wanted.json_schema.schema_json, field) or {}
    if wanted.json_schema.HasField("strict"):
        written["strict"] = wanted.json_schema.strict
    return {"text": {"format": written}}
