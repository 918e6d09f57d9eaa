"""The v2 chat dialect, both ways."""

import json
from itertools import pairwise
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, reply, user, warned
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import (
    Delta,
    FinishReason,
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
from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Finish, Subject, VendorFault
from provider_services.dialects.rules import Rule

DIALECT = DIALECTS["cohere"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS, FILTER = FinishReason.FINISH_REASON_TOOL_CALLS, FinishReason.FINISH_REASON_CONTENT_FILTER
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON}
TIME = {"name": "time"}
FUNCTION = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}
CLOCK = {"type": "function", "function": {"name": "time", "parameters": {"type": "object", "properties": {}}}}
REQUIRING = {"name": "weather", "parameters_json": json.dumps(SCHEMA | {"required": ["city"]}), "strict": True}
PLANNED = {"messages": [{"role": "user", "content": "hi"}]}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


def assistant(*parts: Part) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def calls(name: str = "weather", identity: str = "c1") -> Part:
    return Part(tool_call=ToolCall(id=identity, name=name, arguments_json='{"a":1}'))


def result(text: str, **fields: Any) -> Message:
    told = Part(tool_result=ToolResult(tool_call_id="c1", text=text, **fields))
    return Message(role=Role.ROLE_TOOL, parts=[told])


def state(vendor: str = "acme", **kept: str) -> ProviderData:
    return ProviderData(vendor=vendor, model="acme-1", data=json.dumps(kept).encode())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        (
            {
                "sampling": {
                    "temperature": 0.5,
                    "top_p": 0.9,
                    "top_k": 4,
                    "max_output_tokens": 7,
                    "seed": 3,
                    "stop": ["a"],
                }
            },
            {"temperature": 0.5, "p": 0.9, "k": 4, "max_tokens": 7, "seed": 3, "stop_sequences": ["a"]},
        ),
        ({"sampling": {"frequency_penalty": 0.5}}, {"frequency_penalty": 0.5}),
        ({"sampling": {"frequency_penalty": 0, "presence_penalty": 0.5}}, {"presence_penalty": 0.5}),
        ({"sampling": {"top_logprobs": 0}}, {"logprobs": True}),
        ({"response_format": {"json_object": {}}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"json_schema": {"name": "x", "schema_json": SCHEMA_JSON}}},
            {"response_format": {"type": "json_object", "json_schema": SCHEMA}},
        ),
        ({"tools": [TOOL, TIME]}, {"tools": [FUNCTION, CLOCK]}),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_AUTO"}}, {"tools": [FUNCTION]}),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_REQUIRED"}}, {"tools": [FUNCTION], "tool_choice": "REQUIRED"}),
        ({"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}}, {"tools": [FUNCTION], "tool_choice": "NONE"}),
        (
            {"tools": [TOOL, TIME], "tool_choice": {"mode": "MODE_NAMED", "name": "time"}},
            {"tools": [CLOCK], "tool_choice": "REQUIRED"},
        ),
        (
            {"tools": [TOOL], "tool_choice": {"mode": "MODE_NONE"}, "response_format": {"json_object": {}}},
            {"response_format": {"type": "json_object"}},
        ),
        ({"reasoning_effort": "REASONING_EFFORT_NONE"}, {"thinking": {"type": "disabled"}}),
        ({"reasoning_effort": "REASONING_EFFORT_HIGH"}, {"thinking": {"type": "enabled"}}),
        ({"reasoning_effort": "REASONING_EFFORT_LOW"}, {"thinking": {"type": "enabled", "token_budget": 2048}}),
        ({"reasoning_effort": "REASONING_EFFORT_AUTO"}, {}),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = DIALECT.encode(call(prompt(**fields)))
    messages = [{"role": "user", "content": "hi"}]
    assert json.loads(request.body) == {"model": "acme-1", "messages": messages, "stream": False} | expected
    assert (request.method, request.path, request.warnings) == ("POST", "/v2/chat", ())


def test_thinking_leaves_room_for_the_answer() -> None:
    asked = prompt(reasoning_effort="REASONING_EFFORT_MEDIUM", sampling={"max_output_tokens": 1000})
    assert body(asked)["thinking"] == {"type": "enabled", "token_budget": 750}


def test_a_stream_is_asked_for_as_events_at_the_path_of_the_row() -> None:
    request = DIALECT.encode(call(stream=True, paths={"chat": "/elsewhere"}))
    assert json.loads(request.body)["stream"] is True
    assert (request.accept, request.path) == ("text/event-stream", "/elsewhere")


def test_every_kind_of_turn_is_written() -> None:
    asked = prompt(
        Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be brief."))]),
        Message(
            role=Role.ROLE_USER,
            parts=[
                Part(text=Text(text="look")),
                Part(image=Image(data=b"\x89P", mime_type="image/png", detail=ImageDetail.IMAGE_DETAIL_LOW)),
                Part(image=Image(uri="https://x/y.png")),
            ],
        ),
        assistant(Part(reasoning=Reasoning(text="hm")), Part(text=Text(text="well")), calls()),
        result("sun"),
        assistant(Part(text=Text(text="Sunny."))),
        user("one", "two"),
    )
    called = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}
    assert body(asked)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA=", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "well"}],
            "tool_calls": [called],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]


