"""Refuses a prompt that breaks its own contract: no vendor would take it, so no dialect has to think of it."""

import re
from collections.abc import Iterator, Sequence

from llmmesh.chat.v1.chat_pb2 import Message, Prompt, ResponseFormat, Role, Sampling, Tool, ToolChoice

from catalog import bounds
from meshkit.errors import FieldViolation, MeshError, Reason

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
NAMED = "must be 1 to 64 letters, digits, underscores and hyphens"
KINDS = {
    Role.ROLE_SYSTEM: frozenset({"text"}),
    Role.ROLE_USER: frozenset({"text", "image", "tool_result"}),
    Role.ROLE_ASSISTANT: frozenset({"text", "reasoning", "tool_call", "refusal", "image"}),
    Role.ROLE_TOOL: frozenset({"tool_result"}),
}
WRITERS = frozenset(KINDS) - {Role.ROLE_TOOL}
Violations = Iterator[FieldViolation]


def check(prompt: Prompt) -> None:
    """Raise MeshError VENDOR_BAD_REQUEST with every violation; return when there is none."""
    violations = [
        *_messages(prompt.messages),
        *_tools(prompt.tools),
        *_choice(prompt),
        *_format(prompt.response_format),
        *_sampling(prompt.sampling),
    ]
    if violations:
        first = violations[0]
        raise MeshError(Reason.VENDOR_BAD_REQUEST, f"{first.field}: {first.description}", fields=violations)


def _messages(messages: Sequence[Message]) -> Violations:
    if not messages:
        yield FieldViolation("messages", "must not be empty")
    called: set[str] = set()
    for number, message in enumerate(messages):
        parts = message.parts
        if len(parts) == 1 and parts[0].HasField("text") and message.role in WRITERS:
            continue  # one text of somebody who may send it, as nearly all messages are
        yield from _message(message, f"messages[{number}]", called)


def _message(message: Message, field: str, called: set[str]) -> Violations:
    kinds = KINDS.get(message.role)
    if kinds is None:
        yield FieldViolation(f"{field}.role", "must be system, user, assistant or tool")
        return
    if not message.parts and message.role != Role.ROLE_ASSISTANT:
        yield FieldViolation(f"{field}.parts", "must not be empty")
    for number, part in enumerate(message.parts):
        place, kind = f"{field}.parts[{number}]", part.WhichOneof("kind")
        if kind not in kinds:
            yield FieldViolation(
                f"{place}.{kind or 'kind'}", f"a turn of this role holds only {', '.join(sorted(kinds))}"
            )
        elif kind == "tool_call":
            called.add(part.tool_call.id)
        elif kind == "tool_result" and part.tool_result.tool_call_id not in called:
            yield FieldViolation(f"{place}.tool_result.tool_call_id", "must be the id of a call before it")
        elif kind == "image" and part.image.WhichOneof("source") is None:
            yield FieldViolation(f"{place}.image", "must hold data or uri")


def _tools(tools: Sequence[Tool]) -> Violations:
    seen: set[str] = set()
    for number, tool in enumerate(tools):
        if not NAME.fullmatch(tool.name):
            yield FieldViolation(f"tools[{number}].name", NAMED)
        elif tool.name in seen:
            yield FieldViolation(f"tools[{number}].name", "must be unique")
        seen.add(tool.name)


def _choice(prompt: Prompt) -> Violations:
    choice = prompt.tool_choice
    if choice.mode == ToolChoice.MODE_NAMED and all(tool.name != choice.name for tool in prompt.tools):
        yield FieldViolation("tool_choice.name", "must be the name of a tool of this prompt")
    elif choice.mode == ToolChoice.MODE_REQUIRED and not prompt.tools:
        yield FieldViolation("tool_choice", "requires a tool, and the prompt has none")


def _format(wanted: ResponseFormat) -> Violations:
    if wanted.json_schema.name and not NAME.fullmatch(wanted.json_schema.name):
        yield FieldViolation("response_format.json_schema.name", NAMED)


def _sampling(sampling: Sampling) -> Violations:
    for known, figure in sampling.ListFields():
        within = bounds.SAMPLING.get(known.name)
        if within and not within[0] <= figure <= within[1]:
            yield FieldViolation(f"sampling.{known.name}", f"must be from {within[0]:g} to {within[1]:g}")
    for number, stop in enumerate(sampling.stop):
        if not stop:
            yield FieldViolation(f"sampling.stop[{number}]", "must not be empty")
