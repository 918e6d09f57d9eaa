"""The local server's dialect, both ways."""

import json
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, reply, user, warned
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import (
    FinishReason,
    Image,
    Message,
    Part,
    Prompt,
    ProviderData,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Subject, VendorFault

DIALECT = DIALECTS["ollama"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS = FinishReason.FINISH_REASON_TOOL_CALLS
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"response_format": {"json_object": {}}}, {"format": "json"}),
        ({"response_format": {"json_schema": {"schema_json": SCHEMA_JSON}}}, {"format": SCHEMA}),
        ({"tools": [TOOL]}, {"tools": [{"type": "function", "function": FUNCTION}]}),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}}, {}),
        ({"sampling": {"top_logprobs": 2}}, {"logprobs": True, "top_logprobs": 2}),
        ({"reasoning_effort": "REASONING_EFFORT_HIGH"}, {"think": True}),
        ({"reasoning_effort": "REASONING_EFFORT_NONE"}, {"think": False}),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert body(prompt(**fields)) == {
        "model": "acme-1",
        "messages": messages,
        "stream": False,
        "options": {"num_ctx": 4096},
        **expected,
    }


def test_sampling_becomes_options() -> None:
    asked = prompt(
        sampling={"temperature": 0.5, "top_p": 0.9, "top_k": 4, "max_output_tokens": 7, "seed": 3, "stop": ["a"]}
    )
    assert body(asked)["options"] == {
        "num_ctx": 4096,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "num_predict": 7,
        "seed": 3,
        "stop": ["a"],
    }


@pytest.mark.parametrize(
    ("size", "window", "room"),
    [(10, 0, 4096), (20_000, 0, 16384), (20_000, 8192, 8192), (1_000_000, 0, 524_288), (10, 2048, 2048)],
)
def test_room_for_the_whole_prompt_is_always_asked_for(size: int, window: int, room: int) -> None:
    assert body(prompt(user("x" * size)), context_window=window)["options"]["num_ctx"] == room


def test_every_kind_of_turn_is_written() -> None:
    asked = prompt(
        Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be brief."))]),
        Message(role=Role.ROLE_USER, parts=[Part(text=Text(text="look")), Part(image=Image(data=b"\x89P"))]),
        Message(
            role=Role.ROLE_ASSISTANT,
            parts=[
                Part(reasoning=Reasoning(text="hm")),
                Part(tool_call=ToolCall(id="c1", name="f", arguments_json='{"a":1}')),
            ],
        ),
        Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=ToolResult(tool_call_id="c1", text="sun"))]),
    )
    assert body(asked)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "look", "images": ["iVA="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
            "thinking": "hm",
        },
        {"role": "tool", "tool_name": "f", "content": "sun"},
    ]


def test_reasoning_of_another_vendor_is_left_out_with_a_warning() -> None:
    part = Part(reasoning=Reasoning(text="hm"), provider_data=ProviderData(vendor="other", data=b"x"))
    request = DIALECT.encode(call(prompt(Message(role=Role.ROLE_ASSISTANT, parts=[part]))))
    assert "thinking" not in json.loads(request.body)["messages"][0]
    assert warned(request) == {("foreign_state", "messages[0].parts[0].provider_data")}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (prompt(sampling={"n": 2}), "sampling.n"),
        (prompt(tools=[TOOL], tool_choice={"mode": "MODE_REQUIRED"}), "tool_choice"),
        (prompt(Message(role=Role.ROLE_USER, parts=[Part(image=Image(uri="https://x/y"))])), "image.uri"),
    ],
)
def test_what_would_change_the_meaning_is_refused_with_its_field(asked: Prompt, field: str) -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(asked))
    assert refused.value.reason is Reason.VENDOR_UNSUPPORTED
    assert refused.value.fields[0].field.endswith(field)


@pytest.mark.parametrize(
    ("fields", "call_fields", "warning", "think"),
    [
        ({"reasoning_effort": "REASONING_EFFORT_LOW"}, {"reasons": False}, ("dropped", "reasoning_effort"), None),
        (
            {"reasoning_effort": "REASONING_EFFORT_NONE"},
            {"quirks": ["think_levels"]},
            ("clamped", "reasoning_effort"),
            "low",
        ),
        ({"tools": [TOOL], "parallel_tool_calls": False}, {}, ("dropped", "parallel_tool_calls"), None),
        ({"web_search": True}, {}, ("dropped", "web_search"), None),
    ],
)
def test_what_the_server_cannot_take_is_left_out_with_a_warning(
    fields: dict[str, Any], call_fields: dict[str, Any], warning: tuple[str, str], think: Any
) -> None:
    request = DIALECT.encode(call(prompt(**fields), **call_fields))
    assert warned(request) == {warning}
    assert json.loads(request.body).get("think") == think


def test_levels_of_thinking_are_named_where_the_model_has_them() -> None:
    asked = prompt(reasoning_effort="REASONING_EFFORT_EXTRA_HIGH")
    assert body(asked, quirks=["think_levels"])["think"] == "high"


def line(done: bool = False, reason: str = "stop", **message: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"model": "acme-1", "created_at": "2026-11-20T00:00:00Z", "done": done}
    made["message"] = {"role": "assistant", "content": ""} | message
    return made | ({"done_reason": reason, "prompt_eval_count": 9, "eval_count": 4} if done else {})


CALLED = {"function": {"name": "f", "arguments": {"a": 1}}}