def test_a_plan_goes_back_verbatim_as_a_plan() -> None:
    planned = Part(reasoning=Reasoning(text="shortened"), provider_data=state(tool_plan="I will ask."))
    (turn,) = body(prompt(assistant(planned, calls())))["messages"]
    assert turn["tool_plan"] == "I will ask."
    assert "content" not in turn


def test_a_failed_tool_says_so_in_its_result() -> None:
    (turn,) = body(prompt(result("no such city", is_error=True)))["messages"]
    assert json.loads(turn["content"]) == {"error": "no such city"}


def test_a_refusal_is_replayed_as_what_was_said() -> None:
    (turn,) = body(prompt(assistant(Part(refusal=Refusal(text="I won't.")))))["messages"]
    assert turn == {"role": "assistant", "content": "I won't."}


@pytest.mark.parametrize(
    ("asked", "fields", "field"),
    [
        (prompt(sampling={"n": 2}), {}, "sampling.n"),
        (prompt(sampling={"stop": list("abcdef")}), {}, "sampling.stop"),
        (prompt(tools=[TOOL], response_format={"json_object": {}}), {}, "response_format"),
        (prompt(assistant(Part(image=Image(uri="https://x/y")))), {}, "messages[0].parts[0].image"),
        (prompt(tools=[TOOL], tool_choice={"mode": "MODE_NAMED", "name": "nope"}), {}, "tool_choice.name"),
        (
            prompt(tools=[TOOL], tool_choice={"mode": "MODE_REQUIRED"}),
            {"quirks": ["no_forced_tools"]},
            "tool_choice",
        ),
    ],
)
def test_what_would_change_the_meaning_is_refused_with_its_field(
    asked: Prompt, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(asked, **fields))
    assert refused.value.reason is Reason.VENDOR_UNSUPPORTED
    assert refused.value.fields[0].field == field


def test_a_schema_that_is_no_json_is_the_callers_error() -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode(call(prompt(tools=[TOOL | {"parameters_json": "[1"}])))
    assert refused.value.reason is Reason.VENDOR_BAD_REQUEST
    assert refused.value.fields[0].field == "tools[0].parameters_json"


def test_a_schema_keeps_the_order_it_was_written_in() -> None:
    schema = '{"properties": {"z": {}, "a": {}}, "type": "object"}'
    asked = prompt(response_format={"json_schema": {"schema_json": schema}})
    assert schema.encode() in DIALECT.encode(call(asked)).body


FOREIGN = Part(reasoning=Reasoning(text="hm"), provider_data=ProviderData(vendor="other", data=b"x"))


