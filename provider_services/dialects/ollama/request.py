"""Writes a prompt for the local model server."""

from typing import Any

from llmmesh.chat.v1.chat_pb2 import Image, Message, Part, Prompt, ReasoningEffort, Role, ToolChoice

from provider_services.dialects import contract, estimate, images, room, schemas, wire
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import Notes, refuse

QUIRKS = frozenset({"think_levels"})  # the model thinks little, more or much, not just or not at all
PATH = "/api/chat"
ROLES = {Role.ROLE_SYSTEM: "system", Role.ROLE_USER: "user", Role.ROLE_ASSISTANT: "assistant"}
LEVELS = {
    ReasoningEffort.REASONING_EFFORT_MINIMAL: "low",
    ReasoningEffort.REASONING_EFFORT_LOW: "low",
    ReasoningEffort.REASONING_EFFORT_MEDIUM: "medium",
    ReasoningEffort.REASONING_EFFORT_HIGH: "high",
    ReasoningEffort.REASONING_EFFORT_EXTRA_HIGH: "high",
}
# The server truncates longer prompts without a word, and loads the model anew when its room changes: so the room is
# always said, in steps that double.
LEAST_CONTEXT = 4096
ROOM_TO_ANSWER = 2048
MOST_TO_ANSWER = 131072
# What the server's image readers know: https://docs.ollama.com/capabilities/vision
LOOKED_AT = frozenset({"image/jpeg", "image/png", "image/webp"})