@pytest.mark.parametrize(
    ("message", "reason", "kinds", "expected"),
    [
        ({"content": "x"}, "stop", ["text"], STOP),
        ({"content": "x"}, "length", ["text"], LENGTH),
        ({"content": "x", "thinking": "hm"}, "stop", ["reasoning", "text"], STOP),
        ({"tool_calls": [CALLED, CALLED]}, "stop", ["tool_call", "tool_call"], TOOLS),
        ({"content": "x"}, "custom", ["text"], STOP),
    ],
)
def test_a_whole_answer_is_read_in_all_its_shapes(
    message: dict[str, Any], reason: str, kinds: list[str], expected: FinishReason.ValueType
) -> None:
    read = DIALECT.decode(call(), reply(json.dumps(line(done=True, reason=reason, **message))))
    assert [part.WhichOneof("kind") for part in read.choices[0].parts] == kinds
    assert read.choices[0].finish_reason == expected
    assert (read.usage.input_tokens, read.usage.output_tokens, read.usage.estimated) == (9, 4, False)


def test_calls_without_ids_get_ones_of_their_own() -> None:
    read = DIALECT.decode(call(), reply(json.dumps(line(done=True, tool_calls=[CALLED, CALLED]))))
    first, second = (part.tool_call for part in read.choices[0].parts)
    assert first.id != second.id
    assert first.arguments_json == '{"a":1}'


def test_a_prompt_the_server_had_cached_is_estimated() -> None:
    whole = line(done=True, content="x")
    del whole["prompt_eval_count"]
    used = DIALECT.decode(call(), reply(json.dumps(whole))).usage
    assert used.estimated
    assert used.input_tokens > 0
    assert used.output_tokens == 4


@pytest.mark.parametrize(
    "broken", ["", "[]", "{}", '{"error":"boom"}', '{"message":7}', json.dumps(line(done=True, reason="load"))]
)
def test_nonsense_and_errors_are_faults_and_no_crash(broken: str) -> None:
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply(broken))
    assert fault.value.fault.reason is Reason.VENDOR_SERVER


STREAM = [
    line(thinking="h"),
    line(thinking="m"),
    line(content="Hé"),
    line(content="llo"),
    line(tool_calls=[CALLED]),
    line(tool_calls=[CALLED | {"id": "c7"}]),
    line(done=True),
]


def framed(*bodies: Any) -> bytes:
    return "".join(json.dumps(body, ensure_ascii=False) + "\n" for body in bodies).encode()


def test_a_stream_is_put_into_parts() -> None:
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(framed(*STREAM))
    assert [(delta.part_index, delta.WhichOneof("piece")) for delta in deltas] == [
        (0, "reasoning"),
        (0, "reasoning"),
        (1, "text"),
        (1, "text"),
        (2, "tool_call"),
        (3, "tool_call"),
    ]
    assert deltas[5].tool_call.id == "c7"
    finish = decoder.finish()
    assert finish.choices[0].reason == TOOLS
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (9, 4)


@given(cuts=st.lists(st.integers(min_value=0, max_value=1200), max_size=30))
def test_no_cutting_changes_what_is_read(cuts: list[int]) -> None:
    data = framed(*STREAM).rstrip()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder, whole = DIALECT.stream(call()), DIALECT.stream(call())
    pieces = []
    for number, end in enumerate(edges[1:]):
        pieces.extend(decoder.feed(data[edges[number] : end]))
    assert pieces == whole.feed(framed(*STREAM))
    assert decoder.finish() == whole.finish()


@pytest.mark.parametrize("stream", [b"", framed(line(content="x")), b'{"mess'])
def test_a_stream_without_its_last_line_is_incomplete_never_a_success(stream: bytes) -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(stream)
    with pytest.raises(VendorFault) as cut:
        decoder.finish()
    assert cut.value.fault.reason is Reason.VENDOR_INCOMPLETE


@pytest.mark.parametrize("bad", [{"error": "boom"}, {"message": 3}, [1]])
def test_an_error_or_nonsense_in_a_stream_ends_it_and_what_came_is_counted(bad: Any) -> None:
    decoder = DIALECT.stream(call())
    assert [delta.text for delta in decoder.feed(framed(line(content="x"), bad))] == ["x"]
    with pytest.raises(VendorFault) as broken:
        decoder.feed(b"")
    assert broken.value.fault.reason is Reason.VENDOR_SERVER
    assert decoder.partial_usage().output_tokens == 1


def test_probabilities_and_thinking_tags_are_read() -> None:
    weighed = line(content="x") | {"logprobs": [{"token": "x", "logprob": -1.0, "top_logprobs": []}]}
    (delta,) = DIALECT.stream(call()).feed(framed(weighed))
    assert delta.logprobs[0].token == "x"
    tagged = DIALECT.stream(call(quirks=["think_tags"]))
    deltas = tagged.feed(framed(line(content="<think>h"), line(content="m</think>so"), line(done=True)))
    assert ["".join(d.reasoning for d in deltas), "".join(d.text for d in deltas)] == ["hm", "so"]


def test_vectors_and_installed_models_are_read() -> None:
    asked = EmbedCall("acme", "e1", texts=["a"], dimensions=2)
    written = json.loads(DIALECT.encode_embed(asked).body)
    assert written == {"model": "e1", "input": ["a"], "dimensions": 2, "truncate": False}
    read = DIALECT.decode_embed(asked, reply('{"model":"e1","embeddings":[[1,2]],"prompt_eval_count":3}'))
    assert (list(read.embeddings[0].values), read.usage.input_tokens, read.vendor_model) == ([1, 2], 3, "e1")
    assert DIALECT.encode_models(Subject("acme")).path == "/api/tags"
    assert [model.id for model in DIALECT.decode_models(reply('{"models":[{"name":"a"},{}]}'))] == ["a"]