@pytest.mark.parametrize(
    ("asked", "fields", "warning", "expected"),
    [
        (prompt(sampling={"temperature": 1.5}), {}, ("clamped", "sampling.temperature"), {"temperature": 1.0}),
        (prompt(sampling={"top_p": 1.0}), {}, ("clamped", "sampling.top_p"), {"p": 0.99}),
        (prompt(sampling={"top_k": 900}), {}, ("clamped", "sampling.top_k"), {"k": 500}),
        (
            prompt(sampling={"frequency_penalty": -1.0}),
            {},
            ("clamped", "sampling.frequency_penalty"),
            {"frequency_penalty": None},
        ),
        (
            prompt(sampling={"frequency_penalty": 0.5, "presence_penalty": 0.5}),
            {},
            ("dropped", "sampling.presence_penalty"),
            {"frequency_penalty": 0.5, "presence_penalty": None},
        ),
        (prompt(sampling={"seed": -1}), {}, ("dropped", "sampling.seed"), {"seed": None}),
        (prompt(sampling={"top_logprobs": 2}), {}, ("dropped", "sampling.top_logprobs"), {"logprobs": True}),
        (prompt(web_search=True), {}, ("dropped", "web_search"), {}),
        (prompt(tools=[TOOL], parallel_tool_calls=False), {}, ("dropped", "parallel_tool_calls"), {}),
        (
            prompt(response_format={"json_schema": {"schema_json": SCHEMA_JSON, "description": "d"}}),
            {},
            ("dropped", "response_format.json_schema.description"),
            {},
        ),
        (
            prompt(reasoning_effort="REASONING_EFFORT_LOW"),
            {"reasons": False},
            ("dropped", "reasoning_effort"),
            {"thinking": None},
        ),
        (prompt(tools=[REQUIRING, TIME]), {}, ("dropped", "tools[0].strict"), {"strict_tools": None}),
        (prompt(tools=[TIME | {"strict": True}]), {}, ("dropped", "tools[0].strict"), {"strict_tools": None}),
        (
            prompt(tools=[REQUIRING]),
            {"quirks": ["no_strict_tools"]},
            ("dropped", "tools[0].strict"),
            {"strict_tools": None},
        ),
        (
            prompt(assistant(FOREIGN, calls())),
            {},
            ("foreign_state", "messages[0].parts[0].provider_data"),
            {},
        ),
        (
            prompt(assistant(Part(reasoning=Reasoning(text="hm")), calls())),
            {"reasons": False},
            ("dropped", "messages[0].parts[0]"),
            {},
        ),
        (prompt(user("hi"), assistant()), {}, ("dropped", "messages[1]"), PLANNED),
        (
            prompt(Message(role=Role.ROLE_USER, name="Ann", parts=[Part(text=Text(text="hi"))])),
            {},
            ("dropped", "messages[0].name"),
            PLANNED,
        ),
        (
            prompt(user("hi"), Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be brief."))])),
            {},
            ("moved", "messages[1]"),
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
        ),
    ],
)
def test_what_the_vendor_cannot_take_is_left_out_or_bent_with_a_warning(
    asked: Prompt, fields: dict[str, Any], warning: tuple[str, str], expected: dict[str, Any]
) -> None:
    request = DIALECT.encode(call(asked, **fields))
    assert warned(request) == {warning}
    written = json.loads(request.body)
    assert {name: written.get(name) for name in expected} == expected
    assert "hm" not in request.body.decode()


def test_strict_arguments_are_asked_for_when_every_tool_can_promise_them() -> None:
    assert body(prompt(tools=[REQUIRING]))["strict_tools"] is True


def test_old_models_are_not_told_of_tools_they_must_not_call() -> None:
    asked = prompt(tools=[TOOL], tool_choice={"mode": "MODE_NONE"})
    assert "tools" not in body(asked, quirks=["no_forced_tools"])


NAMES = [{"name": "get-time"}, {"name": "get_time"}, {"name": "7up"}]


def test_tool_names_become_ones_the_vendor_takes_and_come_back_as_they_were() -> None:
    asked = prompt(assistant(calls("get-time"), calls("old-tool", "c2")), tools=NAMES)
    written = body(asked)
    assert [tool["function"]["name"] for tool in written["tools"]] == ["get_time_2", "get_time", "_7up"]
    (turn,) = written["messages"]
    assert [called["function"]["name"] for called in turn["tool_calls"]] == ["get_time_2", "old_tool"]
    listed = [{"id": "c", "function": {"name": name, "arguments": "{}"}} for name in ("get_time_2", "get_time", "_7up")]
    read = DIALECT.decode(call(asked), reply(json.dumps(whole(tool_calls=listed))))
    assert [part.tool_call.name for part in read.choices[0].parts] == ["get-time", "get_time", "7up"]


USAGE = {"billed_units": {"input_tokens": 2, "output_tokens": 1}, "tokens": {"input_tokens": 9, "output_tokens": 4}}
CALLED = {"id": "w_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
SAID = {"type": "text", "text": "x"}
THOUGHT = {"type": "thinking", "thinking": "hm"}


def whole(reason: str = "COMPLETE", usage: Any = USAGE, **message: Any) -> dict[str, Any]:
    return {"id": "r1", "finish_reason": reason, "message": {"role": "assistant"} | message, "usage": usage}


@pytest.mark.parametrize(
    ("message", "reason", "kinds", "expected"),
    [
        ({"content": [SAID]}, "COMPLETE", ["text"], STOP),
        ({"content": "x"}, "COMPLETE", ["text"], STOP),
        ({"content": [SAID]}, "STOP_SEQUENCE", ["text"], STOP),
        ({"content": [SAID]}, "MAX_TOKENS", ["text"], LENGTH),
        ({"content": [SAID]}, "ERROR_TOXIC", ["text"], FILTER),
        ({"content": [SAID]}, "SOMETHING_NEW", ["text"], STOP),
        ({"content": [THOUGHT, SAID]}, "COMPLETE", ["reasoning", "text"], STOP),
        ({"content": [{"type": "text", "text": ""}, {"type": "new"}]}, "COMPLETE", [], STOP),
        ({"content": None, "tool_calls": None}, "COMPLETE", [], STOP),
        ({"content": [THOUGHT], "tool_calls": [CALLED]}, "TOOL_CALL", ["reasoning", "tool_call"], TOOLS),
        (
            {"tool_plan": "ask", "tool_calls": [CALLED, CALLED]},
            "TOOL_CALL",
            ["reasoning", "tool_call", "tool_call"],
            TOOLS,
        ),
        ({"tool_calls": [CALLED]}, "COMPLETE", ["tool_call"], TOOLS),
    ],
)
def test_a_whole_answer_is_read_in_all_its_shapes(
    message: dict[str, Any], reason: str, kinds: list[str], expected: FinishReason.ValueType
) -> None:
    read = DIALECT.decode(call(), reply(json.dumps(whole(reason, **message))))
    assert [part.WhichOneof("kind") for part in read.choices[0].parts] == kinds
    assert all(part.provider_data.vendor == "acme" for part in read.choices[0].parts if part.HasField("reasoning"))
    assert read.choices[0].finish_reason == expected
    assert (read.usage.input_tokens, read.usage.output_tokens, read.usage.estimated) == (9, 4, False)
    assert read.vendor_response_id == "r1"


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        ({"id": "i", "function": {"name": "f", "arguments": "null"}}, ("i", "{}")),
        ({"id": "i", "function": {"name": "f", "arguments": ""}}, ("i", "{}")),
        ({"id": "i", "function": {"name": "f", "arguments": {"a": 1}}}, ("i", '{"a":1}')),
        ({"function": {"name": "f"}}, ("call_r1_0", "{}")),
    ],
)
def test_a_tool_call_always_has_an_id_and_arguments(called: dict[str, Any], expected: tuple[str, str]) -> None:
    read = DIALECT.decode(call(), reply(json.dumps(whole(tool_calls=[called]))))
    part = read.choices[0].parts[0].tool_call
    assert (part.id, part.arguments_json) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({**USAGE, "cached_tokens": 5}, (9, 4, 5, 0)),
        ({**USAGE, "cached_tokens": 50}, (9, 4, 9, 0)),
        ({"tokens": {"input_tokens": 9.0, "output_tokens": 4.0, "reasoning_tokens": 3}}, (9, 4, 0, 3)),
        ({"tokens": {"input_tokens": 9, "image_tokens": 20, "output_tokens": 4}}, (29, 4, 0, 0)),
        ({"billed_units": {"input_tokens": 2, "output_tokens": 1}}, (2, 1, 0, 0)),
    ],
)
def test_tokens_are_counted_not_billed_units(usage: dict[str, Any], expected: tuple[int, ...]) -> None:
    used = DIALECT.decode(call(), reply(json.dumps(whole(usage=usage, content="x")))).usage
    assert (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens) == expected


