"""The responses dialect: requests, and what goes back with a turn."""

import json
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, user, warned
from llmmesh.chat.v1.chat_pb2 import (
    Image,
    ImageDetail,
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
from provider_services.dialects.interface import EmbedCall, Subject

DIALECT = DIALECTS["responses"]
SAID = {"type": "message", "role": "user", "content": "hi"}
BODY = {"model": "acme-1", "input": [SAID], "store": False}
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON}
WRITTEN = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": False}
ENCRYPTED = ["reasoning.encrypted_content"]
SEALED = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "sealed"}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


def kept(state: dict[str, Any], vendor: str = "acme") -> ProviderData:
    return ProviderData(vendor=vendor, model="acme-1", data=json.dumps(state).encode())


def assistant(*parts: Part) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def called(**state: Any) -> Part:
    part = Part(tool_call=ToolCall(id="call_1", name="weather", arguments_json='{"city":"Ulm"}'))
    if state:
        part.provider_data.CopyFrom(kept(state))
    return part


def thought(text: str = "hm", **state: Any) -> Part:
    part = Part(reasoning=Reasoning(text=text))
    if state:
        part.provider_data.CopyFrom(kept(state))
    return part


def text(said: str, **state: Any) -> Part:
    part = Part(text=Text(text=said))
    if state:
        part.provider_data.CopyFrom(kept(state))
    return part


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        (
            {"sampling": {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 70, "n": 1}},
            {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 70},
        ),
        ({"sampling": {"top_logprobs": 0}}, {"top_logprobs": 0, "include": ["message.output_text.logprobs"]}),
        (
            {"response_format": {"json_schema": {"name": "day", "schema_json": SCHEMA_JSON, "strict": True}}},
            {"text": {"format": {"type": "json_schema", "name": "day", "schema": SCHEMA, "strict": True}}},
        ),
        ({"tools": [TOOL]}, {"tools": [WRITTEN]}),
        (
            {"tools": [{"name": "now", "strict": True}], "web_search": True, "parallel_tool_calls": False},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "now",
                        "parameters": {"type": "object", "properties": {}},
                        "strict": True,
                    },
                    {"type": "web_search"},
                ],
                "parallel_tool_calls": False,
            },
        ),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NAMED", "name": "weather"}},
            {"tools": [WRITTEN], "tool_choice": {"type": "function", "name": "weather"}},
        ),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}}, {"tools": [WRITTEN], "tool_choice": "required"}),
        ({"web_search": True}, {"tools": [{"type": "web_search"}]}),
        (
            {"reasoning_effort": "REASONING_EFFORT_EXTRA_HIGH"},
            {"reasoning": {"effort": "xhigh"}, "include": ENCRYPTED},
        ),
        ({"reasoning_effort": "REASONING_EFFORT_NONE"}, {"reasoning": {"effort": "none"}}),
        ({"reasoning_effort": "REASONING_EFFORT_AUTO"}, {}),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(prompt(**fields)) == BODY | expected


def test_a_stream_is_asked_for_and_a_row_may_name_the_path() -> None:
    request = DIALECT.encode(call(stream=True, paths={"chat": "/v1/agent"}))
    assert json.loads(request.body) == BODY | {"stream": True}
    assert (request.method, request.path, request.accept) == ("POST", "/v1/agent", "text/event-stream")
    assert DIALECT.encode(call()).path == "/responses"


def test_a_schema_goes_through_byte_for_byte() -> None:
    written = '{"type": "object", "properties": {"z": {}, "a": {}}}'
    asked = prompt(tools=[{"name": "x", "parameters_json": written}])
    assert written.encode() in DIALECT.encode(call(asked)).body


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"sampling": {"n": 2}}, "sampling.n"),
        ({"sampling": {"stop": ["x"]}}, "sampling.stop"),
    ],
)
def test_what_would_change_the_meaning_is_refused(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(prompt(**fields)))
    assert refused.value.reason is Reason.VENDOR_UNSUPPORTED
    assert [violation.field for violation in refused.value.fields] == [field]


