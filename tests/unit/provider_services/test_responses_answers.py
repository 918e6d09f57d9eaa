"""The responses dialect: answers whole and streamed, and what goes wrong in them."""

import json
from itertools import pairwise
from typing import Any

import pytest
from fixtures.gathered_parts import gathered
from fixtures.prompts import call, reply
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import Completion, Delta, FinishReason, Part

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import EmbedCall, Finish, Subject, VendorFault

DIALECT = DIALECTS["responses"]
STOP, LENGTH = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_LENGTH
TOOLS, FILTER = FinishReason.FINISH_REASON_TOOL_CALLS, FinishReason.FINISH_REASON_CONTENT_FILTER
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
}
SOURCE = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "Hm, "}, {"type": "summary_text", "text": "yes."}],
    "encrypted_content": "sealed",
}
CALLED = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"a":1}'}
SEARCHED = {"id": "ws_1", "type": "web_search_call", "status": "completed"}


def message(text: str = "Hällo", **fields: Any) -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": [SOURCE]}
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": [content]} | fields


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    made = {"id": "resp_1", "status": "completed", "error": None, "model": "m-1", "output": output, "usage": USAGE}
    return made | fields


def decode(body: Any, **fields: Any) -> Completion:
    return DIALECT.decode(call(**fields), reply(json.dumps(body)))


def events(*told: dict[str, Any]) -> bytes:
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told)


def streamed(*told: dict[str, Any], **fields: Any) -> tuple[list[Delta], Finish]:
    decoder = DIALECT.stream(call(**fields))
    deltas = decoder.feed(events(*told))
    return deltas, decoder.finish()


