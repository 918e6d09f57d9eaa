"""docs/http.md says of every parameter OpenAI documents what becomes of it, and that is what does."""

import json
import re
import typing
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import completion_create_params

from meshkit.errors import MeshError
from router_service.edge.openai_request import DROPPED, MEANINGLESS, ChatRequest, read_chat

TEXT = (Path(__file__).parents[3] / "docs/http.md").read_text(encoding="utf-8")
SECTION = TEXT.partition("\n## Parameters\n")[2].partition("\n## ")[0]
TABLE = dict(re.findall(r"^\| `(\w+)` \| (carried|notice|silent|refused) \|", SECTION, re.MULTILINE))
TOOLS = [{"type": "function", "function": {"name": "add"}}]
# A value that says something of each that is carried, and what must stand beside it.
SAYING: dict[str, dict[str, Any]] = {
    "messages": {"messages": [{"role": "user", "content": "something else"}]},
    "model": {"model": "gpt-4o"},
    "temperature": {"temperature": 1.0},
    "top_p": {"top_p": 0.5},
    "max_tokens": {"max_tokens": 7},
    "max_completion_tokens": {"max_completion_tokens": 7},
    "stop": {"stop": ["x"]},
    "seed": {"seed": 7},
    "frequency_penalty": {"frequency_penalty": 1.0},
    "presence_penalty": {"presence_penalty": 1.0},
    "n": {"n": 2},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "response_format": {"response_format": {"type": "json_object"}},
    "tools": {"tools": TOOLS},
    "tool_choice": {"tools": TOOLS, "tool_choice": "required"},
    "parallel_tool_calls": {"tools": TOOLS, "parallel_tool_calls": False},
    "functions": {"functions": [{"name": "add"}]},
    "function_call": {"functions": [{"name": "add"}], "function_call": {"name": "add"}},
    "reasoning_effort": {"reasoning_effort": "high"},
    "web_search_options": {"web_search_options": {}},
    "stream": {"stream": True},
    "stream_options": {"stream_options": {"include_usage": True}},
    "top_k": {"top_k": 4},
}
# Says nothing but what is so anyway.
MODALITIES = {"modalities": ["text"]}


def read(**fields: Any) -> ChatRequest:
    return read_chat(json.dumps({"messages": [{"role": "user", "content": "hi"}], **fields}).encode(), {}, "r1")


def asked(request: ChatRequest) -> tuple[Any, ...]:
    """Return everything a request asks for."""
    return (
        request.intent.SerializeToString(deterministic=True),
        request.prompt.SerializeToString(deterministic=True),
        request.stream,
        request.include_usage,
    )


def named(becomes: str) -> list[str]:
    return [name for name, word in TABLE.items() if word == becomes]


def test_the_table_has_every_parameter_of_the_official_client_and_our_own_lists() -> None:
    documented = set(typing.get_type_hints(completion_create_params.CompletionCreateParamsBase)) | {"stream"}
    assert set(TABLE) == documented | {"top_k"}
    assert (set(named("notice")), set(named("silent"))) == (set(DROPPED), set(MEANINGLESS))


@pytest.mark.parametrize("name", [name for name in named("carried") if name != "modalities"])
def test_what_is_carried_changes_what_is_asked_and_is_no_warning(name: str) -> None:
    said = SAYING[name]
    without = {key: value for key, value in said.items() if key != name}
    assert asked(read(**said)) != asked(read(**without))
    assert read(**said).warnings == ()


@pytest.mark.parametrize("name", named("notice"))
def test_what_is_a_notice_changes_nothing_and_is_named(name: str) -> None:
    request = read(**{name: "x"})
    assert asked(request) == asked(read())
    assert [warning.field for warning in request.warnings] == [name]


@pytest.mark.parametrize("name", named("silent"))
def test_what_is_silent_changes_nothing_and_is_not_named(name: str) -> None:
    request = read(**{name: "x"})
    assert (asked(request), request.warnings) == (asked(read()), ())


def test_sound_is_refused_because_nobody_speaks_unless_text_alone_is_asked_for() -> None:
    assert named("refused") == ["audio"]
    for said in ({"audio": {"voice": "alloy"}}, {"modalities": ["text", "audio"]}):
        with pytest.raises(MeshError, match="no vendor here speaks") as refused:
            read(**said)
        assert refused.value.fields[0].field == next(iter(said))
    assert (asked(read(**MODALITIES)), read(**MODALITIES).warnings) == (asked(read()), ())
    assert [warning.field for warning in read(**MODALITIES, audio={"voice": "alloy"}).warnings] == ["audio"]