@pytest.mark.parametrize("usage", [None, {}, {"tokens": {}}])
def test_an_answer_without_counts_is_estimated(usage: Any) -> None:
    used = DIALECT.decode(call(), reply(json.dumps(whole(usage=usage, content="x")))).usage
    assert used.estimated
    assert used.input_tokens > 0 < used.output_tokens


def cited(start: int, end: int, text: str, **fields: Any) -> dict[str, Any]:
    document = {"type": "document", "id": "doc:0", "document": {"url": "https://a", "title": "A"}}
    tool = {"type": "tool", "id": "f_1:0", "tool_output": {"content": "1"}}
    return {"start": start, "end": end, "text": text, "sources": [document, tool]} | fields


def test_citations_stand_at_the_words_they_are_about() -> None:
    content = [THOUGHT, {"type": "text", "text": "Füße sind grün."}]
    listed = [cited(10, 14, "grün", content_index=1), cited(0, 4, "weg?"), cited(0, 2, "hm", content_index=0)]
    read = DIALECT.decode(call(), reply(json.dumps(whole(content=content, citations=listed))))
    found = read.choices[0].parts[1].text.citations
    assert [(one.uri, one.title, one.quote) for one in found] == [
        ("https://a", "A", "grün"),
        ("", "f_1:0", "grün"),
        ("https://a", "A", "weg?"),
        ("", "f_1:0", "weg?"),
    ]
    assert (found[0].start, found[0].end) == (10, 14)
    assert not found[2].HasField("start")


def test_a_plan_is_reasoning_that_can_go_back_as_it_came() -> None:
    read = DIALECT.decode(call(), reply(json.dumps(whole("TOOL_CALL", tool_plan="I will ask.", tool_calls=[CALLED]))))
    parts = read.choices[0].parts
    assert parts[0].reasoning.text == "I will ask."
    (turn,) = body(prompt(assistant(*parts)))["messages"]
    assert (turn["tool_plan"], turn["tool_calls"]) == ("I will ask.", [CALLED])


