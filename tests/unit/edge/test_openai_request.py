"""What a chat-completions request means, and what is said about one that means nothing."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError
from router_service.edge.openai_request import ChatRequest, read_chat

HELLO = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("add", "sub")]


def read(headers: dict[str, str] | None = None, **fields: Any) -> ChatRequest:
    return read_chat(json.dumps({"messages": HELLO} | fields).encode(), headers or {}, "r1")


def refused(headers: dict[str, str] | None = None, **fields: Any) -> str:
    with pytest.raises(MeshError) as caught:
        read(headers, **fields)
    assert caught.value.code == "INVALID_ARGUMENT"
    return caught.value.fields[0].field


def dropped(request: ChatRequest) -> list[str]:
    return [warning.field for warning in request.warnings]


def test_every_promised_field_together_is_accepted_and_nulls_are_ignored() -> None:
    request = read(
        provider="mistral",
        model="mistral-large-latest",
        temperature=0.7,
        stream=False,
        max_tokens=1024,
        system_message="You are a French assistant.",
        stop=["\n\n", "End:"],
        top_p=1.0,
        frequency_penalty=0.0,
        presence_penalty=0.0,
        response_format={"type": "text"},
        reasoning_effort=None,
        tools=None,
        tool_choice=None,
        stream_options=None,
        n=None,
        user="u",
        metadata={"a": "b"},
        store=True,
        anything_new=None,
    )
    assert request.warnings == ()
    assert request.intent.model == "mistral/mistral-large-latest"
    assert [message.role for message in request.prompt.messages] == [chat_pb2.ROLE_SYSTEM, chat_pb2.ROLE_USER]
    sampling = request.prompt.sampling
    assert list(sampling.stop) == ["\n\n", "End:"]
    assert (sampling.max_output_tokens, sampling.temperature, sampling.top_p) == (1024, 0.7, 1.0)
    assert sampling.HasField("presence_penalty")
    assert not sampling.HasField("n")
    assert request.prompt.reasoning_effort == chat_pb2.REASONING_EFFORT_UNSPECIFIED
    assert request.prompt.response_format.HasField("text")
    assert (request.stream, request.include_usage) == (False, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"model": "auto"}, {}),
        ({"model": ""}, {}),
        ({"model": "gpt-4o"}, {"model": "gpt-4o"}),
        ({"model": "groq/openai/gpt-oss-120b"}, {"model": "groq/openai/gpt-oss-120b"}),
        ({"provider": "openai", "model": "gpt-4o"}, {"model": "openai/gpt-4o"}),
        ({"provider": "openai", "model": "openai/gpt-4o"}, {"model": "openai/gpt-4o"}),
        ({"provider": "groq"}, {"model": "groq"}),
        ({"provider": "groq", "model": "auto"}, {"model": "groq"}),
        ({"provider": "auto", "model": "gpt-4o"}, {"model": "gpt-4o"}),
        ({"model": "gpt-4o", "fallback": True}, {"preferred_model": "gpt-4o"}),
        ({"model": "use_case:code_generation"}, {"use_case": "code_generation"}),
        ({"model": "use_case:code_generation/economy"}, {"use_case": "code_generation", "tier": "TIER_ECONOMY"}),
        ({"model": "code_generation/economy"}, {"use_case": "code_generation", "tier": "TIER_ECONOMY"}),
        ({"model": "acme/economy/2"}, {"model": "acme/economy/2"}),
        ({"model": "/economy"}, {"model": "/economy"}),
    ],
)
def test_a_model_name_pins_a_model_or_names_a_use_case(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read(**fields).intent == router_pb2.Intent(**expected)


def test_the_extension_object_fills_the_whole_intent_and_wins_over_headers() -> None:
    headers = {
        "x-llm-mesh-use-case": "analysis",
        "x-llm-mesh-tier": "free",
        "x-llm-mesh-stream-guarantee": "fast",
    }
    extension = {
        "tier": "premium",
        "requirements": ["vision"],
        "data_policy": "no_training",
        "stream_guarantee": "whole",
        "max_cost_usd": 0.1,
        "conversation_id": "c1",
        "strict": True,
        "preferred_model": "sonnet",
        "allow_vendors": ["acme"],
        "deny_vendors": ["evil"],
        "shiny": 1,
    }
    request = read(headers, llm_mesh=extension)
    assert request.intent == router_pb2.Intent(
        use_case="analysis",
        tier=router_pb2.TIER_PREMIUM,
        requirements=["vision"],
        data_policy=router_pb2.DATA_POLICY_NO_TRAINING,
        stream_guarantee=router_pb2.STREAM_GUARANTEE_WHOLE,
        max_cost_nanos=100_000_000,
        conversation_id="c1",
        strict=True,
        preferred_model="sonnet",
        allow_vendors=["acme"],
        deny_vendors=["evil"],
    )
    assert dropped(request) == ["llm_mesh.shiny"]


def test_what_is_unknown_or_without_equivalent_is_ignored_and_named() -> None:
    request = read(
        messages=[{"role": "user", "content": [{"type": "text", "text": "hi", "mood": "good"}]}],
        frobnicate=1,
        logit_bias={"50256": -100},
        verbosity="low",
        web_search_options={"search_context_size": "low"},
        max_tokens=10,
        max_completion_tokens=20,
    )
    assert sorted(dropped(request)) == [
        "frobnicate",
        "logit_bias",
        "max_tokens",
        "messages[0].content[0].mood",
        "verbosity",
        "web_search_options.search_context_size",
    ]
    assert request.prompt.web_search
    assert request.prompt.sampling.max_output_tokens == 20


@pytest.mark.parametrize(
    ("word", "effort"),
    [
        ("auto", chat_pb2.REASONING_EFFORT_AUTO),
        ("none", chat_pb2.REASONING_EFFORT_NONE),
        ("minimal", chat_pb2.REASONING_EFFORT_MINIMAL),
        ("high", chat_pb2.REASONING_EFFORT_HIGH),
        ("xhigh", chat_pb2.REASONING_EFFORT_EXTRA_HIGH),
        (None, chat_pb2.REASONING_EFFORT_UNSPECIFIED),
    ],
)
def test_reasoning_effort_is_a_word_and_null_says_nothing(word: str | None, effort: Any) -> None:
    assert read(reasoning_effort=word).prompt.reasoning_effort == effort


def test_roles_become_turns_and_an_assistant_turn_keeps_reasoning_words_and_calls_in_order() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages = [
        {"role": "developer", "content": "be brief", "name": "ops"},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "So:", "reasoning_content": "hm", "tool_calls": [call], "audio": None},
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": [], "tool_calls": [call]},
    ]
    system, user, calling, result, refusing, silent, wordless = read(messages=messages).prompt.messages
    assert (system.role, system.name) == (chat_pb2.ROLE_SYSTEM, "ops")
    assert user.parts[0].WhichOneof("kind") == "text"
    assert [part.WhichOneof("kind") for part in calling.parts] == ["reasoning", "text", "tool_call"]
    assert result.parts[0].tool_result == chat_pb2.ToolResult(tool_call_id="c1", name="add", text="42")
    assert refusing.parts[0].refusal.text == "no"
    assert list(silent.parts) == []
    assert [part.WhichOneof("kind") for part in wordless.parts] == ["tool_call"]


def test_a_list_of_allowed_tools_leaves_only_those() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "sub"}}]}
    prompt = read(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}).prompt
    assert [tool.name for tool in prompt.tools] == ["sub"]
    assert prompt.tool_choice.mode == chat_pb2.ToolChoice.MODE_REQUIRED


def test_a_named_tool_must_be_called() -> None:
    prompt = read(tools=TOOLS, tool_choice={"type": "function", "function": {"name": "add"}}).prompt
    assert (prompt.tool_choice.mode, prompt.tool_choice.name) == (chat_pb2.ToolChoice.MODE_NAMED, "add")


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def tool(parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "deep", "parameters": parameters}}


def test_the_deepest_schema_allowed_still_travels() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "deep", "schema": nested(28)}}
    request = read(tools=[tool(nested(28))], response_format=schema)
    data = request.streamed().SerializeToString()
    assert router_pb2.StreamGenerateRequest.FromString(data).prompt == request.prompt


def test_a_schema_keeps_its_order_and_its_numbers() -> None:
    written = '{"z":{"b":1.5,"a":"é"},"y":100000000000000000000,"x":[null,true]}'
    schema = json.loads(written)
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    prompt = read(tools=[tool(schema)], response_format=form).prompt
    assert prompt.tools[0].parameters_json == written
    assert prompt.response_format.json_schema.schema_json == written


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hi"}, "messages"),
    ({"messages": ["hi"]}, "messages[0]"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "critic", "content": "hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "tool", "content": "4"}]}, "messages[0].tool_call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0].function"),
    ({"messages": [{"role": "assistant", "llm_mesh_state": "%%%"}]}, "messages[0].llm_mesh_state"),
    ({"messages": [{"role": "assistant", "llm_mesh_state": "c29tZXRoaW5n"}]}, "messages[0].llm_mesh_state"),
    ({"model": 5}, "model"),
    ({"model": "m" * 300}, "model"),
    ({"model": "use_case:"}, "model"),
    ({"model": "use_case:x/cheap"}, "model"),
    ({"models": ["a"] * 16}, "models"),
    ({"models": "a"}, "models"),
    ({"models": ["a"], "fallback": True}, "fallback"),
    ({"temperature": 2.5}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"temperature": 10**400}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"top_k": 0}, "top_k"),
    ({"n": 0}, "n"),
    ({"n": 1.5}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_completion_tokens": 2**31}, "max_completion_tokens"),
    ({"seed": 2**63}, "seed"),
    ({"stop": [""]}, "stop[0]"),
    ({"stop": {"a": 1}}, "stop"),
    ({"stop": ["x"] * 17}, "stop"),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"top_logprobs": 5}, "top_logprobs"),
    ({"logprobs": 1}, "logprobs"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"functions": [{"name": "a b"}]}, "functions[0].name"),
    ({"functions": [{"name": "add"}], "tools": TOOLS}, "tools"),
    ({"functions": [{"name": "add"}], "tool_choice": "auto"}, "tool_choice"),
    ({"function_call": "auto"}, "function_call"),
    ({"functions": [{"name": "add"}], "function_call": "required"}, "function_call"),
    ({"functions": [{"name": "add"}], "function_call": {"name": "sub"}}, "function_call.name"),
    ({"messages": [*HELLO, {"role": "function", "name": "add", "content": "3"}]}, "messages[1].name"),
    ({"messages": [{"role": "assistant", "function_call": {"arguments": "{}"}}]}, "messages[0].function_call.name"),
    ({"tools": [{"type": "custom"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
    ({"tools": [tool([])]}, "tools[0].function.parameters"),
    ({"tools": [tool(nested(29))]}, "tools[0].function.parameters"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": "any"}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": 1}, "tool_choice"),
    ({"tools": TOOLS, "tool_choice": {"type": "custom"}}, "tool_choice.type"),
    ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "mul"}}}, "tool_choice.function.name"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"audio": {"voice": "x"}}, "audio"),
    ({"llm_mesh": {"tier": "cheap"}}, "llm_mesh.tier"),
    ({"llm_mesh": {"stream_guarantee": "restart"}}, "llm_mesh.stream_guarantee"),
    ({"llm_mesh": {"max_cost_usd": -1}}, "llm_mesh.max_cost_usd"),
    ({"llm_mesh": {"requirements": "vision"}}, "llm_mesh.requirements"),
    ({"llm_mesh": {"allow_vendors": [1]}}, "llm_mesh.allow_vendors[0]"),
    ({"junk": nested(65)}, "body"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "path"), WRONG)
def test_a_wrong_field_is_refused_by_its_path(fields: dict[str, Any], path: str) -> None:
    assert refused(**fields) == path


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a/b", "file:///etc/passwd", "data:image/png;base64,!!", "data:image/png;base64,", "data:image/png,x",
     "data:text/html;base64,aGk=", "https://a/" + "x" * 9000],
)  # fmt: skip
def test_an_image_that_is_no_image_is_refused(url: str) -> None:
    content = [{"type": "image_url", "image_url": {"url": url}}]
    assert refused(messages=[{"role": "user", "content": content}]) == "messages[0].content[0].image_url.url"


def test_a_header_has_labels_for_the_ledger() -> None:
    request = read({"x-llm-mesh-labels": " team=search ,project = x=y,"})
    assert dict(request.intent.labels) == {"team": "search", "project": "x=y"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-llm-mesh-tier", "cheap"),
        ("x-llm-mesh-stream-guarantee", "restart"),
        ("x-llm-mesh-labels", "search"),
        ("x-llm-mesh-labels", "team=a,team=b"),
    ],
)
def test_a_wrong_header_is_refused_by_its_name(name: str, value: str) -> None:
    assert refused({name: value}) == name


KEYS = (
    "messages", "role", "content", "type", "text", "image_url", "url", "detail", "tool_calls", "function", "name",
    "arguments", "id", "tools", "parameters", "tool_choice", "allowed_tools", "mode", "response_format", "json_schema",
    "schema", "llm_mesh", "tier", "stop", "n", "llm_mesh_state", "model", "provider", "stream_options", "modalities",
)  # fmt: skip
WORDS = ("user", "assistant", "tool", "text", "function", "required", "image_url", "json_schema", "data:,", "")
plain = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False)
anything = some.recursive(
    plain | some.sampled_from(WORDS) | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(some.dictionaries(some.sampled_from(KEYS), anything, max_size=6), some.booleans())
def test_whatever_json_arrives_is_read_or_refused_and_never_a_defect(body: dict[str, Any], greet: bool) -> None:
    content = json.dumps(body | ({"messages": HELLO} if greet else {})).encode("utf-8", "surrogatepass")
    with suppress(MeshError):
        read_chat(content, {}, "r1").whole().SerializeToString()
