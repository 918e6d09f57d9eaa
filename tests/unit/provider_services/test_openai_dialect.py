"""The chat-completions dialect, both ways."""

import json
from typing import Any

import pytest
from fixtures.prompts import SCHEMA, SCHEMA_JSON, call, prompt, reply, warned
from google.protobuf.json_format import ParseDict
from llmmesh.chat.v1.chat_pb2 import (
    FinishReason,
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

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Subject, VendorFault

DIALECT = DIALECTS["openai"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS, FILTER = FinishReason.FINISH_REASON_TOOL_CALLS, FinishReason.FINISH_REASON_CONTENT_FILTER
TOOL = {"name": "weather", "description": "Tells it.", "parameters_json": SCHEMA_JSON, "strict": True}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True}


def body(asked: Prompt, **fields: Any) -> dict[str, Any]:
    encoded: dict[str, Any] = json.loads(DIALECT.encode(call(asked, **fields)).body)
    return encoded


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"sampling": {"temperature": 0.5, "top_p": 0.9}}, {"temperature": 0.5, "top_p": 0.9}),
        ({"sampling": {"temperature": 0}}, {"temperature": 0}),
        ({"sampling": {"max_output_tokens": 7, "stop": ["a"], "seed": 3}}, {"max_tokens": 7, "stop": ["a"], "seed": 3}),
        (
            {"sampling": {"frequency_penalty": 1, "presence_penalty": -1}},
            {"frequency_penalty": 1, "presence_penalty": -1},
        ),
        ({"sampling": {"n": 2}}, {"n": 2}),
        ({"sampling": {"top_logprobs": 2}}, {"logprobs": True, "top_logprobs": 2}),
        ({"sampling": {"top_logprobs": 0}}, {"logprobs": True}),
        ({"reasoning_effort": "REASONING_EFFORT_EXTRA_HIGH"}, {"reasoning_effort": "xhigh"}),
        ({"reasoning_effort": "REASONING_EFFORT_NONE"}, {"reasoning_effort": "none"}),
        ({"reasoning_effort": "REASONING_EFFORT_AUTO"}, {}),
        ({"response_format": {"json_object": {}}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"json_schema": {"name": "w", "schema_json": SCHEMA_JSON, "strict": True}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "w", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        ({"tools": [TOOL]}, {"tools": [{"type": "function", "function": FUNCTION}]}),
        ({"tool_choice": {"mode": "MODE_REQUIRED"}, "parallel_tool_calls": False}, {}),
        ({}, {}),
    ],
)
def test_a_prompts_fields_are_written_as_the_wire_names_them(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body(prompt(**fields)) == {
        "model": "acme-1",
        "messages": [{"role": "user", "content": "hi"}],
        **expected,
    }


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"mode": "MODE_AUTO"}, "auto"),
        ({"mode": "MODE_NONE"}, "none"),
        ({"mode": "MODE_REQUIRED"}, "required"),
        ({"mode": "MODE_NAMED", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
        ({}, None),
    ],
)
def test_the_tool_choice_is_written_beside_tools(choice: dict[str, str], expected: Any) -> None:
    written = body(prompt(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False))
    assert written.get("tool_choice") == expected
    assert written["parallel_tool_calls"] is False


def test_a_stream_asks_for_its_usage() -> None:
    request = DIALECT.encode(call(stream=True))
    assert json.loads(request.body)["stream_options"] == {"include_usage": True}
    assert (request.path, request.accept) == ("/chat/completions", "text/event-stream")


def test_a_row_may_replace_the_path() -> None:
    assert DIALECT.encode(call(paths={"chat": "/v2/talk"})).path == "/v2/talk"