def test_a_plan_without_a_call_goes_back_as_thinking() -> None:
    read = DIALECT.decode(call(), reply(json.dumps(whole("MAX_TOKENS", tool_plan="I will"))))
    (turn,) = body(prompt(assistant(*read.choices[0].parts)))["messages"]
    assert turn == {"role": "assistant", "content": [{"type": "thinking", "thinking": "I will"}]}


def test_probabilities_are_read() -> None:
    weighed = whole(content="x") | {"logprobs": [{"text": "x", "token_ids": [1, 2], "logprobs": [-0.5, -0.25]}]}
    (found,) = DIALECT.decode(call(), reply(json.dumps(weighed))).choices[0].logprobs
    assert (found.token, found.logprob) == ("x", -0.75)


def test_a_model_about_to_be_removed_is_told_of() -> None:
    answer = reply(json.dumps(whole(content="x")), x_api_warning="model 'acme-1' is deprecated")
    (warning,) = DIALECT.decode(call(), answer).warnings
    assert (warning.code, warning.field) == ("deprecated", "model")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"id": "e", "message": "something went wrong"}, Reason.VENDOR_SERVER),
        ({"error": {"message": "overloaded"}}, Reason.VENDOR_OVERLOAD),
        (whole("ERROR", usage={}), Reason.VENDOR_SERVER),
        (whole("TIMEOUT"), Reason.VENDOR_SERVER),
        (whole("ERROR") | {"error": "too many tokens: shorten it"}, Reason.VENDOR_CONTEXT),
        ({"id": "e"}, Reason.VENDOR_SERVER),
        ({"message": {"content": [3]}}, Reason.VENDOR_SERVER),
        ({"message": {"tool_calls": [{}]}}, Reason.VENDOR_SERVER),
        ([], Reason.VENDOR_SERVER),
    ],
)
def test_an_error_or_nonsense_inside_a_success_is_a_fault(answer: Any, reason: Reason) -> None:
    with pytest.raises(VendorFault) as broken:
        DIALECT.decode(call(), reply(json.dumps(answer)))
    assert broken.value.fault.reason is reason
    assert broken.value.fault.message


def test_what_a_broken_answer_cost_is_told() -> None:
    with pytest.raises(VendorFault) as broken:
        DIALECT.decode(call(), reply(json.dumps(whole("ERROR"))))
    used = broken.value.fault.usage
    assert used is not None
    assert (used.input_tokens, used.output_tokens) == (9, 4)


def event(kind: str, index: int | None = None, **message: Any) -> str:
    made: dict[str, Any] = {"type": kind, "delta": {"message": message}}
    if index is not None:
        made["index"] = index
    return f"event: {kind}\ndata: {json.dumps(made)}\n\n"


def end(reason: str = "COMPLETE", **more: Any) -> str:
    told = {"type": "message-end", "delta": {"finish_reason": reason, "usage": USAGE} | more}
    return f"event: message-end\ndata: {json.dumps(told)}\n\n"


BEGIN = 'event: message-start\ndata: {"id":"r1","type":"message-start","delta":{"message":{"role":"assistant"}}}\n\n'
TEXT = (
    event("content-start", 0, content={"type": "text", "text": ""})
    + event("content-delta", 0, content={"text": "Es ist "})
    + event("content-delta", 0, content={"text": "grün"})
)
PLAN = event("tool-plan-delta", tool_plan="I will") + event("tool-plan-delta", tool_plan=" ask.")


def streamed_call(index: int, *pieces: str) -> str:
    function = {"name": "f", "arguments": ""}
    return (
        event("tool-call-start", index, tool_calls={"id": f"f_{index}", "type": "function", "function": function})
        + "".join(event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}}) for piece in pieces)
        + event("tool-call-end", index)
    )


def read(text: str, **fields: Any) -> tuple[list[Delta], Finish]:
    decoder = DIALECT.stream(call(**fields))
    deltas = decoder.feed(text.encode())
    finish = decoder.finish()
    return [*deltas, *finish.deltas], finish


def test_a_streamed_text_is_read_with_its_sources() -> None:
    source = event("citation-start", 0, citations=cited(7, 11, "grün", content_index=0))
    deltas, finish = read(BEGIN + TEXT + source + event("content-end", 0) + end() + "data: [DONE]\n\n")
    assert "".join(delta.text for delta in deltas) == "Es ist grün"
    found = [delta.citation for delta in deltas if delta.HasField("citation")]
    assert [(one.title, one.start, one.end) for one in found] == [("A", 7, 11), ("f_1:0", 7, 11)]
    assert {delta.part_index for delta in deltas} == {0}
    assert [choice.reason for choice in finish.choices] == [STOP]
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (9, 4)
    assert finish.vendor_response_id == "r1"


