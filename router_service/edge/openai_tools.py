"""Reads the tools of a chat-completions request, which of them must be called, and the shape of the answer."""

import json
import re
from collections.abc import Mapping

from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import invalid
from meshkit.nesting import DEEPEST_SCHEMA, depth
from router_service.edge.fields import Fields

MOST_TOOLS = 512
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
CHOICES: "Mapping[str, chat_pb2.ToolChoice.Mode.ValueType]" = {
    "auto": chat_pb2.ToolChoice.MODE_AUTO,
    "none": chat_pb2.ToolChoice.MODE_NONE,
    "required": chat_pb2.ToolChoice.MODE_REQUIRED,
}


def read_tools(body: Fields, prompt: chat_pb2.Prompt) -> None:
    """Put tools, the tool choice and the parallel-calls switch into a prompt."""
    prompt.tools.extend(_tool(row) for row in body.objects("tools", MOST_TOOLS))
    _choose(body, prompt)
    parallel = body.flag("parallel_tool_calls")
    if parallel is not None:
        prompt.parallel_tool_calls = parallel


def read_response_format(body: Fields) -> chat_pb2.ResponseFormat | None:
    """Return the shape the answer must have; None when nothing is said."""
    fields = body.object("response_format")
    if fields is None:
        return None
    match fields.text("type"):
        case "text":
            return chat_pb2.ResponseFormat(text=chat_pb2.ResponseFormat.PlainText())
        case "json_object":
            return chat_pb2.ResponseFormat(json_object=chat_pb2.ResponseFormat.JsonObject())
        case "json_schema":
            return chat_pb2.ResponseFormat(json_schema=_json_schema(fields))
    raise invalid(fields.at("type"), "must be one of text, json_object, json_schema")


def _json_schema(fields: Fields) -> chat_pb2.ResponseFormat.JsonSchema:
    inner = fields.object("json_schema")
    if inner is None:
        raise invalid(fields.at("json_schema"), "is required with type json_schema")
    return chat_pb2.ResponseFormat.JsonSchema(
        name=_name(inner),
        description=inner.text("description") or "",
        schema_json=_schema(inner, "schema"),
        strict=inner.flag("strict"),
    )


def _tool(row: Fields) -> chat_pb2.Tool:
    if row.text("type") != "function":
        raise invalid(row.at("type"), "must be function; other kinds of tools are not supported")
    function = row.object("function")
    if function is None:
        raise invalid(row.at("function"), "is required")
    return read_function(function)


def read_function(function: Fields) -> chat_pb2.Tool:
    """Return a function as a tool."""
    return chat_pb2.Tool(
        name=_name(function),
        description=function.text("description") or "",
        parameters_json=_schema(function, "parameters"),
        strict=function.flag("strict"),
    )


def _choose(body: Fields, prompt: chat_pb2.Prompt) -> None:
    value = body.raw("tool_choice")
    if value is None:
        return
    if isinstance(value, str):
        _by_word(value, prompt)
        return
    choice = body.object("tool_choice")
    kind = choice.text("type") if choice else None
    if choice and kind == "function":
        _by_name(choice, prompt)
    elif choice and kind == "allowed_tools":
        _by_list(choice, prompt)
    else:
        raise invalid("tool_choice.type", "must be function or allowed_tools")


def _by_word(word: str, prompt: chat_pb2.Prompt) -> None:
    if word not in CHOICES:
        raise invalid("tool_choice", f"must be one of {', '.join(CHOICES)}, or an object")
    if word == "required" and not prompt.tools:
        raise invalid("tool_choice", "must not be required without tools")
    if prompt.tools:
        prompt.tool_choice.mode = CHOICES[word]


def _by_name(choice: Fields, prompt: chat_pb2.Prompt) -> None:
    path = choice.at("function.name")
    name = _named(choice)
    if name not in [tool.name for tool in prompt.tools]:
        raise invalid(path, "must be the name of one of the tools")
    prompt.tool_choice.mode = chat_pb2.ToolChoice.MODE_NAMED
    prompt.tool_choice.name = name


def _by_list(choice: Fields, prompt: chat_pb2.Prompt) -> None:
    """Keep only the tools on the list: to a model that is the same as forbidding the others."""
    allowed = choice.object("allowed_tools")
    if allowed is None:
        raise invalid(choice.at("allowed_tools"), "is required with type allowed_tools")
    mode = allowed.word("mode", CHOICES)
    rows = allowed.objects("tools", MOST_TOOLS)
    for row in rows:
        row.ignore("type")
    names = {_named(row) for row in rows}
    kept = [tool for tool in prompt.tools if tool.name in names]
    if not names or len(kept) < len(names):
        raise invalid(allowed.at("tools"), "must be a list of names of the tools")
    del prompt.tools[:]
    prompt.tools.extend(kept)
    prompt.tool_choice.mode = mode or chat_pb2.ToolChoice.MODE_AUTO


def _named(fields: Fields) -> str:
    function = fields.object("function")
    return function.name("name") if function else ""


def _name(fields: Fields) -> str:
    name = fields.text("name") or ""
    if not NAME.fullmatch(name):
        raise invalid(fields.at("name"), "must be 1 to 64 letters, digits, underscores and hyphens")
    return name


def _schema(fields: Fields, key: str) -> str:
    """Return a schema as JSON text, its properties in the caller's order; empty when absent."""
    schema = fields.mapping(key)
    if schema is None:
        return ""
    if depth(schema) > DEEPEST_SCHEMA:
        raise invalid(fields.at(key), f"must not be nested deeper than {DEEPEST_SCHEMA} levels")
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
