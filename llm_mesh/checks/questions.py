"""Reads the ten questions of the bench and judges answers to them; the same answer always gets the same verdict."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from llmmesh.chat.v1 import chat_pb2
from pydantic import Field

from catalog.vendor_rows import Text
from llm_mesh.checks.ask import Reply
from llm_mesh.checks.content import Content
from llm_mesh.cli import options
from meshkit.yaml_file import StrictModel, load

FILE = Path(__file__).with_name("questions.yaml")
Kind = Literal["string", "number"]
KINDS: Mapping[Kind, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


class ToolRow(StrictModel):
    """A tool the model may call."""

    name: Text
    description: Text
    parameters: dict[str, Any]


class ExpectRow(StrictModel):
    """What must hold of an answer; what is not said is not looked at."""

    matches: Text | None = None
    lines: int | None = None
    object: dict[str, Kind] | None = None
    arguments: dict[str, Text] | None = None
    finish: str | None = None
    at_most_tokens: int | None = None


class QuestionRow(StrictModel):
    """One question."""

    ask: Text
    system: str = ""
    max_output_tokens: int = 1024
    stop: list[Text] = Field(default_factory=list)
    tool: ToolRow | None = None
    expect: ExpectRow

    def prompt(self) -> chat_pb2.Prompt:
        """Return it as the mesh wants it."""
        prompt = options.prompt(self.ask, self.system, max_tokens=self.max_output_tokens)
        prompt.sampling.stop.extend(self.stop)
        if self.tool is not None:
            written = json.dumps(self.tool.parameters)
            prompt.tools.add(name=self.tool.name, description=self.tool.description, parameters_json=written)
        return prompt


class QuestionsFile(StrictModel):
    """The whole file."""

    questions: dict[str, QuestionRow]


@cache
def questions() -> Mapping[str, QuestionRow]:
    """Return the questions by name."""
    return load(FILE, QuestionsFile).questions


def wrong(question: QuestionRow, reply: Reply) -> list[str]:
    """Say what is wrong with a reply; nothing when it passes."""
    if reply.error is not None:
        return [reply.sentence]
    return [*reply.faults, *_text(question.expect, reply.content.text.strip()), *_rest(question, reply)]


def _text(expect: ExpectRow, text: str) -> Iterator[str]:
    told = json.dumps(text[:80], ensure_ascii=False)
    if expect.matches is not None and not re.fullmatch(expect.matches, text):
        yield f"{told} is not what was asked for"
    if expect.lines is not None:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) != expect.lines:
            yield f"{len(lines)} lines instead of {expect.lines}"
    if expect.object is not None and not _has_shape(text, expect.object):
        yield f"{told} is no JSON object with just {', '.join(expect.object)}"


def _has_shape(text: str, shape: Mapping[str, Kind]) -> bool:
    found = _parsed(text)
    return found is not None and set(found) == set(shape) and all(KINDS[shape[key]](found[key]) for key in shape)


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _rest(question: QuestionRow, reply: Reply) -> Iterator[str]:
    expect = question.expect
    if question.tool is not None and expect.arguments is not None:
        yield from _call(question.tool.name, expect.arguments, reply.content)
    if expect.finish is not None and reply.finish != expect.finish:
        yield f"it ended with `{reply.finish}` instead of `{expect.finish}`"
    if expect.at_most_tokens is not None and reply.usage.output_tokens > expect.at_most_tokens:
        yield f"{reply.usage.output_tokens} output tokens, more than {expect.at_most_tokens}"


def _call(name: str, arguments: Mapping[str, str], content: Content) -> Iterator[str]:
    calls = list(content.calls.values())
    if [call.name for call in calls] != [name]:
        yield f"{len(calls)} calls instead of one of {name}"
        return
    found = _parsed(calls[0].arguments) or {}
    for key, pattern in arguments.items():
        if not re.fullmatch(pattern, str(found.get(key, ""))):
            yield f"the call's `{key}` is {json.dumps(found.get(key), ensure_ascii=False)}"