def on(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": index, **fields}


def ended(*output: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": response(*output, **fields)}


def state(part: Part) -> Any:
    return json.loads(part.provider_data.data) if part.HasField("provider_data") else None


def test_a_whole_response_becomes_parts_in_their_order() -> None:
    completion = decode(response(REASONING, SEARCHED, message(phase="commentary"), CALLED))
    (choice,) = completion.choices
    thought, search, text, called = choice.parts
    assert thought.reasoning.text == "Hm, yes."
    assert (text.text.text, text.text.citations[0].uri, text.text.citations[0].end) == ("Hällo", "https://x", 2)
    assert (called.tool_call.id, called.tool_call.name, called.tool_call.arguments_json) == (
        "call_1",
        "weather",
        '{"a":1}',
    )
    assert [state(part) for part in choice.parts] == [
        {"item": REASONING},
        {"item": SEARCHED},
        {"fields": {"phase": "commentary", "id": "msg_1"}},
        {"fields": {"id": "fc_1"}},
    ]
    assert search.reasoning.text == ""
    assert choice.finish_reason == TOOLS
    assert (completion.vendor_response_id, completion.vendor_model) == ("resp_1", "m-1")


def test_usage_counts_cached_and_written_tokens_in_the_input_and_reasoning_in_the_output() -> None:
    used = decode(response(message())).usage
    assert (used.input_tokens, used.cached_input_tokens, used.cache_write_tokens) == (10, 4, 2)
    assert (used.output_tokens, used.reasoning_tokens, used.estimated) == (7, 3, False)
    other = {"cache_read_input_tokens": 5, "cache_creation_input_tokens": 1}
    used = decode(response(message(), usage=USAGE | {"input_tokens_details": other})).usage
    assert (used.cached_input_tokens, used.cache_write_tokens) == (5, 1)
    assert decode(response(message(), usage=None)).usage.estimated


def test_a_plain_answer_carries_no_state() -> None:
    (part,) = decode(response(message())).choices[0].parts
    assert not part.HasField("provider_data")


@pytest.mark.parametrize(
    ("output", "fields", "expected"),
    [
        ([message()], {}, STOP),
        ([CALLED], {"status": "requires_action"}, TOOLS),
        ([message(content=[{"type": "refusal", "refusal": "No."}])], {}, FILTER),
        ([message()], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, LENGTH),
        ([CALLED], {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, LENGTH),
        ([], {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, FILTER),
    ],
)
def test_why_an_answer_ended(output: list[Any], fields: dict[str, Any], expected: int) -> None:
    assert decode(response(*output, **fields)).choices[0].finish_reason == expected
    assert streamed(ended(*output, **fields))[1].choices[0].reason == expected


def test_logprobs_belong_to_the_text() -> None:
    told = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1.5}]}
    content = {"type": "output_text", "text": "a", "annotations": [], "logprobs": [told]}
    (read,) = decode(response(message(content=[content]))).choices[0].logprobs
    deltas, _ = streamed(on("output_text.delta", content_index=0, delta="a", logprobs=[told]), ended())
    assert [read] == list(deltas[0].logprobs)
    assert (read.token, read.alternatives[0].logprob) == ("a", -1.5)


@pytest.mark.parametrize("whole", [True, False])
def test_what_an_agents_search_found_is_cited_when_no_text_cites(whole: bool) -> None:
    found = {"type": "search_results", "results": [{"url": "https://y", "title": "Y", "snippet": "so"}]}
    bare = message(content=[{"type": "output_text", "text": "ok", "annotations": []}])
    if whole:
        parts = list(decode(response(found, bare), quirks=["plain_input"]).choices[0].parts)
    else:
        told = [on("output_item.done", index, item=item) for index, item in enumerate((found, bare))]
        parts = gathered(streamed(*told, ended(found, bare), quirks=["plain_input"])[0])
    (part,) = parts
    assert [(one.uri, one.title, one.quote) for one in part.text.citations] == [("https://y", "Y", "so")]


def test_thoughts_of_an_agent_are_reasoning() -> None:
    told: list[dict[str, Any]] = [
        {"type": "response.reasoning.started", "thought": "Let me look. "},
        {"type": "response.reasoning.search_results", "results": [{"url": "https://y"}], "thought": "Found."},
    ]
    deltas, _ = streamed(*told, on("output_text.delta", delta="ok"), ended(message("ok")))
    thought, text = gathered(deltas)
    assert (thought.reasoning.text, text.text.text) == ("Let me look. Found.", "ok")


STREAM = [
    {"type": "response.created", "response": response(status="in_progress", usage=None)},
    on("output_item.added", 0, item=REASONING | {"summary": []}),
    on("reasoning_summary_text.delta", 0, delta="Hm, ", summary_index=0),
    on("reasoning_text.delta", 0, delta="the same, in full", content_index=0),
    on("reasoning_summary_text.delta", 0, delta="yes.", summary_index=1),
    on("output_item.done", 0, item=REASONING),
    on("output_item.added", 1, item=message(content=[])),
    on("output_text.delta", 1, content_index=0, delta="Hä", item_id="other"),
    on("output_text.annotation.added", 1, content_index=0, annotation=SOURCE),
    on("output_item.done", 1, item=message()),
    on("output_item.added", 2, item=CALLED | {"arguments": ""}),
    on("function_call_arguments.delta", 2, delta='{"a"'),
    on("output_item.done", 2, item=CALLED),
    ended(REASONING, message(), CALLED),
]


def test_a_stream_says_what_the_whole_answer_says() -> None:
    deltas, finish = streamed(*STREAM)
    completion = decode(response(REASONING, message(), CALLED))
    assert gathered(deltas) == list(completion.choices[0].parts)
    assert finish.usage == completion.usage
    assert (finish.choices[0].reason, finish.vendor_response_id, finish.vendor_model) == (TOOLS, "resp_1", "m-1")


@pytest.mark.parametrize(
    "told",
    [
        [ended(REASONING, message(), CALLED)],
        [on("output_item.done", place, item=item) for place, item in enumerate((REASONING, message(), CALLED))]
        + [ended(output=None, usage=USAGE)],
    ],
    ids=["only the end", "only whole items"],
)
def test_items_that_did_not_come_in_pieces_are_read_whole(told: list[dict[str, Any]]) -> None:
    assert gathered(streamed(*told)[0]) == list(decode(response(REASONING, message(), CALLED)).choices[0].parts)


@given(st.lists(st.integers(0, len(events(*STREAM))), max_size=30))
def test_any_cut_of_a_stream_gives_the_same(cuts: list[int]) -> None:
    raw = events(*STREAM)
    decoder = DIALECT.stream(call())
    edges = sorted({0, len(raw), *cuts})
    deltas = [delta for begin, end in pairwise(edges) for delta in decoder.feed(raw[begin:end])]
    assert (deltas, decoder.finish()) == streamed(*STREAM)


def test_names_of_events_done_and_comments_are_not_needed() -> None:
    raw = b": wait\r\n\r\n" + b"".join(b"data:" + json.dumps(one).encode() + b"\r\n\r\n" for one in STREAM)
    decoder = DIALECT.stream(call())
    deltas = decoder.feed(raw + b"data: [DONE]\r\n\r\n")
    assert (deltas, decoder.finish()) == streamed(*STREAM)


@pytest.mark.parametrize("count", [0, 1, 8, len(STREAM) - 1])
def test_a_stream_without_its_end_is_incomplete(count: int) -> None:
    decoder = DIALECT.stream(call())
    decoder.feed(events(*STREAM[:count]) + b"data: [DONE]\n\n")
    with pytest.raises(VendorFault) as broken:
        decoder.finish()
    assert broken.value.fault.reason is Reason.VENDOR_INCOMPLETE
    assert decoder.partial_usage().estimated


LIMIT = {"code": "rate_limit_exceeded", "message": "Request too large. Please try again in 1.5s."}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "error", "error": LIMIT}, Reason.VENDOR_THROTTLED),
        ({"type": "error", **LIMIT}, Reason.VENDOR_THROTTLED),
        ({"type": "response.failed", "response": response(status="failed", error=LIMIT)}, Reason.VENDOR_THROTTLED),
        (
            {"type": "response.failed", "error": {"message": "credit", "type": "insufficient_quota"}},
            Reason.VENDOR_QUOTA,
        ),
        ({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, Reason.VENDOR_SERVER),
        ({"type": "error", "code": "invalid_prompt", "message": "x"}, Reason.VENDOR_CONTENT_FILTER),
        ({"type": "error", "code": "invalid_image_url", "message": "x"}, Reason.VENDOR_BAD_REQUEST),
        ({"type": "", "error": {"code": 503, "message": "busy"}}, Reason.VENDOR_OVERLOAD),
        ({"type": "response.output_item.done", "item": "none"}, Reason.VENDOR_SERVER),
    ],
)
def test_an_error_or_nonsense_in_a_stream_ends_it(event: dict[str, Any], reason: Reason) -> None:
    with pytest.raises(VendorFault) as broken:
        DIALECT.stream(call()).feed(events(event))
    assert broken.value.fault.reason is reason


