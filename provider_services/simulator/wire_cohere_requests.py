"""Reads v2 chat and embedding requests the way the vendor of this dialect does, and refuses what it refuses."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar
from zlib import crc32

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.patterns import fits
from provider_services.simulator.rows import ModelRow, VendorRow

MOST_STOPS = 5
MOST_TEXTS = 96
TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_ID = re.compile(r"_([a-z0-9]{6})([0-9a-f]{6})$")
CONTENTS = {
    "system": {"text"},
    "user": {"text", "image_url"},
    "assistant": {"text", "thinking"},
    "tool": {"text", "document"},
}
INPUT_TYPES = {"search_document", "search_query", "classification", "clustering", "image"}


class Strict(Struct, forbid_unknown_fields=True):
    """What the vendor takes no unknown fields in."""


class Block(Strict):
    """A block of content."""

    type: str
    text: str = ""
    thinking: str = ""
    image_url: dict[str, Any] | None = None
    document: Any = None


class CalledFunction(Strict):
    """The function of an earlier call."""

    name: str
    arguments: str


class CalledTool(Strict):
    """An earlier call in the conversation."""

    id: str
    function: CalledFunction
    type: str = "function"


class Message(Strict):
    """One message of the conversation."""

    role: str
    content: str | list[Block] | None = None
    tool_plan: str | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    citations: list[Any] | None = None

    @property
    def blocks(self) -> list[Block]:
        """Return the content as blocks."""
        if isinstance(self.content, str):
            return [Block("text", self.content)] if self.content else []
        return self.content or []

    @property
    def state(self) -> str:
        """Return what the model thought or planned before its calls."""
        return "".join(block.thinking for block in self.blocks) + (self.tool_plan or "")

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        for block in self.blocks:
            yield block.text
        yield self.state
        for call in self.tool_calls or ():
            yield call.function.name + call.function.arguments


class Function(Strict):
    """A function the model may call."""

    name: str
    parameters: dict[str, Any]
    description: str = ""


class ToolSpec(Strict):
    """A tool offered to the model."""

    type: str
    function: Function


class Format(Strict):
    """The response format asked for."""

    type: str
    json_schema: dict[str, Any] | None = None


class Thinking(Strict):
    """How the model should think."""

    type: str
    token_budget: int | None = None


class ChatRequest(Strict):
    """A v2 chat request."""

    model: str
    messages: list[Message]
    stream: bool = False
    tools: list[ToolSpec] | None = None
    tool_choice: str | None = None
    strict_tools: bool | None = None
    response_format: Format | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] = []
    temperature: float | None = None
    p: float | None = None
    k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    documents: list[Any] | None = None
    citation_options: Any = None
    safety_mode: str | None = None


class EmbedRequest(Strict):
    """An embedding request."""

    model: str
    input_type: str = ""
    texts: list[str] = []
    embedding_types: list[str] = []
    truncate: str = "END"
    output_dimension: int | None = None


Request = TypeVar("Request", ChatRequest, EmbedRequest)
_chat = msgspec.json.Decoder(ChatRequest)
_embed = msgspec.json.Decoder(EmbedRequest)


def read_chat(raw: bytes, call: Call, row: VendorRow, unforced: tuple[str, ...]) -> Ask:
    """Read a chat request; `unforced` models know no choice of tools.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_chat, raw)
    model = hosted(row, request.model)
    if model.kind != "chat":
        raise _refuse(f"model '{model.id}' is not supported by the chat API")
    _check_sampling(request)
    _check_tools(request)
    _check_choice(request, model, unforced)
    _check_turns(request.messages, signed=model.signed)
    tokens = sum(message_tokens(message.texts()) for message in request.messages)
    if tokens > model.context:
        raise RefusalError("context", tokens=tokens, context=model.context, model=model.id)
    user = [message for message in request.messages if message.role == "user"]
    formatted = request.response_format is not None and request.response_format.type == "json_object"
    schema = request.response_format.json_schema if request.response_format else None
    return Ask(
        call=Call(call.operation, model.id, request.stream),
        model=model,
        input_tokens=tokens,
        last_text="".join(block.text for block in user[-1].blocks) if user else "",
        from_user=request.messages[-1].role == "user",
        max_tokens=request.max_tokens,
        stop=tuple(request.stop_sequences),
        tools=tuple(Tool(spec.function.name, spec.function.parameters) for spec in request.tools or ()),
        tool_choice=(request.tool_choice or "auto").lower(),
        json_schema=(schema or {}) if formatted else None,
        reasons=model.reasoning and (request.thinking is None or request.thinking.type == "enabled"),
        shows_reasoning=True,
    )


