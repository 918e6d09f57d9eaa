"""Reads `functions`, as tools were called before they were tools, and answers those who use them in their own form.

An answer of that form has room for one call, which has no id: the mesh asks for one call at a time, and makes up ids.
"""

from collections.abc import Iterable

from llmmesh.chat.v1 import chat_pb2

from meshkit.errors import invalid
from router_service.edge import state
from router_service.edge.fields import Fields
from router_service.edge.openai_tools import MOST_TOOLS, read_function
from router_service.edge.shapes.replies import Choice

LEFT_OUT = "an answer to `functions` has room for one call; the others were left out: send `tools`"
WARNING = chat_pb2.Warning(code="dropped", field="function_call", message=LEFT_OUT)
MODES = {"auto": chat_pb2.ToolChoice.MODE_AUTO, "none": chat_pb2.ToolChoice.MODE_NONE}


def read_functions(body: Fields, prompt: chat_pb2.Prompt) -> bool:
    """Put functions and the choice among them into a prompt; False when a request has neither.

    Raises:
        MeshError: INVALID_REQUEST naming the field.
    """
    choice = body.raw("function_call")
    if body.raw("functions") is None and choice is None:
        return False
    for newer in ("tools", "tool_choice"):
        body.refuse(newer, "must not stand beside `functions` and `function_call`, which it took the place of")
    prompt.tools.extend(read_function(row) for row in body.objects("functions", MOST_TOOLS))
    if body.flag("parallel_tool_calls"):
        body.drop("parallel_tool_calls", LEFT_OUT)
    if prompt.tools:
        prompt.parallel_tool_calls = False
    if choice is not None:
        _choose(body, prompt)
    return True


def _choose(body: Fields, prompt: chat_pb2.Prompt) -> None:
    if not prompt.tools:
        raise invalid("function_call", "must not be set without functions")
    if isinstance(body.raw("function_call"), str):
        mode = body.word("function_call", MODES)
        prompt.tool_choice.mode = mode or chat_pb2.ToolChoice.MODE_AUTO
        return
    named = body.object("function_call")
    name = named.name("name") if named else ""
    if name not in [tool.name for tool in prompt.tools]:
        raise invalid("function_call.name", "must be the name of one of the functions")
    prompt.tool_choice.mode = chat_pb2.ToolChoice.MODE_NAMED
    prompt.tool_choice.name = name


def read_call(row: Fields, names: dict[str, str]) -> chat_pb2.Part | None:
    """Return the call in a past message of the model, under the id its vendor gave it, else one made up."""
    call = row.object("function_call")
    if call is None:
        return None
    name = call.name("name")
    if not name:
        raise invalid(call.at("name"), "is required")
    call_id = _given_id(row) or f"call_{len(names)}"
    names[call_id] = name
    arguments = call.text("arguments") or "{}"
    return chat_pb2.Part(tool_call=chat_pb2.ToolCall(id=call_id, name=name, arguments_json=arguments))


def read_result(row: Fields, names: dict[str, str]) -> chat_pb2.Message:
    """Return a function's result as that of the last call of its name."""
    name = row.name("name")
    call_id = next((known for known in reversed(names) if names[known] == name), None)
    if call_id is None:
        raise invalid(row.at("name"), "must be the name of a function that a `function_call` before it calls")
    result = chat_pb2.ToolResult(tool_call_id=call_id, name=name, text=row.text("content") or "")
    return chat_pb2.Message(role=chat_pb2.ROLE_TOOL, parts=[chat_pb2.Part(tool_result=result)])


def rewrite(choices: Iterable[Choice]) -> bool:
    """Put whole answers into the older form; tell whether calls were left out."""
    most = 0
    for choice in choices:
        message = choice["message"]
        calls = message.pop("tool_calls", [])
        if calls:
            message["function_call"] = calls[0]["function"]
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "function_call"
        most = max(most, len(calls))
    return most > 1


def _given_id(row: Fields) -> str:
    packed = row.text(state.FIELD)
    parts = state.unpack(packed, row.at(state.FIELD)) if packed else []
    return next((part.tool_call.id for part in parts if part.HasField("tool_call")), "")
