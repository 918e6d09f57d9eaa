"""Requests of the messages dialect."""

import json
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import (
    CacheHint,
    Image,
    Message,
    Part,
    Prompt,
    ProviderData,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS

DIALECT = DIALECTS["anthropic"]
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON}
FUNCTION = {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}
JSON_SCHEMA = {"json_schema": {"name": "x", "schema_json": SCHEMA_JSON}}
ADAPTIVE = {"type": "adaptive", "display": "summarized"}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


def told(asked: Prompt, **fields: Any) -> set[tuple[str, str]]:
    return warned(DIALECT.encode(call(asked, **fields)))


def refused(asked: Prompt, **fields: Any) -> str:
    with pytest.raises(MeshError) as caught:
        DIALECT.encode(call(asked, **fields))
    assert caught.value.reason == Reason.VENDOR_UNSUPPORTED
    return str(caught.value.fields[0].field)


def said(*parts: Part) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def kept(vendor: str = "acme", **data: Any) -> ProviderData:
    return ProviderData(vendor=vendor, model="acme-1", data=json.dumps(data).encode())


def called(identity: str = "toolu_1", arguments: str = '{"city": "Rome"}', **more: Any) -> Part:
    return Part(tool_call=ToolCall(id=identity, name="weather", arguments_json=arguments), **more)


def returned(identity: str = "toolu_1", **fields: Any) -> Message:
    result = ToolResult(tool_call_id=identity, **({"text": "sunny"} | fields))
    return Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=result)])


def text(words: str, **more: Any) -> Part:
    return Part(text=Text(text=words), **more)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"response_format": {"text": {}}}, {}),
        ({"response_format": JSON_SCHEMA}, {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        ({"tools": [TOOL]}, {"tools": [FUNCTION]}),
        ({"tools": [TOOL | {"strict": True}]}, {"tools": [FUNCTION | {"strict": True}]}),
        ({"tools": [TOOL | {"strict": False}]}, {"tools": [FUNCTION]}),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}},
            {"tools": [FUNCTION], "tool_choice": {"type": "none"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}},
            {"tools": [FUNCTION], "tool_choice": {"type": "any"}},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NAMED", "name": "weather"}},
            {"tools": [FUNCTION], "tool_choice": {"type": "tool", "name": "weather"}},
        ),
        (
            {"tools": [TOOL], "parallel_tool_calls": False},
            {"tools": [FUNCTION], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        ({"tools": [TOOL], "parallel_tool_calls": True}, {"tools": [FUNCTION]}),
        ({"web_search": True}, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        (
            {"tools": [{"name": "now"}]},
            {"tools": [{"name": "now", "input_schema": {"type": "object", "properties": {}}}]},
        ),
        ({"sampling": {"max_output_tokens": 9}}, {"max_tokens": 9}),
        (
            {"sampling": {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop": ["a", "b"]}},
            {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "stop_sequences": ["a", "b"]},
        ),
        ({"reasoning_effort": "REASONING_EFFORT_NONE"}, {}),
        (
            {"reasoning_effort": "REASONING_EFFORT_LOW"},
            {"max_tokens": 6144, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        ),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert body(prompt(**fields)) == {"model": "acme-1", "max_tokens": 4096, "messages": messages} | expected


def test_a_stream_is_asked_for_and_the_path_can_be_the_vendors_own() -> None:
    request = DIALECT.encode(call(stream=True, paths={"chat": "/elsewhere"}))
    assert (request.method, request.path, request.accept) == ("POST", "/elsewhere", "text/event-stream")
    assert json.loads(request.body)["stream"] is True
    assert DIALECT.encode(call()).path == "/messages"


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"sampling": {"seed": 1}}, "sampling.seed"),
        ({"sampling": {"frequency_penalty": 1}}, "sampling.frequency_penalty"),
        ({"sampling": {"presence_penalty": 1}}, "sampling.presence_penalty"),
        ({"sampling": {"top_logprobs": 1}}, "sampling.top_logprobs"),
        ({"web_search": True, "tools": [TOOL | {"name": "web_search"}]}, "web_search"),
        (
            {"response_format": {"json_schema": JSON_SCHEMA["json_schema"] | {"description": "d"}}},
            "response_format.json_schema.description",
        ),
    ],
)
def test_what_the_vendor_cannot_take_is_dropped_with_a_warning(fields: dict[str, Any], dropped: str) -> None:
    assert told(prompt(**fields)) == {("dropped", dropped)}


@pytest.mark.parametrize(
    ("fields", "quirks", "field"),
    [
        ({"sampling": {"n": 2}}, [], "sampling.n"),
        ({"sampling": {"stop": ["a", " \n"]}}, [], "sampling.stop[1]"),
        ({"response_format": {"json_object": {}}}, [], "response_format.json_object"),
        ({"response_format": JSON_SCHEMA}, ["no_json_schema"], "response_format.json_schema"),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}}, ["no_forced_tools"], "tool_choice"),
        ({"tools": [{"name": "x", "parameters_json": '{"anyOf": []}'}]}, [], "tools[0].parameters_json"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields: dict[str, Any], quirks: list[str], field: str) -> None:
    assert refused(prompt(**fields), quirks=quirks) == field


@pytest.mark.parametrize(
    ("sampling", "fields", "expected", "warnings"),
    [
        ({"temperature": 1.5}, {}, {"temperature": 1}, {("clamped", "sampling.temperature")}),
        (
            {"temperature": 1, "top_p": 0.5},
            {"quirks": ["temperature_or_top_p"]},
            {"temperature": 1},
            {("dropped", "sampling.top_p")},
        ),
        ({"top_p": 0.5}, {"quirks": ["temperature_or_top_p"]}, {"top_p": 0.5}, set()),
        (
            {"temperature": 1, "top_k": 3},
            {"quirks": ["no_sampling"]},
            {},
            {("dropped", "sampling.temperature"), ("dropped", "sampling.top_k")},
        ),
        (
            {"max_output_tokens": 99},
            {"max_output_tokens": 50},
            {"max_tokens": 50},
            {("clamped", "sampling.max_output_tokens")},
        ),
        ({}, {"max_output_tokens": 50}, {"max_tokens": 50}, set()),
    ],
)
def test_sampling_is_bent_to_what_the_model_takes(
    sampling: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any], warnings: set[tuple[str, str]]
) -> None:
    sent = body(prompt(sampling=sampling), **fields)
    assert {name: sent[name] for name in sent if name not in {"model", "messages"}} == {"max_tokens": 4096} | expected
    assert told(prompt(sampling=sampling), **fields) == warnings


