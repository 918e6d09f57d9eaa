"""Refuses a request that cannot be right, naming the field and what is allowed; nothing is held or sent for it."""

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from catalog import bounds
from meshkit.errors import FieldViolation, MeshError, Reason
from meshkit.nesting import DEEPEST_SCHEMA, depth

REQUEST_ID = re.compile(r"[\x21-\x7e]{1,100}")
TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_MESSAGES = 10_000
MAX_TOOLS = 512
MAX_STOPS = 64
MAX_VIOLATIONS = 20
MAX_TEXTS = 2_048
MAX_DIMENSIONS = 65_536
SPEAKERS = {
    chat_pb2.ROLE_SYSTEM: {"text"},
    chat_pb2.ROLE_USER: {"text", "image"},
    chat_pb2.ROLE_ASSISTANT: {"text", "reasoning", "tool_call", "refusal", "image"},
    chat_pb2.ROLE_TOOL: {"tool_result"},
}
WRITERS = {role for role, kinds in SPEAKERS.items() if "text" in kinds}
Violations = Iterator[FieldViolation]


def check(request_id: str, prompt: chat_pb2.Prompt, others: Iterable[FieldViolation] = ()) -> None:
    """Raise INVALID_REQUEST with every violation found, twenty at most; return when there is none.

    Args:
        request_id: the caller's own id of the request.
        prompt: what the model would see.
        others: violations found elsewhere in the request.
    """
    checks: tuple[Callable[[chat_pb2.Prompt], Violations], ...] = (_messages, _tools, _choice, _sampling, _format)
    violations = [*_request_id(request_id), *others]
    for each in checks:
        violations.extend(each(prompt))
    _refuse(violations)


def check_texts(request: router_pb2.EmbedRequest) -> None:
    """Do the same for texts to be embedded."""
    empty = () if request.texts else (FieldViolation("texts", "must not be empty"),)
    kinds = chat_pb2.InputKind
    unknown = f"unknown value {request.input_kind}; known: {', '.join(kinds.keys())}"
    kind = () if request.input_kind in kinds.values() else (FieldViolation("input_kind", unknown),)
    _refuse([*_request_id(request.request_id), *empty, *_texts(request), *kind])


def check_explained(request: router_pb2.ExplainRouteRequest | router_pb2.CountTokensRequest) -> None:
    """Do the same for what is to be explained or counted; it may be empty."""
    both = request.texts and request.prompt.messages
    _refuse([*([FieldViolation("texts", "must be empty when there is a prompt")] if both else ()), *_texts(request)])


def _refuse(violations: list[FieldViolation]) -> None:
    if violations:
        first = violations[0]
        raise MeshError(
            Reason.INVALID_REQUEST, f"{first.field}: {first.description}", fields=violations[:MAX_VIOLATIONS]
        )


def _request_id(request_id: str) -> Violations:
    if request_id and not REQUEST_ID.fullmatch(request_id):
        yield FieldViolation("request_id", "must be 1 to 100 printable ASCII characters without spaces")


def _texts(
    request: router_pb2.EmbedRequest | router_pb2.ExplainRouteRequest | router_pb2.CountTokensRequest,
) -> Violations:
    if len(request.texts) > MAX_TEXTS:
        yield FieldViolation("texts", f"must be at most {MAX_TEXTS}")
        return
    for number, text in enumerate(request.texts):
        if not text:
            yield FieldViolation(f"texts[{number}]", "must not be empty")
    if isinstance(request, router_pb2.CountTokensRequest):
        return  # how long vectors are does not change how many tokens a text is
    if request.HasField("dimensions") and not 1 <= request.dimensions <= MAX_DIMENSIONS:
        yield FieldViolation("dimensions", f"must be from 1 to {MAX_DIMENSIONS}")


def _messages(prompt: chat_pb2.Prompt) -> Violations:
    if not prompt.messages:
        yield FieldViolation("prompt.messages", "must not be empty")
    elif len(prompt.messages) > MAX_MESSAGES:
        yield FieldViolation("prompt.messages", f"must be at most {MAX_MESSAGES}")
        return
    elif all(message.role == chat_pb2.ROLE_SYSTEM for message in prompt.messages):
        yield FieldViolation("prompt.messages", "must hold a message that is not from the operator")
    for number, message in enumerate(prompt.messages):
        if not _is_plain(message):
            yield from _message(f"prompt.messages[{number}]", message)