def test_what_the_wire_has_no_field_for_is_dropped_with_a_warning() -> None:
    sampling = {"top_k": 3, "seed": 4, "frequency_penalty": 1, "presence_penalty": 1}
    named = user("hi")
    named.name = "Ann"
    request = DIALECT.encode(call(prompt(named, sampling=sampling)))
    assert json.loads(request.body) == BODY
    dropped = ["sampling.top_k", "sampling.seed", "sampling.frequency_penalty", "sampling.presence_penalty"]
    assert warned(request) == {("dropped", field) for field in [*dropped, "messages[0].name"]}


def test_turns_become_items() -> None:
    image = Image(mime_type="image/png", data=b"abc", detail=ImageDetail.IMAGE_DETAIL_LOW)
    seen = Message(role=Role.ROLE_USER, parts=[text("look"), Part(image=image), Part(image=Image(uri="https://x/y"))])
    result = Part(tool_result=ToolResult(tool_call_id="call_1", name="weather", text="rain"))
    asked = prompt(
        Message(role=Role.ROLE_SYSTEM, parts=[text("Be brief.")]),
        seen,
        assistant(text("Well, "), text("I look."), called()),
        Message(role=Role.ROLE_TOOL, parts=[result]),
        assistant(Part(refusal=Refusal(text="No."))),
    )
    assert body(asked)["input"] == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,YWJj", "detail": "low"},
                {"type": "input_image", "image_url": "https://x/y", "detail": "auto"},
            ],
        },
        {"type": "message", "role": "assistant", "content": "Well, I look."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Ulm"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "message", "role": "assistant", "content": "No."},
    ]


def test_a_turn_with_its_own_reasoning_goes_back_verbatim_with_every_id() -> None:
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    comment = text("I look.", fields={"id": "msg_1", "phase": "commentary"})
    turn = assistant(thought(item=SEALED), thought("", item=search), comment, called(fields={"id": "fc_1"}))
    assert body(prompt(turn))["input"] == [
        SEALED,
        search,
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
            "id": "msg_1",
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Ulm"}', "id": "fc_1"},
    ]


def test_without_its_reasoning_a_turn_goes_back_without_ids() -> None:
    comment = text("I look.", fields={"id": "msg_1", "phase": "commentary"})
    written = body(prompt(assistant(comment, called(fields={"id": "fc_1", "namespace": "sky"}))))["input"]
    assert written == [
        {"type": "message", "role": "assistant", "content": "I look.", "phase": "commentary"},
        {
            "type": "function_call",
            "call_id": "call_1",
            "name": "weather",
            "arguments": '{"city":"Ulm"}',
            "namespace": "sky",
        },
    ]


def test_foreign_state_and_bare_reasoning_are_left_out_with_a_warning() -> None:
    foreign = Part(reasoning=Reasoning(text="x"), provider_data=kept({"item": SEALED}, vendor="other"))
    request = DIALECT.encode(call(prompt(assistant(foreign, thought(), text("Yes.")))))
    assert json.loads(request.body)["input"] == [{"type": "message", "role": "assistant", "content": "Yes."}]
    assert warned(request) == {
        ("foreign_state", "messages[0].parts[0].provider_data"),
        ("dropped", "messages[0].parts[1]"),
    }