@pytest.mark.parametrize(
    ("effort", "fields", "expected", "warnings"),
    [
        (
            "HIGH",
            {"max_output_tokens": 64000},
            {"max_tokens": 64000, "thinking": {"type": "enabled", "budget_tokens": 24576}},
            set(),
        ),
        (
            "HIGH",
            {"max_output_tokens": 8192},
            {"max_tokens": 8192, "thinking": {"type": "enabled", "budget_tokens": 4096}},
            set(),
        ),
        ("HIGH", {"max_output_tokens": 1024}, {"max_tokens": 1024}, {("dropped", "reasoning_effort")}),
        ("HIGH", {"reasons": False}, {"max_tokens": 4096}, {("dropped", "reasoning_effort")}),
        ("NONE", {"reasons": False}, {"max_tokens": 4096}, set()),
        ("NONE", {"quirks": ["adaptive_thinking"]}, {"max_tokens": 12288, "thinking": {"type": "disabled"}}, set()),
        (
            "MEDIUM",
            {"quirks": ["adaptive_thinking"]},
            {"max_tokens": 12288, "thinking": ADAPTIVE, "output_config": {"effort": "medium"}},
            set(),
        ),
        (
            "MINIMAL",
            {"quirks": ["adaptive_thinking"]},
            {"max_tokens": 12288, "thinking": ADAPTIVE, "output_config": {"effort": "low"}},
            {("clamped", "reasoning_effort")},
        ),
        (
            "NONE",
            {"quirks": ["adaptive_thinking", "thinking_always"]},
            {"max_tokens": 12288, "thinking": ADAPTIVE, "output_config": {"effort": "low"}},
            {("clamped", "reasoning_effort")},
        ),
        (
            "EXTRA_HIGH",
            {"quirks": ["adaptive_thinking"], "max_output_tokens": 99999},
            {"max_tokens": 99999, "thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}},
            set(),
        ),
        (
            "EXTRA_HIGH",
            {"quirks": ["adaptive_thinking", "xhigh_is_max"], "max_output_tokens": 99999},
            {"max_tokens": 99999, "thinking": ADAPTIVE, "output_config": {"effort": "max"}},
            set(),
        ),
    ],
)
def test_reasoning_effort_becomes_a_budget_or_an_effort(
    effort: str, fields: dict[str, Any], expected: dict[str, Any], warnings: set[tuple[str, str]]
) -> None:
    asked = prompt(reasoning_effort=f"REASONING_EFFORT_{effort}")
    sent = body(asked, **fields)
    assert {name: sent[name] for name in sent if name not in {"model", "messages"}} == expected
    assert told(asked, **fields) == warnings


def test_a_model_that_thinks_takes_no_temperature_and_hardly_any_top_p() -> None:
    asked = prompt(sampling={"temperature": 0, "top_p": 0.5}, reasoning_effort="REASONING_EFFORT_LOW")
    assert not {"temperature", "top_p"} & set(body(asked))
    assert told(asked) == {("dropped", "sampling.temperature"), ("dropped", "sampling.top_p")}
    assert body(prompt(sampling={"top_p": 0.97}, reasoning_effort="REASONING_EFFORT_LOW"))["top_p"] == 0.97


def test_a_forced_tool_call_goes_before_thinking() -> None:
    asked = prompt(tools=[TOOL], tool_choice={"mode": "MODE_REQUIRED"}, reasoning_effort="REASONING_EFFORT_HIGH")
    assert body(asked)["tool_choice"] == {"type": "any"}
    assert told(asked) == {("dropped", "reasoning_effort")}


def test_a_tool_schema_goes_through_in_its_own_order_and_says_that_it_is_an_object() -> None:
    written = '{ "properties": {"z": {}, "a": {}} }'
    request = DIALECT.encode(call(prompt(tools=[{"name": "x", "parameters_json": written}])))
    assert b'{"type":"object", "properties": {"z": {}, "a": {}} }' in request.body
    assert SCHEMA_JSON.encode() in DIALECT.encode(call(prompt(tools=[TOOL]))).body


def test_system_text_goes_before_the_conversation_wherever_it_stood() -> None:
    system = Message(role=Role.ROLE_SYSTEM, parts=[text("a")])
    late = Message(role=Role.ROLE_SYSTEM, parts=[text("b")])
    asked = prompt(system, user("hi"), late, user("ho"))
    assert body(asked)["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert [turn["role"] for turn in body(asked)["messages"]] == ["user"]
    assert told(asked) == {("moved", "messages[2]")}
    assert refused(prompt(system)) == "messages"


def test_turns_alternate_and_results_of_tools_come_first() -> None:
    asked = prompt(
        user("go"),
        said(text("Well."), called("toolu_1"), called("a.b:0")),
        user("hm"),
        returned("toolu_1"),
        returned("a.b:0", text="", is_error=True),
    )
    first, second, third = body(asked)["messages"]
    assert [turn["role"] for turn in (first, second, third)] == ["user", "assistant", "user"]
    made_up = second["content"][2]["id"]
    assert second["content"][1] == {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
    assert made_up.startswith("call_")
    assert third["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"},
        {"type": "tool_result", "tool_use_id": made_up, "is_error": True},
        {"type": "text", "text": "hm"},
    ]


def test_a_text_without_a_word_is_left_out_and_so_is_a_turn_of_nothing_else() -> None:
    asked = prompt(user("a"), said(text(" ")), user("b", ""), said(text("c \n")))
    assert body(asked)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "c"}]},
    ]