def test_every_kind_of_turn_is_written() -> None:
    asked = prompt(
        Message(role=Role.ROLE_SYSTEM, parts=[Part(text=Text(text="Be brief."))]),
        Message(
            role=Role.ROLE_USER,
            name="ann",
            parts=[
                Part(text=Text(text="look")),
                Part(image=ParseDict({"uri": "https://x/y.png", "detail": "IMAGE_DETAIL_LOW"}, Image())),
                Part(image=Image(mime_type="image/png", data=b"\x89P")),
            ],
        ),
        Message(
            role=Role.ROLE_ASSISTANT,
            parts=[
                Part(text=Text(text="calling")),
                Part(tool_call=ToolCall(id="c1", name="weather", arguments_json='{"city":"Paris"}')),
                Part(tool_call=ToolCall(id="c2", name="weather")),
            ],
        ),
        Message(
            role=Role.ROLE_TOOL,
            parts=[
                Part(tool_result=ToolResult(tool_call_id="c1", text="sun")),
                Part(tool_result=ToolResult(tool_call_id="c2", text="no city", is_error=True)),
            ],
        ),
        Message(role=Role.ROLE_ASSISTANT, parts=[Part(refusal=Refusal(text="No."))]),
        Message(role=Role.ROLE_ASSISTANT),
    )
    assert body(asked)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ann",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVA="}},
            ],
        },
        {
            "role": "assistant",
            "content": "calling",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "tool", "tool_call_id": "c2", "content": "no city"},
        {"role": "assistant", "refusal": "No."},
        {"role": "assistant", "content": ""},
    ]


def thought(vendor: str = "", data: bytes = b"") -> Message:
    part = Part(reasoning=Reasoning(text="hm"))
    if vendor:
        part.provider_data.CopyFrom(ProviderData(vendor=vendor, data=data))
    return Message(role=Role.ROLE_ASSISTANT, parts=[part, Part(text=Text(text="so"))])


def test_reasoning_goes_back_only_to_a_vendor_that_takes_it() -> None:
    dropped = DIALECT.encode(call(prompt(thought())))
    assert warned(dropped) == {("dropped", "messages[0].parts[0]")}
    kept = body(prompt(thought()), quirks=["reasoning_returns_as_reasoning_content"])
    assert kept["messages"] == [{"role": "assistant", "content": "so", "reasoning_content": "hm"}]


def test_state_of_this_vendor_goes_back_verbatim_and_anothers_is_left_out_with_a_warning() -> None:
    details = [{"type": "reasoning.encrypted", "data": "xyz"}]
    state = json.dumps({"reasoning_details": details}).encode()
    assert body(prompt(thought("acme", state)))["messages"][0]["reasoning_details"] == details
    foreign = DIALECT.encode(call(prompt(thought("other", b"\x00")), quirks=["reasoning_returns_as_reasoning"]))
    assert ("foreign_state", "messages[0].parts[0].provider_data") in warned(foreign)
    assert json.loads(foreign.body)["messages"] == [{"role": "assistant", "content": "so"}]


# Answers


def answer(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> str:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    return json.dumps({"id": "r1", "model": "acme-1-0101", "choices": [choice], "usage": usage} | fields)


CALLED = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("message", "finish", "kinds", "reason"),
    [
        ({"content": "hello"}, "stop", ["text"], STOP),
        ({"content": "hel"}, "length", ["text"], LENGTH),
        ({"content": None, "tool_calls": [CALLED]}, "tool_calls", ["tool_call"], TOOLS),
        ({"tool_calls": [CALLED, CALLED]}, "stop", ["tool_call", "tool_call"], TOOLS),
        ({"content": "", "tool_calls": [CALLED]}, "length", ["tool_call"], LENGTH),
        ({"content": "both", "tool_calls": [CALLED]}, "tool_call", ["text", "tool_call"], TOOLS),
        ({"content": "x", "tool_calls": None}, "eos", ["text"], STOP),
        ({"content": "x", "tool_calls": []}, None, ["text"], STOP),
        ({"content": None, "refusal": "No."}, "stop", ["refusal"], FILTER),
        ({"content": "x"}, "content_filter", ["text"], FILTER),
        ({"content": "x"}, "model_length", ["text"], LENGTH),
        ({"content": "x", "reasoning_content": "hm"}, "stop", ["reasoning", "text"], STOP),
        ({"content": "x", "reasoning": "hm"}, "stop", ["reasoning", "text"], STOP),
        ({"content": None, "function_call": CALLED["function"]}, "function_call", ["tool_call"], TOOLS),
        ({"content": {"a": 1}}, "stop", ["text"], STOP),
        (
            {"content": [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "x"}]},
            "stop",
            ["reasoning", "text"],
            STOP,
        ),
    ],
)
def test_a_whole_answer_is_read_in_all_its_shapes(
    message: dict[str, Any], finish: str, kinds: list[str], reason: FinishReason.ValueType
) -> None:
    read = DIALECT.decode(call(), reply(answer(message, finish)))
    assert [part.WhichOneof("kind") for part in read.choices[0].parts] == kinds
    assert read.choices[0].finish_reason == reason
    assert (read.vendor_response_id, read.vendor_model) == ("r1", "acme-1-0101")