def test_a_streamed_plan_and_its_calls_are_read() -> None:
    deltas, finish = read(BEGIN + PLAN + streamed_call(0, "{", '"a":1}') + streamed_call(1, "null") + end("TOOL_CALL"))
    assert "".join(delta.reasoning for delta in deltas if not delta.part_index) == "I will ask."
    (kept,) = [delta.provider_data for delta in deltas if delta.HasField("provider_data")]
    assert json.loads(kept.data) == {"tool_plan": "I will ask."}
    begun = [delta.tool_call for delta in deltas if delta.HasField("tool_call")]
    assert [(one.id, one.name) for one in begun] == [("f_0", "f"), ("f_1", "f")]
    arguments = ["".join(delta.tool_arguments for delta in deltas if delta.part_index == part) for part in (1, 2)]
    assert arguments == ['{"a":1}', "{}"]
    assert finish.choices[0].reason == TOOLS


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [((), "{}"), (("",), "{}"), (("nu", "ll"), "{}"), ((" ", "{}"), " {}"), (("nu",), "nu"), (("n", "x"), "nx")],
)
def test_streamed_arguments_are_held_back_until_they_are_known_to_be_some(
    pieces: tuple[str, ...], expected: str
) -> None:
    deltas, _ = read(BEGIN + streamed_call(0, *pieces) + end("TOOL_CALL"))
    assert "".join(delta.tool_arguments for delta in deltas) == expected


def test_thinking_comes_before_the_text_it_is_about() -> None:
    thought = event("content-start", 0, content={"type": "thinking", "thinking": "h"}) + event(
        "content-delta", 0, content={"thinking": "m"}
    )
    said = event("content-delta", 1, content={"text": "x"})
    deltas, _ = read(BEGIN + thought + said + end())
    assert [(delta.part_index, delta.reasoning, delta.text) for delta in deltas] == [
        (0, "h", ""),
        (0, "m", ""),
        (1, "", "x"),
    ]
    assert [delta.provider_data.vendor for delta in deltas if delta.HasField("provider_data")] == ["acme"]


def test_streamed_probabilities_travel_with_their_text() -> None:
    weighed = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x"}}}}
    weighed["logprobs"] = {"text": "x", "token_ids": [1], "logprobs": [-0.5]}
    deltas, _ = read(BEGIN + f"data: {json.dumps(weighed)}\n\n" + end())
    assert [(one.token, one.logprob) for one in deltas[0].logprobs] == [("x", -0.5)]


def test_only_content_is_progress() -> None:
    decoder = DIALECT.stream(call())
    assert (
        decoder.feed((": ping\n\n" + BEGIN + event("content-start", 0, content={"type": "text", "text": ""})).encode())
        == []
    )
    assert decoder.feed(b'event: new-kind\ndata: {"type":"new-kind"}\n\n') == []


def test_a_stream_without_its_last_event_is_incomplete_and_what_came_is_estimated() -> None:
    decoder = DIALECT.stream(call())
    decoder.feed((BEGIN + TEXT + "data: [DONE]\n\n").encode())
    assert decoder.partial_usage().estimated
    assert decoder.partial_usage().output_tokens >= 2
    with pytest.raises(VendorFault) as broken:
        decoder.finish()
    assert broken.value.fault.reason is Reason.VENDOR_INCOMPLETE


def test_a_last_event_without_its_blank_line_counts() -> None:
    deltas, finish = read(BEGIN + PLAN + end("MAX_TOKENS").rstrip())
    assert finish.choices[0].reason == LENGTH
    assert deltas[-1].HasField("provider_data")


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (end("ERROR", usage={}, error="invalid tool generation", error_type="INVALID_TOOL_GENERATION"), "SERVER"),
        (end("TIMEOUT"), "SERVER"),
        ('data: {"id":"e","message":"You are past the per minute request limit"}\n\n', "THROTTLED"),
        ('event: error\ndata: {"error":{"message":"at capacity"}}\n\n', "OVERLOAD"),
        ("data: {nonsense\n\n", "SERVER"),
        ('data: {"type":"content-delta","index":0}\n\n', "SERVER"),
        ('data: {"type":"tool-call-delta","index":3,"delta":{}}\n\n', "SERVER"),
        ("data: " + "x" * 1_000_001, "SERVER"),
    ],
)
def test_an_error_or_nonsense_in_a_stream_is_a_fault_after_what_came_before_it(last: str, reason: str) -> None:
    decoder = DIALECT.stream(call())
    assert len(decoder.feed((BEGIN + TEXT).encode())) == 2
    with pytest.raises(VendorFault) as broken:
        decoder.feed(last.encode())
    assert broken.value.fault.reason == f"VENDOR_{reason}"
    assert broken.value.fault.retryable