def read_embed(raw: bytes, call: Call, row: VendorRow) -> Ask:
    """Read an embedding request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    request = _decoded(_embed, raw)
    model = hosted(row, request.model)
    if request.input_type not in INPUT_TYPES:
        raise _refuse("valid input_type must be provided with the provided model")
    if not request.embedding_types:
        raise RefusalError("bad_request", message="embedding_types parameter is required")
    if len(request.texts) > MOST_TEXTS:
        raise _refuse(f"total number of texts must be at most {MOST_TEXTS} - received {len(request.texts)}")
    return Ask(
        call=Call(call.operation, model.id),
        model=model,
        input_tokens=sum(message_tokens([text]) for text in request.texts),
        inputs=tuple(request.texts),
        dimensions=request.output_dimension or 0,
    )


def hosted(row: VendorRow, name: str) -> ModelRow:
    """Find the model, or refuse it as unknown."""
    model = row.model(name)
    if model is None:
        raise RefusalError("unknown_model", model=name)
    return model


def seal(chance: str, state: str) -> str:
    """Return the end of a tool call's id, which tells what was thought before the call."""
    return f"{crc32((chance + state).encode()):08x}"[:6]


def _check_sampling(request: ChatRequest) -> None:
    if len(request.stop_sequences) > MOST_STOPS:
        raise _refuse(f"a maximum of {MOST_STOPS} stop sequences is allowed")
    ranges = {"temperature": (0, 1), "p": (0.01, 0.99), "k": (0, 500)}
    ranges |= dict.fromkeys(("frequency_penalty", "presence_penalty"), (0, 1))
    for name, (least, most) in ranges.items():
        value = getattr(request, name)
        if value is not None and not least <= value <= most:
            raise _refuse(f"{name} must be between {least} and {most} inclusive.")
    if request.frequency_penalty is not None and request.presence_penalty is not None:
        raise _refuse("cannot specify both frequency_penalty and presence_penalty.")


def _check_tools(request: ChatRequest) -> None:
    for spec in request.tools or ():
        if not TOOL_NAME.fullmatch(spec.function.name):
            name = spec.function.name
            raise _refuse(
                "tool names can only contain certain characters (A-Za-z0-9_) and can't begin with a digit"
                f" (provided name: '{name}')."
            )
    if request.tool_choice not in {None, "REQUIRED", "NONE"} or (request.tool_choice and not request.tools):
        raise _refuse("tool_choice must be REQUIRED or NONE, and needs tools")
    if request.tools and request.response_format and request.response_format.type == "json_object":
        raise _refuse("response_format is not supported with tools.")


def _check_choice(request: ChatRequest, model: ModelRow, unforced: tuple[str, ...]) -> None:
    if request.tool_choice is not None and fits(unforced, model.id):
        raise _refuse(f"tool_choice is not supported with model '{model.id}'")


def _check_turns(messages: list[Message], *, signed: bool) -> None:
    called: set[str] = set()
    if not messages:
        raise _refuse("messages must not be empty")
    for place, message in enumerate(messages):
        _check_content(place, message)
        if message.role == "tool" and message.tool_call_id not in called:
            raise RefusalError("bad_request", message="tool call id not found in previous tool calls")
        for call in message.tool_calls or ():
            if call.id in called:
                raise RefusalError("bad_request", message="cannot have duplicate tool ids")
            called.add(call.id)
        if signed:
            _check_state(message)


def _check_content(place: int, message: Message) -> None:
    if message.role not in CONTENTS:
        raise _refuse(f"Invalid role in messages at index {place}.")
    if message.role == "system" and place:
        raise RefusalError("bad_request", message="system turn must be the first in the list")
    if any(block.type not in CONTENTS[message.role] for block in message.blocks):
        raise _refuse(f"content of a type that a {message.role} message does not take at index {place}")
    if not message.blocks and not message.tool_calls and message.role != "tool":
        raise RefusalError("bad_request", message="message must not be empty in a turn")


def _check_state(message: Message) -> None:
    """Refuse calls of our own that come back without the very thoughts or plan they were made with."""
    for call in message.tool_calls or ():
        sealed = OWN_ID.search(call.id)
        if sealed and call.id.startswith(call.function.name) and seal(sealed[1], message.state) != sealed[2]:
            raise _refuse(f"the plan of tool call {call.id} must come back with it, unchanged")


def _refuse(message: str) -> RefusalError:
    return RefusalError("bad_request", message=f"invalid request: {message}")


def _decoded(decoder: msgspec.json.Decoder[Request], raw: bytes) -> Request:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refuse(str(error)) from error
    except msgspec.DecodeError as error:
        raise RefusalError("bad_request", message=f"invalid json syntax: {error}") from error