def _is_plain(message: chat_pb2.Message) -> bool:
    """Tell whether a message is one text of somebody who may send it, as nearly all are."""
    parts = message.parts
    return len(parts) == 1 and parts[0].HasField("text") and message.role in WRITERS


def _message(path: str, message: chat_pb2.Message) -> Violations:
    allowed = SPEAKERS.get(message.role)
    if allowed is None:
        yield FieldViolation(f"{path}.role", "must be system, user, assistant or tool")
        return
    if not message.parts and message.role != chat_pb2.ROLE_ASSISTANT:
        yield FieldViolation(f"{path}.parts", "must not be empty")
    for number, part in enumerate(message.parts):
        kind = part.WhichOneof("kind")
        if kind not in allowed:
            named = ", ".join(sorted(allowed))
            yield FieldViolation(f"{path}.parts[{number}]", f"must be one of {named} in a message of this role")
        elif kind == "tool_result" and not part.tool_result.tool_call_id:
            yield FieldViolation(f"{path}.parts[{number}].tool_result.tool_call_id", "must name the call answered")
        elif kind == "image":
            yield from _image(f"{path}.parts[{number}].image", part.image)


def _image(path: str, image: chat_pb2.Image) -> Violations:
    source = image.WhichOneof("source")
    if source is None:
        yield FieldViolation(path, "must hold data or uri")
    elif source == "data" and not image.mime_type.startswith("image/"):
        yield FieldViolation(f"{path}.mime_type", "must be an image type such as image/png")
    elif source == "uri" and not image.uri.startswith(("https://", "http://")):
        yield FieldViolation(f"{path}.uri", "must be an http or https link; send bytes as data")


def _tools(prompt: chat_pb2.Prompt) -> Violations:
    if len(prompt.tools) > MAX_TOOLS:
        yield FieldViolation("prompt.tools", f"must be at most {MAX_TOOLS}")
        return
    names = [tool.name for tool in prompt.tools]
    for number, name in enumerate(names):
        if not TOOL_NAME.fullmatch(name):
            described = "must be 1 to 64 letters, digits, underscores and hyphens"
            yield FieldViolation(f"prompt.tools[{number}].name", described)
        elif name in names[:number]:
            yield FieldViolation(f"prompt.tools[{number}].name", "must be unique")
    for number, tool in enumerate(prompt.tools):
        if tool.parameters_json:
            yield from _schema(f"prompt.tools[{number}].parameters_json", tool.parameters_json)


def _choice(prompt: chat_pb2.Prompt) -> Violations:
    names = {tool.name for tool in prompt.tools}
    choice = prompt.tool_choice
    if choice.mode == chat_pb2.ToolChoice.MODE_NAMED and choice.name not in names:
        yield FieldViolation("prompt.tool_choice.name", "must be the name of a tool of this prompt")
    if choice.mode == chat_pb2.ToolChoice.MODE_REQUIRED and not names:
        yield FieldViolation("prompt.tool_choice", "requires a tool, but the prompt has none")


def _sampling(prompt: chat_pb2.Prompt) -> Violations:
    sampling = prompt.sampling
    for field, figure in sampling.ListFields():
        within = bounds.SAMPLING.get(field.name)
        if within and not within[0] <= figure <= within[1]:
            yield FieldViolation(f"prompt.sampling.{field.name}", f"must be from {within[0]:g} to {within[1]:g}")
    if len(sampling.stop) > MAX_STOPS:
        yield FieldViolation("prompt.sampling.stop", f"must be at most {MAX_STOPS} texts")
    elif any(not text for text in sampling.stop):
        yield FieldViolation("prompt.sampling.stop", "must not hold an empty text")


def _format(prompt: chat_pb2.Prompt) -> Violations:
    if prompt.response_format.WhichOneof("kind") == "json_schema":
        schema = prompt.response_format.json_schema.schema_json
        yield from _schema("prompt.response_format.json_schema.schema_json", schema)


def _schema(path: str, text: str) -> Violations:
    try:
        schema = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict):
        yield FieldViolation(path, "must be a JSON Schema object, as JSON text")
    elif depth(schema) > DEEPEST_SCHEMA:
        yield FieldViolation(path, f"must not be nested deeper than {DEEPEST_SCHEMA} levels")
