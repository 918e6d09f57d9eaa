"""Reads messages requests the way the vendor of this dialect does, and refuses what it refuses."""

import re
from collections.abc import Iterator
from typing import Any, Literal
from zlib import crc32

import msgspec
from msgspec import Struct

from provider_services.simulator.ask import Ask, Call, RefusalError, Tool
from provider_services.simulator.counting import message_tokens
from provider_services.simulator.rows import ModelRow, VendorRow
from provider_services.simulator.wire_anthropic_quirks import Habits, Quirks

TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
THOUGHTS = ("thinking", "redacted_thinking")
LEAST_BUDGET = 1024


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """What the vendor reads to the last field: an unknown one is an error."""


class Block(Struct, frozen=True):
    """A piece of a turn; which fields it needs depends on its type."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}
    tool_use_id: str = ""
    content: Any = None
    cache_control: dict[str, Any] | None = None

    def written(self) -> str:
        """Return what counts as text."""
        if self.type == "tool_use":
            return self.name + msgspec.json.encode(self.input).decode()
        if self.type == "tool_result":
            return self.content if isinstance(self.content, str) else msgspec.json.encode(self.content).decode()
        return self.text


class Turn(Strict, frozen=True):
    """One turn of the conversation."""

    role: Literal["user", "assistant"]
    content: str | list[Block]

    @property
    def blocks(self) -> list[Block]:
        """Return the turn's blocks; a plain text is one."""
        return [Block("text", text=self.content)] if isinstance(self.content, str) else self.content

    def of_type(self, kind: str) -> Iterator[Block]:
        """Yield the blocks of one type."""
        return (block for block in self.blocks if block.type == kind)


class ToolSpec(Struct, frozen=True):
    """A tool the model may call; one with a type of its own is the vendor's."""

    name: str
    type: str = "custom"
    input_schema: dict[str, Any] = {}


class ToolChoice(Strict, frozen=True):
    """When tools are to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str = ""
    disable_parallel_tool_use: bool = False


class Thinking(Strict, frozen=True):
    """How the model is to think."""

    type: Literal["enabled", "adaptive", "disabled"]
    budget_tokens: int | None = None
    display: Literal["summarized", "omitted"] | None = None


class Format(Strict, frozen=True):
    """The shape of the answer."""

    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Strict, frozen=True):
    """The shape of the answer, and the effort to spend on it."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class MessagesRequest(Strict, frozen=True):
    """A messages request; what the simulator does not act on is checked and forgotten."""

    model: str
    max_tokens: int
    messages: list[Turn]
    system: str | list[Block] = ""
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = []
    tools: list[ToolSpec] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    metadata: dict[str, Any] | None = None

    @property
    def thinks(self) -> bool:
        """Whether the model was asked to think."""
        return self.thinking is not None and self.thinking.type != "disabled"


_request = msgspec.json.Decoder(MessagesRequest)


def signature(shown: str) -> str:
    """Return what proves that the vendor wrote a thought, as it was shown."""
    return f"EqQB{crc32(shown.encode()):08x}simulated=="


def read_messages(raw: bytes, row: VendorRow, quirks: Quirks) -> Ask:
    """Read a messages request.

    Raises:
        RefusalError: the body is not what the vendor takes, or names a model it does not host.
    """
    try:
        request = _request.decode(raw)
    except msgspec.DecodeError as error:
        raise RefusalError("bad_request", message=str(error)) from error
    model = row.model(request.model)
    if model is None or model.kind != "chat":
        raise RefusalError("unknown_model", model=request.model)
    habits = quirks.of(model)
    _check_sampling(request, habits)
    _check_thinking(request, habits)
    _check_turns(request, signed=model.signed and request.thinking is not None and request.thinking.type == "enabled")
    _check_tools(request, habits)
    return _ask(request, model, habits)


def _ask(request: MessagesRequest, model: ModelRow, habits: Habits) -> Ask:
    last = next((turn for turn in reversed(request.messages) if _is_users(turn)), request.messages[-1])
    wanted = request.output_config.format if request.output_config else None
    return Ask(
        call=Call("chat", model.id, request.stream),
        model=model,
        input_tokens=_counted(request, model),
        last_text="".join(block.text for block in last.blocks),
        from_user=_is_users(request.messages[-1]),
        max_tokens=request.max_tokens,
        stop=tuple(request.stop_sequences),
        tools=tuple(Tool(tool.name, tool.input_schema) for tool in request.tools if tool.type == "custom"),
        tool_choice=_choice(request.tool_choice),
        json_schema=wanted.schema if wanted else None,
        reasons=model.reasoning and (request.thinks or habits.always),
        shows_reasoning=_shows(request.thinking, by_effort=habits.efforts),
        usage_asked=True,
    )


def _counted(request: MessagesRequest, model: ModelRow) -> int:
    tokens = sum(message_tokens(block.written() for block in turn.blocks) for turn in request.messages)
    system = [request.system] if isinstance(request.system, str) else [block.text for block in request.system]
    if any(system):
        tokens += message_tokens(system)
    if tokens > model.context:
        raise RefusalError("context", tokens=tokens, context=model.context)
    return tokens