@pytest.mark.parametrize(
    ("quirk", "fields", "expected", "warnings"),
    [
        ("takes_penalties", {"sampling": {"frequency_penalty": 1.0}}, {"frequency_penalty": 1}, set()),
        (
            "at_least_16_output_tokens",
            {"sampling": {"max_output_tokens": 3}},
            {"max_output_tokens": 16},
            {("clamped", "sampling.max_output_tokens")},
        ),
        (
            "no_minimal_effort",
            {"reasoning_effort": "REASONING_EFFORT_MINIMAL"},
            {"reasoning": {"effort": "low"}, "include": ENCRYPTED},
            {("clamped", "reasoning_effort")},
        ),
        (
            "effort_low_to_high",
            {"reasoning_effort": "REASONING_EFFORT_EXTRA_HIGH"},
            {"reasoning": {"effort": "high"}, "include": ENCRYPTED},
            {("clamped", "reasoning_effort")},
        ),
        (
            "no_reasoning_effort",
            {"reasoning_effort": "REASONING_EFFORT_LOW"},
            {"include": ENCRYPTED},
            {("dropped", "reasoning_effort")},
        ),
        ("no_reasoning_effort", {"reasoning_effort": "REASONING_EFFORT_NONE"}, {}, set()),
        (
            "no_encrypted_reasoning",
            {"reasoning_effort": "REASONING_EFFORT_LOW"},
            {"reasoning": {"effort": "low"}},
            set(),
        ),
        ("no_logprobs", {"sampling": {"top_logprobs": 2}}, {}, {("dropped", "sampling.top_logprobs")}),
        ("no_web_search", {"web_search": True}, {}, {("dropped", "web_search")}),
        ("no_parallel_tool_calls", {"web_search": True}, {"tools": [{"type": "web_search"}]}, set()),
        (
            "no_strict_tools",
            {"tools": [TOOL]},
            {"tools": [{name: value for name, value in WRITTEN.items() if name != "strict"}]},
            set(),
        ),
    ],
)
def test_a_quirk_bends_the_request(
    quirk: str, fields: dict[str, Any], expected: dict[str, Any], warnings: set[tuple[str, str]]
) -> None:
    request = DIALECT.encode(call(prompt(**fields), quirks=[quirk]))
    assert json.loads(request.body) == BODY | expected
    assert warned(request) == warnings


@pytest.mark.parametrize(
    ("quirk", "fields", "field"),
    [
        ("no_forced_tools", {"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}}, "tool_choice"),
        ("no_json_object", {"response_format": {"json_object": {}}}, "response_format.json_object"),
        (
            "no_json_schema",
            {"response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}},
            "response_format.json_schema",
        ),
    ],
)
def test_a_quirk_refuses_what_the_vendor_does_not_take(quirk: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(prompt(**fields), quirks=[quirk]))
    assert [violation.field for violation in refused.value.fields] == [field]


def test_models_that_think_keep_their_state_and_fix_their_sampling() -> None:
    asked = prompt(sampling={"temperature": 0.5, "top_p": 0.5, "top_logprobs": 1})
    quirks = ["reasoning_models_fix_sampling", "reasoning_summaries"]
    request = DIALECT.encode(call(asked, reasons=True, quirks=quirks))
    assert json.loads(request.body) == BODY | {"reasoning": {"summary": "auto"}, "include": ENCRYPTED}
    fields = ("sampling.temperature", "sampling.top_p", "sampling.top_logprobs")
    assert warned(request) == {("dropped", field) for field in fields}
    assert body(prompt(), reasons=False, quirks=quirks) == BODY
    assert "store" not in body(prompt(), quirks=["no_store"])
    effort = prompt(reasoning_effort="REASONING_EFFORT_HIGH")
    assert body(effort, reasons=False, quirks=["effort_needs_reasoning"]) == BODY


def test_plain_input_says_no_more_than_what_was_said() -> None:
    signed = called(fields={"thought_signature": "s", "id": "fc_1"})
    result = Part(tool_result=ToolResult(tool_call_id="call_1", text="rain"))
    image = Message(role=Role.ROLE_USER, parts=[Part(image=Image(uri="https://x/y"))])
    asked = prompt(image, assistant(signed), Message(role=Role.ROLE_TOOL, parts=[result]))
    assert body(asked, reasons=True, quirks=["plain_input", "results_named"]) == BODY | {
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_image", "image_url": "https://x/y"}],
            },
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "weather",
                "arguments": '{"city":"Ulm"}',
                "thought_signature": "s",
            },
            {
                "type": "function_call_output",
                "call_id": "call_1",
                "output": "rain",
                "name": "weather",
                "thought_signature": "s",
            },
        ]
    }


def test_vectors_and_models_are_asked_for() -> None:
    request = DIALECT.encode_embed(EmbedCall("acme", "e-1", texts=["a"], dimensions=8))
    assert request.path == "/embeddings"
    assert json.loads(request.body) == {"model": "e-1", "input": ["a"], "encoding_format": "float", "dimensions": 8}
    assert DIALECT.encode_models(Subject("acme")).path == "/models"