def encode(call: Call) -> HttpRequest:
    """Write the request of a call; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    contract.check(call.prompt)
    notes = Notes()
    prompt = call.prompt
    body: dict[str, Any] = {"model": call.model, "messages": _messages(call, notes), "stream": call.stream}
    body["options"] = _options(call, notes)
    body.update(_tools(prompt, notes))
    body.update(_format(prompt))
    body.update(_think(call, notes))
    body.update(_logprobs(prompt))
    if prompt.web_search:
        notes.drop("web_search", "a local model does not search the web")
    accept = "application/x-ndjson" if call.stream else "application/json"
    return HttpRequest("POST", call.paths.get("chat", PATH), wire.encode(body), accept, notes.warnings)


def _options(call: Call, notes: Notes) -> dict[str, Any]:
    sampling = call.prompt.sampling
    if sampling.n > 1:
        raise refuse("sampling.n", "this server gives one answer")
    options: dict[str, Any] = {"num_ctx": _context(call)}
    for ours, theirs in (
        ("temperature", "temperature"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("seed", "seed"),
        ("frequency_penalty", "frequency_penalty"),
        ("presence_penalty", "presence_penalty"),
    ):
        if sampling.HasField(ours):  # type: ignore[arg-type]
            options[theirs] = getattr(sampling, ours)
    if limit := room.asked(call, notes):
        options["num_predict"] = limit
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    return options


def _context(call: Call) -> int:
    answer = min(call.prompt.sampling.max_output_tokens or ROOM_TO_ANSWER, MOST_TO_ANSWER)
    needed = estimate.prompt_tokens(call.prompt) + answer
    context = LEAST_CONTEXT
    while context < needed:
        context *= 2
    return min(context, call.context_window) if call.context_window else context


def _tools(prompt: Prompt, notes: Notes) -> dict[str, Any]:
    if not prompt.tools or prompt.tool_choice.mode == ToolChoice.MODE_NONE:
        return {}
    if prompt.tool_choice.mode in {ToolChoice.MODE_REQUIRED, ToolChoice.MODE_NAMED}:
        raise refuse("tool_choice", "this server lets the model decide")
    if prompt.HasField("parallel_tool_calls") and not prompt.parallel_tool_calls:
        notes.drop("parallel_tool_calls", "this server's models may always call several tools at once")
    tools = []
    for number, tool in enumerate(prompt.tools):
        function: dict[str, Any] = {"name": tool.name, "description": tool.description}
        parameters = schemas.parameters(tool, f"tools[{number}]", untaken=schemas.UNIONS)
        function["parameters"] = parameters or schemas.NO_PARAMETERS
        tools.append({"type": "function", "function": function})
    return {"tools": tools}


def _format(prompt: Prompt) -> dict[str, Any]:
    kind = prompt.response_format.WhichOneof("kind")
    if kind not in {"json_object", "json_schema"}:
        return {}
    if prompt.tools and prompt.tool_choice.mode != ToolChoice.MODE_NONE:
        raise refuse("response_format", "a model here that must answer in JSON can call no tools")
    if kind == "json_object":
        return {"format": "json"}
    wanted = prompt.response_format.json_schema
    return {"format": wire.schema(wanted.schema_json, "response_format.json_schema.schema_json") or {}}


def _think(call: Call, notes: Notes) -> dict[str, Any]:
    effort = call.prompt.reasoning_effort
    if effort == ReasoningEffort.REASONING_EFFORT_NONE:
        if "think_levels" not in call.quirks:
            return {"think": False} if call.reasons is not False else {}
        notes.note("clamped", "reasoning_effort", "this model always thinks: none → low")
        return {"think": "low"}
    level = LEVELS.get(effort)
    if level is None:
        return {}
    if call.reasons is False:
        notes.drop("reasoning_effort", "this model does not think")
        return {}
    return {"think": level if "think_levels" in call.quirks else True}


def _logprobs(prompt: Prompt) -> dict[str, Any]:
    if not prompt.sampling.HasField("top_logprobs"):
        return {}
    top = prompt.sampling.top_logprobs
    return {"logprobs": True} | ({"top_logprobs": top} if top else {})


def _messages(call: Call, notes: Notes) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for number, message in enumerate(call.prompt.messages):
        field = f"messages[{number}]"
        if message.name:
            notes.drop(f"{field}.name", "this server takes no names")
        encoded.extend(_result(part, names) for part in message.parts if part.HasField("tool_result"))
        if message.role != Role.ROLE_TOOL and not _only_results(message):
            encoded.append(_turn(call, message, names, field, notes))
    if not any(turn.get(kind) for turn in encoded for kind in ("content", "images", "thinking", "tool_calls")):
        raise refuse("messages", "nothing is said in them, and the server would only load the model")
    return encoded


def _only_results(message: Message) -> bool:
    return bool(message.parts) and all(part.HasField("tool_result") for part in message.parts)


def _result(part: Part, names: dict[str, str]) -> dict[str, Any]:
    result = part.tool_result
    return {
        "role": "tool",
        "tool_name": result.name or names.get(result.tool_call_id, result.tool_call_id),
        "content": result.text,
    }


def _turn(call: Call, message: Message, names: dict[str, str], field: str, notes: Notes) -> dict[str, Any]:
    said = "\n" if message.role in {Role.ROLE_USER, Role.ROLE_SYSTEM} else ""
    texts = [part.text.text or part.refusal.text for part in message.parts]
    encoded: dict[str, Any] = {"role": ROLES.get(message.role, "user"), "content": said.join(filter(None, texts))}
    thoughts: list[str] = []
    for number, part in enumerate(message.parts):
        place = f"{field}.parts[{number}]"
        foreign = part.HasField("provider_data") and part.provider_data.vendor != call.vendor
        notes.own_state(part, call.vendor, place)
        if part.HasField("reasoning") and not foreign:
            thoughts.append(part.reasoning.text)
        elif part.HasField("tool_call"):
            names[part.tool_call.id] = part.tool_call.name
            function = {"name": part.tool_call.name, "arguments": notes.arguments(part.tool_call, place)}
            encoded.setdefault("tool_calls", []).append({"function": function})
        elif part.HasField("image"):
            encoded.setdefault("images", []).append(_image(part.image, place))
    if thoughts:
        encoded["thinking"] = "".join(thoughts)
    return encoded


def _image(image: Image, field: str) -> str:
    if (held := images.inline(image, field, LOOKED_AT)) is not None:
        return held[1]
    raise refuse(f"{field}.image.uri", "this server fetches no links; send the image's bytes")