def _shows(thinking: Thinking | None, *, by_effort: bool) -> bool:
    """Tell whether thoughts are shown; models with efforts hide them unless asked."""
    if thinking is None or thinking.display is None:
        return not by_effort
    return thinking.display == "summarized"


def _refuse(message: str) -> RefusalError:
    return RefusalError("bad_request", message=message)


def _is_users(turn: Turn) -> bool:
    return turn.role == "user" and not any(turn.of_type("tool_result"))


def _choice(choice: ToolChoice | None) -> str:
    if choice is None:
        return "auto"
    return {"any": "required", "tool": choice.name}.get(choice.type, choice.type)


def _check_sampling(request: MessagesRequest, habits: Habits) -> None:
    if request.max_tokens < 1:
        raise _refuse("max_tokens: Input should be greater than or equal to 1")
    if request.temperature is not None and not 0 <= request.temperature <= 1:
        raise _refuse("temperature: range: 0..1")
    for name in ("temperature", "top_k", "top_p"):
        if habits.unsampled and getattr(request, name) is not None:
            raise _refuse(f"`{name}` is deprecated for this model.")
    if habits.one_of_two and request.temperature is not None and request.top_p is not None:
        raise _refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if request.thinks and (request.temperature not in {None, 1} or request.top_k is not None):
        raise _refuse("`temperature` may only be set to 1 and `top_k` must be unset when thinking is enabled.")
    if any(not stop.strip() for stop in request.stop_sequences):
        raise _refuse("stop_sequences: each stop sequence must contain non-whitespace")


def _check_thinking(request: MessagesRequest, habits: Habits) -> None:
    thinking, effort = request.thinking, request.output_config.effort if request.output_config else None
    if effort == "xhigh" and habits.no_xhigh:
        raise _refuse("output_config.effort: 'xhigh' is not supported for this model.")
    if thinking is None:
        return
    refused = {
        "disabled": habits.always,
        "adaptive": not habits.efforts and not habits.either,
        "enabled": habits.efforts,
    }
    if refused[thinking.type]:
        raise _refuse(f'"thinking.type.{thinking.type}" is not supported for this model.')
    if thinking.type == "enabled" and not LEAST_BUDGET <= (thinking.budget_tokens or 0) < request.max_tokens:
        raise _refuse("`max_tokens` must be greater than `thinking.budget_tokens`, which is 1024 at least.")
    if request.thinks and _forced(request):
        raise _refuse("Thinking may not be enabled when tool_choice forces tool use.")


def _forced(request: MessagesRequest) -> bool:
    return request.tool_choice is not None and request.tool_choice.type in {"any", "tool"}


def _check_tools(request: MessagesRequest, habits: Habits) -> None:
    if habits.unforced and _forced(request):
        raise _refuse("tool_choice: this model does not support forced tool use.")
    if request.tool_choice is not None and not request.tools:
        raise _refuse("tool_choice: may only be specified while providing `tools`.")
    for number, tool in enumerate(request.tools):
        if tool.type == "custom" and tool.input_schema.get("type") != "object":
            raise _refuse(f"tools.{number}.custom.input_schema.type: Input should be 'object'")


def _check_turns(request: MessagesRequest, *, signed: bool) -> None:
    if not request.messages:
        raise _refuse("messages: at least one message is required")
    if request.messages[0].role != "user":
        raise _refuse('messages: first message must use the "user" role')
    owed: set[str] = set()
    for number, turn in enumerate(request.messages):
        _check_blocks(turn, f"messages.{number}")
        paid = {block.tool_use_id for block in turn.of_type("tool_result")}
        if owed - paid:
            raise _refuse(f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks after")
        if paid - owed:
            raise _refuse(f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks")
        owed = {block.id for block in turn.of_type("tool_use")}
    if signed:
        _check_loop(request.messages)


def _check_blocks(turn: Turn, place: str) -> None:
    if not turn.blocks:
        raise _refuse(f"{place}: all messages must have non-empty content")
    if any(not block.text.strip() for block in turn.of_type("text")):
        raise _refuse("messages: text content blocks must be non-empty")
    if any(not TOOL_ID.fullmatch(block.id) for block in turn.of_type("tool_use")):
        raise _refuse(f"{place}.content: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if any(block.signature != signature(block.thinking) for block in turn.of_type("thinking")):
        raise _refuse(f"{place}.content: Invalid `signature` in `thinking` block")
    kinds = [block.type for block in turn.blocks]
    if "tool_result" in kinds and kinds != sorted(kinds, key=lambda kind: kind != "tool_result"):
        raise _refuse(f"{place}: `tool_result` blocks must come first")


def _check_loop(turns: list[Turn]) -> None:
    """Refuse to go on from tool calls whose turn does not begin with the thought it was made with."""
    begun = next((at for at in range(len(turns) - 1, -1, -1) if _is_users(turns[at])), -1)
    loop = [turn for turn in turns[begun + 1 :] if turn.role == "assistant"]
    if loop and any(loop[0].of_type("tool_use")) and loop[0].blocks[0].type not in THOUGHTS:
        found = loop[0].blocks[0].type
        place = f"messages.{begun + 1}.content.0.type"
        raise _refuse(f"{place}: Expected `thinking` or `redacted_thinking`, but found `{found}`.")