def test_several_answers_keep_their_indices() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (1, 0)]
    read = DIALECT.decode(call(), reply(json.dumps({"choices": choices})))
    assert [(choice.index, choice.parts[0].text.text) for choice in read.choices] == [(1, "1"), (0, "0")]


def test_citations_and_probabilities_are_read() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 5}}
    found = {"search_results": {"results": [{"url": "v", "title": "w", "content": "q"}]}}
    token = {"token": "hello", "logprob": -0.5, "top_logprobs": [{"token": "hi", "logprob": -1.0}]}
    message = {"content": "hello", "annotations": [cited], "executed_tools": [found]}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": {"content": [token]}}
    read = DIALECT.decode(call(), reply(json.dumps({"choices": [choice]}))).choices[0]
    citations = read.parts[0].text.citations
    assert [(c.uri, c.title, c.quote, c.start, c.end) for c in citations] == [
        ("u", "t", "", 0, 5),
        ("v", "w", "q", 0, 0),
    ]
    assert not citations[1].HasField("start")
    assert (read.logprobs[0].token, read.logprobs[0].logprob) == ("hello", -0.5)
    assert read.logprobs[0].alternatives[0].token == "hi"


@pytest.mark.parametrize(
    ("counted", "quirks", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, [], (9, 4, 0, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 8},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            [],
            (9, 4, 8, 3),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 19,
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            [],
            (9, 10, 0, 6),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 6}},
            ["reasoning_outside_output"],
            (9, 10, 0, 6),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 0, "prompt_cache_hit_tokens": 5}, [], (9, 0, 5, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 4}, [], (9, 1, 4, 0)),
        ({"prompt_tokens": "9", "completion_tokens": -1, "prompt_tokens_details": None}, [], (0, 0, 0, 0)),
    ],
)
def test_usage_is_counted_in_the_vendors_own_arithmetic(
    counted: dict[str, Any], quirks: list[str], expected: tuple[int, ...]
) -> None:
    used = DIALECT.decode(call(quirks=quirks), reply(answer({"content": "x"}, usage=counted))).usage
    read = (used.input_tokens, used.output_tokens, used.cached_input_tokens, used.reasoning_tokens)
    assert read == expected
    assert not used.estimated


def test_usage_the_vendor_did_not_count_is_a_flagged_guess() -> None:
    used = DIALECT.decode(call(), reply(answer({"content": "x" * 32}, usage=None))).usage
    assert used.estimated
    assert used.input_tokens > 0
    assert used.output_tokens >= 10


@pytest.mark.parametrize(
    "broken",
    ["", "not json", "[]", "{}", '{"choices":[]}', '{"choices":[1]}', '{"choices":[{"message":{"content":3}}]}'],
)
def test_nonsense_is_a_fault_of_the_vendors_and_no_crash(broken: str) -> None:
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply(broken))
    assert fault.value.fault.reason is Reason.VENDOR_SERVER
    assert not fault.value.fault.answered


def test_an_error_inside_a_success_is_an_error() -> None:
    with pytest.raises(VendorFault) as fault:
        DIALECT.decode(call(), reply('{"error":{"message":"slow down","code":429}}'))
    assert fault.value.fault.reason is Reason.VENDOR_THROTTLED
    assert fault.value.fault.answered


# Streams


def events(*chunks: Any, done: bool = True) -> bytes:
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n" if done else ""]).encode()


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **fields: Any) -> Any:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    return {"id": "r1", "model": "acme-1-0101", "choices": [choice]} | fields