STREAM = (
    BEGIN
    + PLAN
    + TEXT
    + event("citation-start", 0, citations=cited(7, 11, "grün"))
    + streamed_call(0, "{}", "")
    + end("TOOL_CALL")
)


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=12), st.booleans())
def test_a_stream_says_the_same_however_it_is_cut(cuts: list[int], crlf: bool) -> None:
    whole_deltas, whole_finish = read(STREAM)
    data = (STREAM.replace("\n", "\r\n") if crlf else STREAM).encode()
    decoder = DIALECT.stream(call())
    edges = [0, *sorted(cuts), len(data)]
    deltas = [delta for a, b in pairwise(edges) for delta in decoder.feed(data[a:b])]
    assert deltas == whole_deltas
    assert decoder.finish() == whole_finish


MONTHLY = (
    "You are using a Trial key, which is limited to 1000 API calls / month. You can continue to use the Trial key."
)


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (400, "invalid request: temperature must be between 0 and 1.0 inclusive.", "BAD_REQUEST"),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292.", "CONTEXT"),
        (400, "too many tokens: size limit exceeded by 11326 tokens. Try using shorter or fewer inputs.", "CONTEXT"),
        (400, "invalid request: safety_mode must be one of CONTEXTUAL, STRICT", "BAD_REQUEST"),
        (401, "invalid api token", "AUTH"),
        (401, "no api key supplied", "AUTH"),
        (401, "Your API key has expired. Please create a production key", "AUTH"),
        (402, "Please add or update your payment method to continue", "QUOTA"),
        (402, "Maximum billing reached for this API key as set in your dashboard", "QUOTA"),
        (403, "the user does not have the necessary permissions", "PERMISSION"),
        (404, "model 'xyz' not found, make sure the correct model ID was used", "NOT_FOUND"),
        (404, "model 'command-r' was removed on September 15, 2025. See the docs", "RETIRED"),
        (422, "invalid request: message must be at least 1 token long", "BAD_REQUEST"),
        (429, "You are past the per minute request limit, please wait and try again later.", "THROTTLED"),
        (429, "You are using a Trial key, which is limited to 40 API calls / minute.", "THROTTLED"),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", "THROTTLED"),
        (429, "Please wait and try again later", "THROTTLED"),
        (429, MONTHLY, "QUOTA"),
        (429, "You are past the per-month request limit for this model", "QUOTA"),
        (498, "the request contains a deny-listed token", "CONTENT_FILTER"),
        (498, "invalid token", "AUTH"),
        (499, "request cancelled by user", "SERVER"),
        (500, "internal server error", "SERVER"),
        (501, "not implemented", "SERVER"),
        (503, "service unavailable", "SERVER"),
        (503, "too many users are trying to access the service", "OVERLOAD"),
        (504, "", "SERVER"),
    ],
)
def test_an_error_means_what_its_status_and_sentence_say(status: int, message: str, reason: str) -> None:
    told = reply(json.dumps({"id": "e", "message": message}), status)
    fault = DIALECT.classify(call(), told)
    assert fault.reason == f"VENDOR_{reason}"
    assert fault.message == (message or f"HTTP {status}")
    assert (fault.http_status, fault.answered) == (status, True)


@pytest.mark.parametrize("text", ["upstream connect error", "", "[1]", '{"message": {"a": 1}}', '{"error": "no"}'])
def test_an_error_of_an_unknown_shape_is_told_by_its_status(text: str) -> None:
    fault = DIALECT.classify(call(), reply(text, 503))
    assert fault.reason is Reason.VENDOR_SERVER
    assert fault.message


def test_a_row_may_say_what_an_error_of_its_vendor_means() -> None:
    subject = Subject("acme", errors=(Rule(Reason.VENDOR_PERMISSION, frozenset({400}), ("not for you",)),))
    fault = DIALECT.classify(subject, reply('{"message":"not for you"}', 400))
    assert fault.reason is Reason.VENDOR_PERMISSION


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Fri, 20 Nov 2026 12:00:00 GMT", 10.5 * 86400),
        ("Thu, 31 Dec 2026 23:59:30 GMT", 30),
        ("Sun, 28 Feb 2027 22:00:00 -0100", 3600),
        ("", 3600),
        ("gestern", 3600),
    ],
)
def test_a_monthly_quota_is_closed_for_the_account_until_the_month_ends(date: str, seconds: float) -> None:
    told = reply(json.dumps({"message": MONTHLY}), 429, date=date)
    fault = DIALECT.classify(call(quirks=["limits_per_model"]), told)
    seen, closed = fault.observations
    assert fault.retry_after == seconds
    assert (seen.unit, seen.window, seen.limit, seen.remaining) == (Observation.UNIT_REQUESTS, "month", 1000, 0)
    assert (closed.scope, closed.closed_for.seconds) == (Observation.SCOPE_ACCOUNT, int(seconds))