def test_names_and_refusals_and_broken_arguments() -> None:
    asked = prompt(
        Message(role=Role.ROLE_USER, name="Ann", parts=[text("a")]),
        said(Part(refusal=Refusal(text="No.")), called(arguments="[1")),
        returned(),
    )
    assert body(asked)["messages"][1]["content"][0] == {"type": "text", "text": "No."}
    assert body(asked)["messages"][1]["content"][1]["input"] == {}
    assert told(asked) == {
        ("dropped", "messages[0].name"),
        ("dropped", "messages[1].parts[1].tool_call.arguments_json"),
    }


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (
            {"mime_type": "image/png", "data": b"\1"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AQ=="}},
        ),
        (
            {"mime_type": "application/pdf", "data": b"\1"},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AQ=="}},
        ),
        (
            {"uri": "data:image/gif;base64,AQ=="},
            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "AQ=="}},
        ),
        ({"uri": "https://x.org/a.png"}, {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}}),
        (
            {"uri": "https://x.org/a", "mime_type": "application/pdf"},
            {"type": "document", "source": {"type": "url", "url": "https://x.org/a"}},
        ),
    ],
)
def test_images_and_documents_travel_as_bytes_or_links(image: dict[str, Any], expected: dict[str, Any]) -> None:
    asked = prompt(Message(role=Role.ROLE_USER, parts=[Part(image=Image(**image))]))
    assert body(asked)["messages"][0]["content"] == [expected]