def test_a_stream_of_text_reasoning_and_calls_is_put_into_parts() -> None:
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(
        events(
            {"choices": [], "prompt_filter_results": []},
            chunk({"role": "assistant", "content": ""}),
            chunk({"reasoning_content": "hm"}),
            chunk({"content": "Hel"}),
            chunk({"content": "lo"}),
            chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]}),
            chunk({"tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": '{"a"'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
            chunk({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "g", "arguments": "{}"}}]}),
            chunk(finish="tool_calls"),
            chunk(finish="tool_calls"),
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}},
        )
    )
    pieces = [(delta.part_index, delta.WhichOneof("piece")) for delta in deltas]
    assert pieces == [
        (0, "reasoning"),
        (1, "text"),
        (1, "text"),
        (2, "tool_call"),
        (2, "tool_arguments"),
        (2, "tool_arguments"),
        (3, "tool_call"),
    ]
    assert (deltas[3].tool_call.id, deltas[3].tool_call.name) == ("c1", "f")
    assert deltas[6].tool_call.arguments_json == "{}"
    finish = decoder.finish()
    assert [(end.choice_index, end.reason) for end in finish.choices] == [(0, TOOLS)]
    assert (finish.usage.input_tokens, finish.usage.output_tokens) == (3, 9)
    assert (finish.vendor_response_id, finish.vendor_model) == ("r1", "acme-1-0101")


def test_calls_without_index_id_or_whole_name_are_told_apart() -> None:
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(
        events(
            chunk({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}),
            chunk({"tool_calls": [{"id": "b", "function": {"arguments": "{"}}]}),
            chunk({"tool_calls": [{"function": {"name": "g", "arguments": "}"}}]}),
            chunk({"tool_calls": [{"index": 7, "function": {"name": "h"}}]}, finish="tool_calls"),
        )
    )
    calls = [delta.tool_call for delta in deltas if delta.HasField("tool_call")]
    assert [(made.id, made.name, made.arguments_json) for made in calls] == [
        ("a", "f", "{}"),
        ("b", "g", "{}"),
        ("call_r1_7", "h", ""),
    ]


def test_several_answers_stream_apart_and_all_must_end() -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(events(chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk(finish="stop"), done=False))
    with pytest.raises(VendorFault) as cut:
        decoder.finish()
    assert cut.value.fault.reason is Reason.VENDOR_INCOMPLETE
    decoder.feed(events(chunk(finish="length", index=1), done=False))
    assert [end.reason for end in decoder.finish().choices] == [STOP, LENGTH]


@pytest.mark.parametrize("stream", [b"", b": ping\n\n", events(chunk({"content": "a"}), done=False), b'data: {"cho'])
def test_a_stream_without_its_finish_is_incomplete_never_a_success(stream: bytes) -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(stream)
    with pytest.raises(VendorFault) as cut:
        decoder.finish()
    assert cut.value.fault.reason is Reason.VENDOR_INCOMPLETE


def test_a_refusal_that_ends_with_stop_is_a_content_filter() -> None:
    decoder = DIALECT.stream(call())
    (delta,) = decoder.feed(events(chunk({"refusal": ""}), chunk({"refusal": "No."}), chunk(finish="stop")))
    assert delta.refusal == "No."
    assert decoder.finish().choices[0].reason == FILTER


def test_the_last_usage_wins_wherever_it_stands() -> None:
    decoder = DIALECT.stream(call())
    one = {"prompt_tokens": 3, "completion_tokens": 1}
    two = {"prompt_tokens": 3, "completion_tokens": 2}
    decoder.feed(events(chunk({"content": "a"}, usage=one), chunk(finish="stop", x_acme={"usage": two}), done=False))
    assert decoder.finish().usage.output_tokens == 2


def test_a_stream_nobody_counted_is_estimated_from_what_came() -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(events(*[chunk({"content": "a"})] * 5, chunk(finish="stop")))
    assert decoder.partial_usage().output_tokens == 5
    used = decoder.finish().usage
    assert (used.output_tokens, used.estimated) == (5, True)
    assert used.input_tokens > 0


