"""Writes a prompt as a chat-completions request; the vendor's quirks then bend it to what the vendor takes."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import ReasoningEffort, ResponseFormat, Tool, ToolChoice

from provider_services.dialects import contract, room, schemas, wire
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import Notes
from provider_services.dialects.openai import messages, quirks

PATH = "/chat/completions"
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
    body: dict[str, Any] = {"model": call.model, "messages": messages.encode(call, notes)}
    body.update(_sampling(call, notes))
    body.update(_tools(call))
    body.update(_format(prompt.response_format))
    if effort := EFFORTS.get(prompt.reasoning_effort):
        body["reasoning_effort"] = effort
    if call.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    quirks.bend(quirks.Draft(call, body, notes))
    if prompt.web_search and "web_search_options" not in body:
        notes.drop("web_search", "this vendor's chat models search the web only by themselves, or not at all")
    accept = "text/event-stream" if call.stream else "application/json"
    return HttpRequest("POST", call.paths.get("chat", PATH), wire.encode(body), accept, notes.warnings)


def _sampling(call: Call, notes: Notes) -> dict[str, Any]:
    sampling = call.prompt.sampling
    body: dict[str, Any] = {}
    for ours, theirs in (
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("seed", "seed"),
        ("frequency_penalty", "frequency_penalty"),
        ("presence_penalty", "presence_penalty"),
        ("n", "n"),
    ):
        if sampling.HasField(ours):  # type: ignore[arg-type]
            body[theirs] = getattr(sampling, ours)
    if limit := room.asked(call, notes):
        body["max_tokens"] = limit
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.HasField("top_logprobs"):
        body["logprobs"] = True
        if sampling.top_logprobs:
            body["top_logprobs"] = sampling.top_logprobs
    return body


def _tools(call: Call) -> dict[str, Any]:
    prompt = call.prompt
    if not prompt.tools:
        return {}
    tools = [_tool(call, f"tools[{number}]", tool) for number, tool in enumerate(prompt.tools)]
    body: dict[str, Any] = {"tools": tools}
    mode = prompt.tool_choice.mode
    if mode == ToolChoice.MODE_NAMED:
        body["tool_choice"] = {"type": "function", "function": {"name": prompt.tool_choice.name}}
    elif mode in CHOICES:
        body["tool_choice"] = CHOICES[mode]
    if prompt.HasField("parallel_tool_calls"):
        body["parallel_tool_calls"] = prompt.parallel_tool_calls
    return body


def _tool(call: Call, field: str, tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    untaken = schemas.UNIONS if "object_schemas" in call.quirks else ()
    if parameters := schemas.parameters(tool, field, untaken=untaken):
        function["parameters"] = parameters
    if tool.HasField("strict"):
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    kind = wanted.WhichOneof("kind")
    if kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    if kind != "json_schema":
        return {}
    schema: dict[str, Any] = {"name": wanted.json_schema.name or "answer"}
    if wanted.json_schema.description:
        schema["description"] = wanted.json_schema.description
    schema["schema"] = wire.schema(wanted.json_schema.schema_json, "response_format.json_schema.schema_json") or {}
    if wanted.json_schema.HasField("strict"):
        schema["strict"] = wanted.json_schema.strict
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
