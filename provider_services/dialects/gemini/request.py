"""Writes a prompt as a generate-content request."""

from typing import Any
from urllib.parse import quote

from llmmesh.chat.v1.chat_pb2 import Prompt, Role, Sampling, Tool, ToolChoice

from provider_services.dialects import contract, room, schemas, wire
from provider_services.dialects.gemini import contents, thinking
from provider_services.dialects.interface import Call, HttpRequest
from provider_services.dialects.notes import Notes, refuse

QUIRKS = thinking.QUIRKS | frozenset(
    {
        "signatures_required",  # a replayed tool call without its signature is refused
        "json_excludes_tools",  # a JSON answer and tools cannot be asked for together
        "search_excludes_tools",  # the vendor's search and tools cannot be asked for together
        "no_penalties",
        "one_answer",
    }
)
MODES = {
    ToolChoice.MODE_AUTO: "AUTO",
    ToolChoice.MODE_NONE: "NONE",
    ToolChoice.MODE_REQUIRED: "ANY",
    ToolChoice.MODE_NAMED: "ANY",
}
# https://ai.google.dev/api/generate-content#GenerationConfig
MOST_STOPS = 5
MOST_ANSWERS = 8


def encode(call: Call) -> HttpRequest:
    """Write the request of a call; raises MeshError VENDOR_UNSUPPORTED or VENDOR_BAD_REQUEST."""
    contract.check(call.prompt)
    notes = Notes()
    prompt = call.prompt
    body: dict[str, Any] = {"contents": contents.encode(call, notes)}
    if system := _system(prompt, notes):
        body["systemInstruction"] = {"parts": system}
    body.update(_tools(call, notes))
    if config := _generation(call, notes):
        body["generationConfig"] = config
    method = "streamGenerateContent?alt=sse" if call.stream else "generateContent"
    accept = "text/event-stream" if call.stream else "application/json"
    return HttpRequest("POST", f"{path(call.model)}:{method}", wire.encode(body), accept, notes.warnings)


def path(model: str) -> str:
    """Return the path of a model, whose id may come with its collection."""
    return "/models/" + quote(model.removeprefix("models/"), safe="")


def _system(prompt: Prompt, notes: Notes) -> list[dict[str, str]]:
    system: list[dict[str, str]] = []
    spoken = False
    for number, message in enumerate(prompt.messages):
        if message.role != Role.ROLE_SYSTEM:
            spoken = True
            continue
        if spoken:
            notes.note("moved", f"messages[{number}]", "this vendor takes system text before the conversation only")
        system.extend({"text": part.text.text} for part in message.parts if part.text.text)
    return system


def _tools(call: Call, notes: Notes) -> dict[str, Any]:
    prompt = call.prompt
    body: dict[str, Any] = {}
    tools: list[dict[str, Any]] = []
    if prompt.tools:
        declarations = [_declaration(f"tools[{number}]", tool) for number, tool in enumerate(prompt.tools)]
        tools.append({"functionDeclarations": declarations})
        if config := _choice(prompt.tool_choice):
            body["toolConfig"] = {"functionCallingConfig": config}
        if prompt.HasField("parallel_tool_calls") and not prompt.parallel_tool_calls:
            notes.drop("parallel_tool_calls", "this vendor's models may always call several tools at once")
    if prompt.web_search:
        if prompt.tools and "search_excludes_tools" in call.quirks:
            notes.drop("web_search", "this model cannot search the web and call tools in one turn")
        else:
            tools.append({"googleSearch": {}})
    if tools:
        body["tools"] = tools
    return body


def _declaration(field: str, tool: Tool) -> dict[str, Any]:
    declaration: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if parameters := schemas.parameters(tool, field):
        declaration["parametersJsonSchema"] = parameters
    return declaration


def _choice(choice: ToolChoice) -> dict[str, Any]:
    if choice.mode not in MODES:
        return {}
    config: dict[str, Any] = {"mode": MODES[choice.mode]}
    if choice.mode == ToolChoice.MODE_NAMED:
        config["allowedFunctionNames"] = [choice.name]
    return config


def _generation(call: Call, notes: Notes) -> dict[str, Any]:
    config = _sampling(call, notes)
    config.update(_format(call))
    if wanted := thinking.encode(call, notes):
        config["thinkingConfig"] = wanted
    return config


def _sampling(call: Call, notes: Notes) -> dict[str, Any]:
    sampling = call.prompt.sampling
    _refuse(call, sampling)
    config: dict[str, Any] = {}
    for ours, theirs in (
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("top_k", "topK"),
        ("n", "candidateCount"),
        ("seed", "seed"),
        ("frequency_penalty", "frequencyPenalty"),
        ("presence_penalty", "presencePenalty"),
    ):
        if sampling.HasField(ours):  # type: ignore[arg-type]
            config[theirs] = getattr(sampling, ours)
    if limit := room.asked(call, notes):
        config["maxOutputTokens"] = limit
    if sampling.stop:
        config["stopSequences"] = list(sampling.stop)
    if sampling.HasField("top_logprobs"):
        config["responseLogprobs"] = True
        if sampling.top_logprobs:
            config["logprobs"] = sampling.top_logprobs
    _bend(call, config, notes)
    return config


def _refuse(call: Call, sampling: Sampling) -> None:
    most = 1 if "one_answer" in call.quirks else MOST_ANSWERS
    if sampling.n > most:
        raise refuse("sampling.n", f"this model gives at most {most} {'answer' if most == 1 else 'answers'}")
    if len(sampling.stop) > MOST_STOPS:
        raise refuse("sampling.stop", f"this vendor takes at most {MOST_STOPS} stop texts")


def _bend(call: Call, config: dict[str, Any], notes: Notes) -> None:
    if not -(2**31) <= config.get("seed", 0) < 2**31:
        del config["seed"]
        notes.drop("sampling.seed", "this vendor takes seeds of 32 bits")
    if "no_penalties" in call.quirks:
        for theirs, ours in (("frequencyPenalty", "frequency_penalty"), ("presencePenalty", "presence_penalty")):
            if config.pop(theirs, None) is not None:
                notes.drop(f"sampling.{ours}", "this model does not take it")


def _format(call: Call) -> dict[str, Any]:
    wanted = call.prompt.response_format
    kind = wanted.WhichOneof("kind")
    if kind not in {"json_object", "json_schema"}:
        return {}
    if call.prompt.tools and "json_excludes_tools" in call.quirks:
        raise refuse("response_format", "this model cannot answer in JSON and call tools in one turn")
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if kind == "json_schema":
        field = "response_format.json_schema.schema_json"
        config["responseJsonSchema"] = wire.schema(wanted.json_schema.schema_json, field) or {}
    return config