@pytest.mark.parametrize(
    ("image", "field"),
    [
        ({"uri": "gs://bucket/a.png"}, "messages[0].parts[0].image.uri"),
        ({"uri": "data:image/png,abc"}, "messages[0].parts[0].image.uri"),
        ({"mime_type": "image/tiff", "data": b"\1"}, "messages[0].parts[0].image.mime_type"),
    ],
)
def test_an_image_the_vendor_cannot_look_at_is_refused(image: dict[str, Any], field: str) -> None:
    assert refused(prompt(Message(role=Role.ROLE_USER, parts=[Part(image=Image(**image))]))) == field


def test_an_image_the_model_showed_is_refused() -> None:
    shown = said(Part(image=Image(mime_type="image/png", data=b"\1")))
    assert refused(prompt(user("a"), shown, user("b"))) == "messages[1].parts[0].image"


def test_its_own_state_goes_back_as_it_came() -> None:
    redacted = {"type": "redacted_thinking", "data": "x"}
    searched = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}}
    asked = prompt(
        user("go"),
        said(
            Part(reasoning=Reasoning(text="hm"), provider_data=kept(fields={"signature": "s"})),
            Part(reasoning=Reasoning(), provider_data=kept(block=redacted)),
            Part(text=Text(), provider_data=kept(block=searched)),
            text("So.", provider_data=kept(fields={"citations": [{"type": "web_search_result_location"}]})),
            called(provider_data=kept(fields={"caller": {"type": "code", "tool_id": "srv_1"}})),
        ),
        returned(),
    )
    assert body(asked)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        redacted,
        searched,
        {"type": "text", "text": "So.", "citations": [{"type": "web_search_result_location"}]},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "weather",
            "input": {"city": "Rome"},
            "caller": {"type": "code", "tool_id": "srv_1"},
        },
    ]
    assert told(asked) == set()


def test_foreign_state_and_unsigned_reasoning_are_left_out_with_a_warning() -> None:
    asked = prompt(
        user("go"),
        said(
            Part(reasoning=Reasoning(text="hm"), provider_data=kept("other", fields={"signature": "s"})),
            Part(reasoning=Reasoning(text="hm")),
            text("So."),
        ),
        user("on"),
    )
    assert body(asked)["messages"][1]["content"] == [{"type": "text", "text": "So."}]
    assert told(asked) == {
        ("foreign_state", "messages[1].parts[0].provider_data"),
        ("dropped", "messages[1].parts[0]"),
        ("dropped", "messages[1].parts[1]"),
    }


@pytest.mark.parametrize(
    ("turns", "thinks"),
    [
        ([user("a"), said(called()), returned()], False),
        ([user("a"), said(text("b"), called()), returned()], False),
        (
            [
                user("a"),
                said(Part(reasoning=Reasoning(text="t"), provider_data=kept(fields={"signature": "s"})), called()),
                returned(),
                said(called("toolu_2")),
                returned("toolu_2"),
            ],
            True,
        ),
        ([user("a"), said(called()), returned(), said(called("toolu_2")), returned("toolu_2")], False),
        ([user("a"), said(called()), returned(), said(text("b")), user("c")], True),
        ([user("a"), said(text("b")), user("c")], True),
    ],
)
def test_a_loop_of_tool_calls_begun_without_thinking_goes_on_without_it(turns: list[Message], thinks: bool) -> None:
    asked = prompt(*turns, tools=[TOOL], reasoning_effort="REASONING_EFFORT_LOW")
    assert ("thinking" in body(asked)) is thinks
    assert told(asked) == (set() if thinks else {("dropped", "reasoning_effort")})
    assert "thinking" in body(asked, quirks=["adaptive_thinking"])


def test_cache_hints_mark_the_last_four_prefixes_and_long_ones_come_first() -> None:
    hints = [CacheHint(ttl_seconds=seconds) for seconds in (0, 3600, 3600, 60, 3600)]
    system = Message(role=Role.ROLE_SYSTEM, parts=[text("s", cache_hint=hints[0])])
    parts = [text(name, cache_hint=hint) for name, hint in zip("abcd", hints[1:], strict=True)]
    asked = prompt(system, Message(role=Role.ROLE_USER, parts=parts))
    marks = [block.get("cache_control") for block in body(asked)["messages"][0]["content"]]
    long, short = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral"}
    assert marks == [long, long, short, short]
    assert "cache_control" not in body(asked)["system"][0]
    assert told(asked) == {
        ("dropped", "messages[0].parts[0].cache_hint"),
        ("clamped", "messages[1].parts[3].cache_hint"),
    }
