"""Whole answers of the messages dialect, its lists, and what it does not have."""

import contextlib
import json
from typing import Any

import pytest
from fixtures.prompts import call, prompt, reply, user, warned
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import Citation, FinishReason, Message, Part, Role, ToolCall, ToolResult

from meshkit.errors import MeshError, Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Subject, VendorFault

DIALECT = DIALECTS["anthropic"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS, FILTER = FinishReason.FINISH_REASON_TOOL_CALLS, FinishReason.FINISH_REASON_CONTENT_FILTER

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "acme-1-dated",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"encrypted_content": "e"}]},
        {"type": "text", "text": "So "},
        {
            "type": "text",
            "text": "it is.",
            "citations": [
                {
                    "type": "web_search_result_location",
                    "url": "https://x",
                    "title": "X",
                    "cited_text": "c",
                    "encrypted_index": "i",
                }
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome", "days": 2}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 3,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2},
    },
}


def test_an_answer_is_read_part_by_part() -> None:
    completion = DIALECT.decode(call(), reply(json.dumps(ANSWER)))
    parts = completion.choices[0].parts
    assert [part.WhichOneof("kind") for part in parts] == ["reasoning", "reasoning", *["text"] * 4, "tool_call"]
    assert parts[0].reasoning.text == "Hm."
    assert parts[4].text.text + parts[5].text.text == "So it is."
    assert list(parts[5].text.citations) == [Citation(uri="https://x", title="X", quote="c")]
    assert parts[6].tool_call == ToolCall(id="toolu_1", name="weather", arguments_json='{"city":"Rome","days":2}')
    assert completion.choices[0].finish_reason == TOOLS
    assert (completion.vendor_response_id, completion.vendor_model) == ("msg_1", "acme-1-dated")
    used = completion.usage
    assert (used.input_tokens, used.cached_input_tokens, used.cache_write_tokens) == (18, 5, 3)
    assert (used.output_tokens, used.reasoning_tokens, used.estimated) == (7, 2, False)


def test_an_answer_sent_back_is_the_answer_that_came() -> None:
    parts = DIALECT.decode(call(), reply(json.dumps(ANSWER))).choices[0].parts
    result = Part(tool_result=ToolResult(tool_call_id="toolu_1", text="sunny"))
    spoken = Message(role=Role.ROLE_ASSISTANT, parts=parts)
    asked = prompt(user("go"), spoken, Message(role=Role.ROLE_TOOL, parts=[result]))
    request = DIALECT.encode(call(asked))
    assert json.loads(request.body)["messages"][1]["content"] == ANSWER["content"]
    assert warned(request) == set()


@pytest.mark.parametrize(
    ("said_reason", "expected"),
    [
        ("end_turn", STOP),
        ("stop_sequence", STOP),
        ("pause_turn", STOP),
        ("something_new", STOP),
        (None, STOP),
        ("max_tokens", LENGTH),
        ("model_context_window_exceeded", LENGTH),
        ("tool_use", TOOLS),
        ("refusal", FILTER),
    ],
)
def test_finish_reasons(said_reason: str | None, expected: FinishReason.ValueType) -> None:
    answer = {"content": [], "stop_reason": said_reason, "usage": {"input_tokens": 1, "output_tokens": 0}}
    assert DIALECT.decode(call(), reply(json.dumps(answer))).choices[0].finish_reason == expected


def test_a_call_at_the_end_waits_even_if_the_vendor_says_it_is_done_and_one_further_up_does_not() -> None:
    use = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    for content, expected in (([use], TOOLS), ([use, {"type": "text", "text": "Done."}], STOP)):
        answer = {"content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}
        assert DIALECT.decode(call(), reply(json.dumps(answer))).choices[0].finish_reason == expected


def test_a_refusal_is_told_in_the_vendors_words() -> None:
    answer = {
        "content": [],
        "stop_reason": "refusal",
        "stop_details": {"explanation": "No."},
        "usage": {"input_tokens": 1},
    }
    (part,) = DIALECT.decode(call(), reply(json.dumps(answer))).choices[0].parts
    assert part.refusal.text == "No."


def test_an_answer_without_usage_is_estimated() -> None:
    used = DIALECT.decode(
        call(), reply('{"content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}')
    ).usage
    assert used.estimated
    assert used.input_tokens
    assert used.output_tokens


@pytest.mark.parametrize(
    "broken", ["", "nope", "[]", "{}", '{"content": 3}', '{"content": [{}]}', '{"content": [{"type": "tool_use"}]}']
)
def test_nonsense_is_the_vendors_fault(broken: str) -> None:
    with pytest.raises(VendorFault) as caught:
        DIALECT.decode(call(), reply(broken))
    assert caught.value.fault.reason == Reason.VENDOR_SERVER


def test_an_error_inside_a_success_is_what_it_says() -> None:
    with pytest.raises(VendorFault) as caught:
        DIALECT.decode(
            call(), reply('{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}')
        )
    assert (caught.value.fault.reason, caught.value.fault.retryable) == (Reason.VENDOR_OVERLOAD, True)


def test_there_are_no_vectors() -> None:
    with pytest.raises(MeshError) as caught:
        DIALECT.encode_embed(EmbedCall("acme", "acme-1", texts=["a"]))
    assert caught.value.reason == Reason.VENDOR_UNSUPPORTED
    with pytest.raises(VendorFault):
        DIALECT.decode_embed(EmbedCall("acme", "acme-1", texts=["a"]), reply("{}"))


def test_models_are_listed() -> None:
    assert DIALECT.encode_models(Subject("acme")).path == "/models?limit=1000"
    listed = DIALECT.decode_models(reply('{"data": [{"id": "a", "max_input_tokens": 5}, {"id": "b"}, {}, 3]}'))
    assert [(model.id, model.context_window) for model in listed] == [("a", 5), ("b", 0)]


WORDS = st.sampled_from(["type", "content", "usage", "error", "text", "input", "id", "stop_reason"])
SCALARS = st.none() | st.integers() | st.text(max_size=5)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=12
)


@given(ANY_JSON)
def test_no_json_crashes_it(value: Any) -> None:
    with contextlib.suppress(VendorFault):
        DIALECT.decode(call(), reply(json.dumps(value)))
    assert DIALECT.classify(Subject("acme"), reply(json.dumps(value), 400)).reason
    with contextlib.suppress(VendorFault):
        DIALECT.decode_models(reply(json.dumps({"data": value})))