def test_a_monthly_limit_of_one_model_closes_that_model() -> None:
    told = reply('{"message":"You are past the per-month request limit for this model"}', 429)
    (closed,) = DIALECT.classify(call(), told).observations
    assert (closed.scope, closed.model) == (Observation.SCOPE_MODEL, "acme-1")


@pytest.mark.parametrize(
    ("headers", "after"),
    [({}, None), ({"retry_after": "7"}, 7.0), ({"retry_after_ms": "1500"}, 1.5)],
)
def test_a_throttled_minute_closes_the_model_for_as_long_as_said(headers: dict[str, str], after: float | None) -> None:
    message = "You are using a Trial key, which is limited to 20 API calls / minute."
    fault = DIALECT.classify(call(quirks=["limits_per_model"]), reply(json.dumps({"message": message}), 429, **headers))
    seen, closed = fault.observations
    assert fault.retry_after == after
    assert (seen.window, seen.limit, seen.remaining, seen.model) == ("minute", 20, 0, "acme-1")
    assert (closed.scope, closed.closed_for.seconds) == (Observation.SCOPE_MODEL, int(after or 5))


def test_tokens_of_a_minute_are_observed() -> None:
    told = reply('{"message":"trial token rate limit exceeded, limit is 100000 tokens per minute"}', 429)
    seen = DIALECT.classify(call(), told).observations[0]
    assert (seen.unit, seen.limit, seen.window) == (Observation.UNIT_TOKENS, 100_000, "minute")


def test_the_headers_of_a_trial_key_are_observed() -> None:
    headers = {
        "x-endpoint-monthly-call-limit": "1000",
        "x-trial-endpoint-call-limit": "40",
        "x-trial-endpoint-call-remaining": "39",
    }
    minute, month = DIALECT.observe(call(quirks=["limits_per_model"]), headers)
    assert (minute.window, minute.limit, minute.remaining, minute.model) == ("minute", 40, 39, "acme-1")
    assert (month.window, month.limit, month.HasField("remaining")) == ("month", 1000, False)
    assert month.scope == Observation.SCOPE_ACCOUNT
    assert DIALECT.observe(call(), {}) == []
    assert DIALECT.observe(call(), {"x-trial-endpoint-call-limit": "many"}) == []


def test_vectors_are_asked_for_and_read_in_order() -> None:
    asked = EmbedCall("acme", "embed-1", texts=["a", "b"], dimensions=2)
    request = DIALECT.encode_embed(asked)
    assert (request.method, request.path) == ("POST", "/v2/embed")
    assert json.loads(request.body) == {
        "model": "embed-1",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "truncate": "NONE",
        "output_dimension": 2,
    }
    meta = {"billed_units": {"input_tokens": 4}}
    for embeddings in ({"float": [[1, 0], [0, 1]]}, [[1, 0], [0, 1]], {"base64": ["AACAPwAAAAA=", "AAAAAAAAgD8="]}):
        answer = DIALECT.decode_embed(asked, reply(json.dumps({"embeddings": embeddings, "meta": meta})))
        assert [list(one.values) for one in answer.embeddings] == [[1, 0], [0, 1]]
        assert (answer.usage.input_tokens, answer.usage.estimated) == (4, False)


@pytest.mark.parametrize("answer", [{"message": "no"}, {"embeddings": {}}, {"embeddings": {"float": [3]}}, {}])
def test_vectors_that_are_none_are_a_fault(answer: dict[str, Any]) -> None:
    with pytest.raises(VendorFault):
        DIALECT.decode_embed(EmbedCall("acme", "embed-1", texts=["a"]), reply(json.dumps(answer)))


def test_too_many_texts_are_refused() -> None:
    with pytest.raises(MeshError) as refused:
        DIALECT.encode_embed(EmbedCall("acme", "embed-1", texts=["a"] * 97))
    assert refused.value.fields[0].field == "texts"


def test_vectors_without_counts_are_estimated() -> None:
    answer = DIALECT.decode_embed(EmbedCall("acme", "e", texts=["abcdefgh"]), reply('{"embeddings":{"float":[[1]]}}'))
    assert answer.usage.estimated


def test_models_for_chat_and_vectors_are_listed() -> None:
    rows = [
        {"name": "a", "endpoints": ["chat"], "context_length": 128000},
        {"name": "b", "endpoints": ["rerank"]},
        {"name": "c", "endpoints": ["embed"]},
        {"name": None},
    ]
    found = DIALECT.decode_models(reply(json.dumps({"models": rows})))
    assert [(one.id, one.context_window) for one in found] == [("a", 128000), ("c", 0)]
    assert DIALECT.encode_models(Subject("acme")).path.startswith("/v1/models")
