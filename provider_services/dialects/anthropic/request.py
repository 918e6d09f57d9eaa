"""Writes a prompt as a messages request."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Prompt, Tool, ToolChoice

from provider_services.dialects import contract, schemas, wire
from provider_services.dialects.anthropic import thinking
from provider_services.dialects.anthropic.thinking import Thinking
from provider_services.dialects.anthropic.turns import Conversation
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import Notes, refuse

PATH = "/messages"
QUIRKS = thinking.QUIRKS | frozenset(
    {
        "no_sampling",  # temperature, top_p and top_k are refused
        "temperature_or_top_p",  # both together are refused
        "no_forced_tools",
        "no_strict_tools",
        "no_json_schema",
        "no_web_search",
    }
)
CHOICES = {ToolChoice.MODE_AUTO: "auto", ToolChoice.MODE_NONE: "none", ToolChoice.MODE_REQUIRED: "any"}
FORCED = frozenset({ToolChoice.MODE_REQUIRED, ToolChoice.MODE_NAMED})
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
UNTAKEN = ("seed", "frequency_penalty", "presence_penalty", "top_logprobs")
# Beside thinking the vendor takes top_p from here on, and no temperature.
LEAST_TOP_P = 0.95
NOT_AT_ROOT = ("anyOf", "oneOf", "allOf")


def encode(call: Call) -> HttpRequest:
    """Write the request of a call; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    contract.check(call.prompt)
    notes = Notes()
    conversation = Conversation(call, notes)
    conversation.write()
    planned = thinking.plan(call, conversation.turns, notes)
    body: dict[str, Any] = {"model": call.model, "max_tokens": planned.max_tokens}
    if conversation.system:
        body["system"] = conversation.system
    body["messages"] = conversation.turns
    body.update(_sampling(call, planned, notes))
    body.update(_tools(call, notes))
    body.update(planned.fields)
    if config := _output(call, planned, notes):
        body["output_config"] = config
    if call.stream:
        body["stream"] = True
    accept = "text/event-stream" if call.stream else "application/json"
    return HttpRequest("POST", call.paths.get("chat", PATH), wire.encode(body), accept, notes.warnings)


def _sampling(call: Call, planned: Thinking, notes: Notes) -> dict[str, Any]:
    sampling = call.prompt.sampling
    if sampling.n > 1:
        raise refuse("sampling.n", "this vendor gives one answer")
    for name in UNTAKEN:
        if sampling.HasField(name):  # type: ignore[arg-type]
            notes.drop(f"sampling.{name}", "this vendor does not take it")
    names = ("temperature", "top_p", "top_k")
    body = {name: getattr(sampling, name) for name in names if sampling.HasField(name)}  # type: ignore[arg-type]
    for name, why in _unwanted(call, planned, body):
        del body[name]
        notes.drop(f"sampling.{name}", why)
    if body.get("temperature", 0) > 1:
        body["temperature"] = 1
        notes.note("clamped", "sampling.temperature", "this vendor takes at most 1")
    if sampling.stop:
        body["stop_sequences"] = _stops(sampling.stop)
    return body


def _unwanted(call: Call, planned: Thinking, body: dict[str, Any]) -> list[tuple[str, str]]:
    if "no_sampling" in call.quirks:
        return [(name, "this model does not take it") for name in body]
    unwanted = {}
    if planned.on:
        unwanted = {name: "a model that thinks does not take it" for name in body if name != "top_p"}
        if body.get("top_p", 1) < LEAST_TOP_P:
            unwanted["top_p"] = f"a model that thinks takes {LEAST_TOP_P} or more"
    elif "temperature_or_top_p" in call.quirks and "temperature" in body and "top_p" in body:
        unwanted["top_p"] = "this model does not take it beside a temperature"
    return list(unwanted.items())


def _stops(stops: Any) -> list[str]:
    for number, stop in enumerate(stops):
        if not stop.strip():
            raise refuse(f"sampling.stop[{number}]", "this vendor takes no stop text of white space alone")
    return list(stops)


def _tools(call: Call, notes: Notes) -> dict[str, Any]:
    prompt = call.prompt
    tools: list[dict[str, Any]] = [_tool(call, f"tools[{number}]", tool) for number, tool in enumerate(prompt.tools)]
    if prompt.web_search:
        if "no_web_search" in call.quirks or any(tool["name"] == SEARCH["name"] for tool in tools):
            notes.drop("web_search", "this model does not search, or has a tool of that name")
        else:
            tools.append(SEARCH)
    if not tools:
        return {}
    choice = _choice(call, prompt) if prompt.tools else {}
    return {"tools": tools} | ({"tool_choice": choice} if choice else {})


def _choice(call: Call, prompt: Prompt) -> dict[str, Any]:
    mode = prompt.tool_choice.mode
    if mode in FORCED and "no_forced_tools" in call.quirks:
        raise refuse("tool_choice", "this model decides by itself whether to call a tool")
    choice: dict[str, Any] = {}
    if mode == ToolChoice.MODE_NAMED:
        choice = {"type": "tool", "name": prompt.tool_choice.name}
    elif mode in CHOICES:
        choice = {"type": CHOICES[mode]}
    if prompt.HasField("parallel_tool_calls") and not prompt.parallel_tool_calls and mode != ToolChoice.MODE_NONE:
        choice = {"type": "auto"} | choice | {"disable_parallel_tool_use": True}
    return choice


def _tool(call: Call, field: str, tool: Tool) -> dict[str, Any]:
    written: dict[str, Any] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = schemas.parameters(tool, field, untaken=NOT_AT_ROOT) or schemas.NO_PARAMETERS
    if tool.strict and "no_strict_tools" not in call.quirks:
        written["strict"] = True
    return written


def _output(call: Call, planned: Thinking, notes: Notes) -> dict[str, Any]:
    config: dict[str, Any] = {"effort": planned.effort} if planned.effort else {}
    wanted = call.prompt.response_format
    kind = wanted.WhichOneof("kind")
    if kind == "json_object":
        raise refuse("response_format.json_object", "this vendor writes JSON by a schema only")
    if kind == "json_schema":
        if "no_json_schema" in call.quirks:
            raise refuse("response_format.json_schema", "this model takes no schema")
        if wanted.json_schema.description:
            notes.drop("response_format.json_schema.description", "this vendor takes the schema alone")
        schema = wire.schema(wanted.json_schema.schema_json, "response_format.json_schema.schema_json")
        config["format"] = {"type": "json_schema", "schema": schema or {}}
    return config
