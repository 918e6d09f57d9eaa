"""Writes tools and what is to be done with them; a named tool is the only one offered, and must be called."""

from collections.abc import Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Prompt, Tool, ToolChoice

from provider_services.dialects import schemas, wire
from provider_services.dialects.cohere import tool_names
from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes, refuse

QUIRKS = frozenset(
    {
        "no_forced_tools",  # older models let nobody force or forbid a call
        "no_strict_tools",  # the model cannot promise arguments that match their schema
    }
)
FORCED = frozenset({ToolChoice.MODE_REQUIRED, ToolChoice.MODE_NAMED})
CHOICES = {**dict.fromkeys(FORCED, "REQUIRED"), ToolChoice.MODE_NONE: "NONE"}


def offered(prompt: Prompt) -> bool:
    """Say whether the model may call tools."""
    return bool(prompt.tools) and prompt.tool_choice.mode != ToolChoice.MODE_NONE


def encode(call: Call, notes: Notes) -> dict[str, Any]:
    """Return the fields about tools; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    prompt = call.prompt
    if not offered(prompt) and not _forbidden(call):
        return {}
    if prompt.HasField("parallel_tool_calls") and not prompt.parallel_tool_calls:
        notes.drop("parallel_tool_calls", "this vendor's models may always call several tools at once")
    names = tool_names.theirs(prompt)
    kept = [(number, tool) for number, tool in enumerate(prompt.tools) if _kept(tool, prompt.tool_choice)]
    body: dict[str, Any] = {"tools": [_tool(f"tools[{number}]", tool, names[tool.name]) for number, tool in kept]}
    if choice := _choice(call):
        body["tool_choice"] = choice
    if _strict(call, kept, notes):
        body["strict_tools"] = True
    return body


def _forbidden(call: Call) -> bool:
    """Say whether tools are told of and forbidden; a JSON answer takes none, and some models cannot be forbidden."""
    formatted = call.prompt.response_format.WhichOneof("kind") in {"json_object", "json_schema"}
    return bool(call.prompt.tools) and not formatted and "no_forced_tools" not in call.quirks


def _choice(call: Call) -> str:
    mode = call.prompt.tool_choice.mode
    if mode in FORCED and "no_forced_tools" in call.quirks:
        raise refuse("tool_choice", "this model cannot be made to call a tool")
    return CHOICES.get(mode, "")


def _kept(tool: Tool, choice: ToolChoice) -> bool:
    return choice.mode != ToolChoice.MODE_NAMED or tool.name == choice.name


def _tool(field: str, tool: Tool, name: str) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = schemas.parameters(tool, field) or schemas.NO_PARAMETERS
    return {"type": "function", "function": function}


def _strict(call: Call, kept: list[tuple[int, Tool]], notes: Notes) -> bool:
    """Say whether arguments must match: the vendor promises it for all tools or for none, and needs required ones."""
    wanted = [(number, tool) for number, tool in kept if tool.strict]
    if not wanted:
        return False
    if "no_strict_tools" in call.quirks:
        why = "this model cannot promise it"
    elif len(wanted) < len(kept) or not all(_requires(tool) for _, tool in wanted):
        why = "this vendor promises it when all tools ask for it and each has a required argument"
    else:
        return True
    for number, _ in wanted:
        notes.drop(f"tools[{number}].strict", why)
    return False


def _requires(tool: Tool) -> bool:
    schema = wire.try_decode(tool.parameters_json)
    return isinstance(schema, Mapping) and bool(schema.get("required"))