def test_thinking_tags_in_a_stream_become_reasoning() -> None:
    decoder = DIALECT.stream(call(quirks=["think_tags"]))
    deltas = decoder.feed(
        events(*[chunk({"content": piece}) for piece in ("<th", "ink>h", "m</thi", "nk>so")], chunk(finish="stop"))
    )
    assert "".join(delta.reasoning for delta in deltas) == "hm"
    assert "".join(delta.text for delta in deltas) == "so"


def test_opaque_reasoning_is_kept_whole_for_the_next_turn() -> None:
    pieces = [{"type": "reasoning.text", "text": "a"}, {"type": "reasoning.encrypted", "data": "z"}]
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(
        events(*[chunk({"reasoning": "a", "reasoning_details": [piece]}) for piece in pieces], chunk(finish="stop"))
    )
    kept = deltas[-1].provider_data
    assert kept.vendor == "acme"
    assert json.loads(kept.data) == {"reasoning_details": pieces}
    assert deltas[-1].part_index == 0


def test_fragments_of_opaque_reasoning_are_one_again_for_the_next_turn() -> None:
    text = {"type": "reasoning.text", "format": "f", "index": 0}
    fragments = [
        text | {"text": "Let me ", "signature": None},
        {"type": "reasoning.summary", "summary": "su", "index": 1},
        text | {"text": "see."},
        {"type": "reasoning.encrypted", "data": "a", "index": 0},
        text | {"signature": "sealed"},
        {"type": "reasoning.summary", "summary": "m", "index": 1},
        {"type": "reasoning.encrypted", "data": "b", "index": 0},
        "odd",
    ]
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(events(*[chunk({"reasoning_details": [one]}) for one in fragments], chunk(finish="stop")))
    assert json.loads(deltas[-1].provider_data.data)["reasoning_details"] == [
        text | {"text": "Let me see.", "signature": "sealed"},
        {"type": "reasoning.summary", "summary": "sum", "index": 1},
        {"type": "reasoning.encrypted", "data": "a", "index": 0},
        {"type": "reasoning.encrypted", "data": "b", "index": 0},
        "odd",
    ]


@pytest.mark.parametrize(
    ("quirks", "marked"),
    [
        ([], False),
        (["think_tags"], False),
        (["reasoning_returns_as_reasoning"], True),
        (["reasoning_content_required"], True),
        (["thinking_returns_in_content"], True),
    ],
)
def test_reasoning_that_goes_back_as_text_is_marked_with_whose_it_is(quirks: list[str], marked: bool) -> None:
    asked = call(quirks=quirks)
    whole = DIALECT.decode(asked, reply(answer({"content": "x", "reasoning": "hm"}))).choices[0].parts
    decoder = DIALECT.stream(asked)
    deltas = decoder.feed(events(chunk({"reasoning": "hm"}), chunk({"content": "x"}), chunk(finish="stop")))
    streamed = [delta.provider_data for delta in deltas if delta.part_index == 0 and delta.HasField("provider_data")]
    data = ProviderData(vendor="acme", model="acme-1")
    assert ([part.provider_data for part in whole if part.HasField("provider_data")] == [data]) is marked
    assert (streamed == [data]) is marked
    silent = DIALECT.decode(asked, reply(answer({"content": "x"}))).choices[0].parts
    assert not any(part.HasField("provider_data") for part in silent)