def test_a_failed_response_tells_what_it_used_and_when_to_come_back() -> None:
    with pytest.raises(VendorFault) as broken:
        decode(response(status="failed", error=LIMIT))
    fault = broken.value.fault
    assert (fault.reason, fault.retry_after, fault.answered) == (Reason.VENDOR_THROTTLED, 1.5, True)
    assert fault.usage is not None
    assert fault.usage.output_tokens == 7


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", Reason.VENDOR_SERVER),
        ("{}", Reason.VENDOR_SERVER),
        ('{"output": [1]}', Reason.VENDOR_SERVER),
        ('{"output": [{"type": "function_call"}]}', Reason.VENDOR_SERVER),
        ('{"choices": []}', Reason.VENDOR_SERVER),
        ('{"status": "cancelled", "output": []}', Reason.VENDOR_SERVER),
        ('{"status": "in_progress", "output": []}', Reason.VENDOR_INCOMPLETE),
    ],
)
def test_nonsense_is_the_vendors_fault(body: str, reason: Reason) -> None:
    with pytest.raises(VendorFault) as broken:
        DIALECT.decode(call(), reply(body))
    assert broken.value.fault.reason is reason


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (401, {"code": "invalid_api_key", "message": "Incorrect API key provided"}, Reason.VENDOR_AUTH),
        (401, {"type": "insufficient_quota", "message": "You are out of credits"}, Reason.VENDOR_QUOTA),
        (400, "Incorrect API key provided.", Reason.VENDOR_AUTH),
        (403, {"code": "agent_api_migration_required", "message": "moved"}, Reason.VENDOR_RETIRED),
        (403, {"message": "not for you"}, Reason.VENDOR_PERMISSION),
        (404, {"code": "DeploymentNotFound", "message": "no"}, Reason.VENDOR_NOT_FOUND),
        (404, {"message": "Item with id 'rs_1' not found. Items are not persisted."}, Reason.VENDOR_BAD_REQUEST),
        (400, {"code": "context_length_exceeded", "message": "too long"}, Reason.VENDOR_CONTEXT),
        (400, {"type": "too_many_prompt_tokens", "message": "too long"}, Reason.VENDOR_CONTEXT),
        (400, {"innererror": {"code": "content_filter"}, "message": "no"}, Reason.VENDOR_CONTENT_FILTER),
        (400, {"code": "model_not_found", "message": "The model does not exist"}, Reason.VENDOR_NOT_FOUND),
        (400, {"code": "invalid_value", "message": "bad"}, Reason.VENDOR_BAD_REQUEST),
        (422, {"message": "bad"}, Reason.VENDOR_BAD_REQUEST),
        (429, {"code": "rate_limit_exceeded", "message": "slow"}, Reason.VENDOR_THROTTLED),
        (429, {"message": "The system is in high demand"}, Reason.VENDOR_OVERLOAD),
        (429, {"code": "insufficient_quota", "message": "pay"}, Reason.VENDOR_QUOTA),
        (429, {"message": "used all available credits or reached its monthly spending limit"}, Reason.VENDOR_QUOTA),
        (402, {"message": "Insufficient Balance"}, Reason.VENDOR_QUOTA),
        (410, {"message": "gone"}, Reason.VENDOR_RETIRED),
        (503, {"message": "busy"}, Reason.VENDOR_OVERLOAD),
        (500, {"message": "oh"}, Reason.VENDOR_SERVER),
    ],
)
def test_what_an_error_means(status: int, error: Any, reason: Reason) -> None:
    fault = DIALECT.classify(Subject("acme", "m"), reply(json.dumps({"error": error}), status))
    assert (fault.reason, fault.http_status) == (reason, status)


def test_a_throttled_account_is_closed_as_long_as_the_vendor_says() -> None:
    answer = reply(json.dumps({"error": LIMIT}), 429, retry_after_ms="2500")
    fault = DIALECT.classify(Subject("acme", "m"), answer)
    assert fault.retry_after == 2.5
    assert fault.observations[0].closed_for.ToMilliseconds() == 2500


def test_headers_tell_of_quotas() -> None:
    seen = DIALECT.observe(
        Subject("acme", "m"), {"x-ratelimit-limit-requests": "5", "x-ratelimit-remaining-requests": "4"}
    )
    assert [(one.limit, one.remaining, one.window) for one in seen] == [(5, 4, "minute")]


def test_vectors_come_as_numbers_or_bytes() -> None:
    body = {
        "data": [{"index": 1, "embedding": "/wA="}, {"index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 3},
    }
    read = DIALECT.decode_embed(EmbedCall("acme", "e", texts=["a", "b"]), reply(json.dumps(body)))
    assert [list(vector.values) for vector in read.embeddings] == [[0.5], [-1, 0]]
    assert (read.usage.input_tokens, read.usage.estimated) == (3, False)