def test_citations_and_probabilities_come_with_the_stream() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t"}}
    listed = {"content": [{"token": "a", "logprob": -1.0, "top_logprobs": []}]}
    weighed = chunk({"content": "a"})
    weighed["choices"][0]["logprobs"] = listed
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(events(weighed, chunk({"role": "assistant", "annotations": [cited]}), chunk(finish="stop")))
    assert deltas[0].logprobs[0].token == "a"
    assert (deltas[1].citation.uri, deltas[1].part_index) == ("u", 0)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"error": {"message": "boom", "code": 502}}, Reason.VENDOR_SERVER),
        (
            {"error": {"message": "bad call", "type": "invalid_request_error", "code": "x", "status_code": 400}},
            Reason.VENDOR_BAD_REQUEST,
        ),
        ({"error": {"message": "x", "type": "rate_limit_error"}}, Reason.VENDOR_THROTTLED),
        ({"error": "overloaded"}, Reason.VENDOR_OVERLOAD),
        ({"choices": 7}, Reason.VENDOR_SERVER),
        ({"choices": [{"delta": {"content": 7}}]}, Reason.VENDOR_SERVER),
        ({"choices": [{"delta": {"tool_calls": [3]}}]}, Reason.VENDOR_SERVER),
    ],
)
def test_an_error_or_nonsense_in_a_stream_ends_it(event: Any, reason: Reason) -> None:
    decoder = DIALECT.stream(call())
    assert [delta.text for delta in decoder.feed(events(chunk({"content": "a"}), event))] == ["a"]
    with pytest.raises(VendorFault) as broken:
        decoder.feed(b"")
    assert broken.value.fault.reason is reason
    assert decoder.partial_usage().output_tokens == 1


@pytest.mark.parametrize("line", [b"data: {]\n\n", b"data: \xff\xfe\n\n", b"data: " + b"x" * 1_000_001])
def test_a_broken_line_is_a_fault_and_no_crash(line: bytes) -> None:
    with pytest.raises(VendorFault):
        DIALECT.stream(call()).feed(line)


# Vectors and models


def test_vectors_come_back_in_the_order_of_the_texts() -> None:
    asked = EmbedCall("acme", "e1", texts=["a", "b"], dimensions=2)
    written = json.loads(DIALECT.encode_embed(asked).body)
    assert written == {"model": "e1", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2}
    rows = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": "AACAPwAAAEA="}]
    read = DIALECT.decode_embed(asked, reply(json.dumps({"data": rows, "usage": {"prompt_tokens": 2}})))
    assert [list(vector.values) for vector in read.embeddings] == [[1, 2], [3, 4]]
    assert read.usage.input_tokens == 2
    with pytest.raises(VendorFault):
        DIALECT.decode_embed(asked, reply("{}"))


def test_models_are_listed() -> None:
    assert DIALECT.encode_models(Subject("acme")).path == "/models"
    listed = DIALECT.decode_models(reply('{"data":[{"id":"a","context_window":8},{"id":3},7]}'))
    assert [(model.id, model.context_window) for model in listed] == [("a", 8)]


@pytest.mark.parametrize("arguments", ['{"a":1}', {"a": 1}])
def test_arguments_may_come_as_json_itself(arguments: Any) -> None:
    called = {"id": "c1", "function": {"name": "f", "arguments": arguments}}
    body = {"choices": [{"index": None, "message": {"tool_calls": [called]}, "finish_reason": "tool_calls"}]}
    (part,) = DIALECT.decode(call(), reply(json.dumps(body))).choices[0].parts
    assert part.tool_call.arguments_json == '{"a":1}'
    (delta,) = DIALECT.stream(call()).feed(events(chunk({"tool_calls": [{"index": 0, **called}]})))
    assert delta.tool_call.arguments_json == '{"a":1}'


def test_a_field_of_old_calls_filled_with_nothing_is_no_call() -> None:
    message = {"content": "hi", "function_call": {"name": "", "arguments": ""}}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": ""}]}
    assert len(DIALECT.decode(call(), reply(json.dumps(body))).choices[0].parts) == 1


def test_usage_may_be_in_the_first_choice_and_details_may_hold_the_reasoning() -> None:
    last = chunk(finish="stop")
    last["choices"][0]["usage"] = {"prompt_tokens": 8, "cached_tokens": 2}
    decoder = DIALECT.stream(call())
    (delta,) = decoder.feed(events(chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]})))
    assert delta.reasoning == "hm"
    decoder.feed(events(last))
    used = decoder.finish().usage
    assert (used.input_tokens, used.cached_input_tokens) == (8, 2)


def test_an_event_that_only_the_end_of_the_stream_completes_counts() -> None:
    decoder = DIALECT.stream(call())
    assert decoder.feed(events(chunk({"content": "a"}, finish="stop"), done=False).rstrip(b"\n")) == []
    assert [delta.text for delta in decoder.finish().deltas] == ["a"]
