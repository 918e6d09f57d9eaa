"""What vendors were seen or are documented to send that no reading of the plain wire expects."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from fixtures.prompts import call, prompt, user
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import Observation

from llm_mesh.conformance.gathering import Gathering
from llm_mesh.conformance.outcome import Outcome
from provider_services import failures
from provider_services.dialects import DIALECTS, wire
from provider_services.dialects.interface import EmbedCall, Fault, HttpReply, Subject, VendorFault
from provider_services.dialects.openai import usage

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def sse(*events: Any) -> bytes:
    """Write events; a pair is a name and its data, bytes are data as they are."""
    lines = []
    for event in events:
        name, data = event if isinstance(event, tuple) else ("", event)
        text = data if isinstance(data, str) else json.dumps(data)
        lines.append(f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n")
    return "".join(lines).encode()


def streamed(dialect: str, body: bytes, **fields: Any) -> Outcome:
    """Read a stream, cut at every byte, and prove that uncut it says the same."""
    cuts = [range(len(body) + 1), (0, len(body))]
    first, second = (_streamed(dialect, [body[a:b] for a, b in pairwise(cut)], fields) for cut in cuts)
    assert first == second
    return first


def _streamed(dialect: str, pieces: Sequence[bytes], fields: dict[str, Any]) -> Outcome:
    decoder = DIALECTS[dialect].stream(call(prompt(user("Hi")), stream=True, **fields))
    gathering = Gathering()
    try:
        for piece in pieces:
            gathering.deltas(decoder.feed(piece))
        finish = decoder.finish()
    except VendorFault as broken:
        return gathering.fail(failures.explained(broken.fault, failures.UNKNOWN))
    gathering.deltas(finish.deltas)
    return gathering.end(finish.choices[0].reason, finish.usage, finish.warnings)


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "r1", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish} | more]}


def calling(*calls: dict[str, Any]) -> dict[str, Any]:
    return chunk({"tool_calls": list(calls)})


def called(outcome: Outcome) -> list[tuple[str, str, str]]:
    return [(one.id, one.name, one.arguments) for one in outcome.tool_calls]


def reply(body: Any) -> HttpReply:
    return HttpReply(200, {}, json.dumps(body).encode())


def fault(dialect: str, status: int, body: Any, headers: dict[str, str] | None = None, **subject: Any) -> Fault:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECTS[dialect].classify(Subject("v", **subject), HttpReply(status, headers or {}, raw))


OVERLOADED = {"message": "The model is overloaded", "type": "server_error"}


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": OVERLOADED}]},
        {"object": "error", **OVERLOADED},
        ("error", OVERLOADED),
        ("error", {"error": OVERLOADED}),
        chunk({"content": ""}) | {"x_vendor": {"id": "1", "error": "The model is overloaded"}},
    ],
    ids=["in a choice", "flat", "by the event's name", "named and wrapped", "aside"],
)
def test_an_error_in_a_chat_stream_is_found_wherever_it_is_told(event: Any) -> None:
    outcome = streamed("openai", sse(chunk({"content": "Hel"}), event, chunk({"content": "lo"}, "stop"), "[DONE]"))
    assert outcome.failure
    assert (outcome.text, outcome.failure.reason, outcome.failure.retryable) == ("Hel", "overload", True)


PLAIN_ERRORS = {
    "openai": ({"error": {"message": "Rate limit reached", "code": 429}}, "throttled"),
    "anthropic": ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "overload"),
    "gemini": ({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}, "overload"),
    "cohere": ({"id": "1", "message": "too many requests"}, "throttled"),
    "responses": ({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}, "throttled"),
    "ollama": ({"error": "server busy"}, "overload"),
}


@pytest.mark.parametrize("dialect", PLAIN_ERRORS)
def test_an_error_labelled_event_stream_is_that_error(dialect: str) -> None:
    body, reason = PLAIN_ERRORS[dialect]
    indent = None if dialect == "ollama" else 2
    outcome = streamed(dialect, b"\n" + json.dumps(body, indent=indent).encode() + b"\n")
    assert outcome.failure
    assert outcome.failure.reason == reason


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"\r\n\r\n", b": hello\n\n", b"data:\n\n", b"data:  \n\nid: 7\n\n"])
def test_what_says_nothing_before_a_stream_changes_nothing(begin: bytes) -> None:
    body = sse(chunk({"content": "Hello"}, "stop"), "[DONE]")
    assert streamed("openai", begin + body) == streamed("openai", body)


@pytest.mark.parametrize(
    "end", [b"data: \n\n", b"data: [DONE]\n\n", b"data: bye\n\n", b": end", b"data: [DONE] bye\n\n"]
)
def test_what_comes_after_the_end_of_a_stream_changes_nothing(end: bytes) -> None:
    body = sse(chunk({"content": "Hello"}, "stop"), "[DONE]")
    assert streamed("openai", body + end) == streamed("openai", body)


def test_a_whole_answer_to_the_wish_for_a_stream_is_read() -> None:
    message = {"role": "assistant", "content": "Hello"}
    body = {"id": "1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}
    outcome = streamed("openai", json.dumps(body).encode())
    assert (outcome.text, outcome.finish_reason, outcome.usage.input) == ("Hello", "stop", 3)


def test_calls_that_all_bear_one_number_are_told_apart_by_their_ids() -> None:
    outcome = streamed(
        "openai",
        sse(
            calling({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}),
            calling({"index": 0, "id": "b", "function": {"name": "g", "arguments": "{"}}),
            calling({"index": 0, "id": "", "function": {"name": "", "arguments": "}"}}),
            chunk({}, "stop"),
        ),
    )
    assert called(outcome) == [("a", "f", "{}"), ("b", "g", "{}")]
    assert outcome.finish_reason == "tool_calls"


def test_pieces_without_a_number_belong_to_the_call_of_their_id() -> None:
    pieces = [("a", "f", "{"), ("a", None, '"x"'), ("b", "g", "{}"), ("a", None, ":1}")]
    outcome = streamed(
        "openai",
        sse(
            *(calling({"id": one, "function": {"name": name, "arguments": said}}) for one, name, said in pieces),
            chunk({}, "tool_calls"),
        ),
    )
    assert called(outcome) == [("a", "f", '{"x":1}'), ("b", "g", "{}")]


def test_a_call_without_arguments_has_none_streamed_and_whole() -> None:
    for arguments in ("", None):
        outcome = streamed(
            "openai",
            sse(calling({"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}), chunk({}, "stop")),
        )
        assert called(outcome) == [("a", "f", "{}")]


def test_a_custom_tools_input_is_its_arguments() -> None:
    made = {"id": "a", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    outcome = streamed("openai", sse(calling({"index": 0, **made}), chunk({}, "tool_calls")))
    assert called(outcome) == [("a", "sql", "SELECT 1")]
    message = {"role": "assistant", "content": None, "tool_calls": [made]}
    body = {"id": "r1", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    whole = DIALECTS["openai"].decode(call(prompt(user("Hi"))), reply(body))
    assert whole.choices[0].parts[0].tool_call.arguments_json == "SELECT 1"


def test_a_spoken_answers_transcript_is_its_text() -> None:
    outcome = streamed(
        "openai",
        sse(chunk({"audio": {"id": "x", "transcript": "Hel"}}), chunk({"audio": {"transcript": "lo"}}, "stop")),
    )
    assert outcome.text == "Hello"


def test_a_finish_reason_in_the_word_null_is_none_yet() -> None:
    outcome = streamed("openai", sse(chunk({"content": "He"}, "null"), chunk({"content": "y"}, "length")))
    assert (outcome.text, outcome.finish_reason) == ("Hey", "length")


def test_a_stream_that_only_says_done_keeps_what_was_held_back() -> None:
    body = sse(chunk({"content": "<thi"}), chunk({"content": "ng>"}), "[DONE]")
    outcome = streamed("openai", body, quirks=frozenset({"think_tags"}))
    assert (outcome.text, outcome.finish_reason) == ("<thing>", "stop")


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}, {"type": "text", "text": "Yes"}],
        [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes"}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "reference"}, {"text": "Yes"}],
    ],
)
def test_reasoning_among_the_pieces_of_a_content_is_reasoning(content: Any) -> None:
    outcome = streamed("openai", sse(chunk({"content": content}, "stop")))
    assert (outcome.reasoning, outcome.text) == ("Hm.", "Yes")


@pytest.mark.parametrize(
    ("said", "meant"), [("STOP", "stop"), ("MAX_TOKENS", "length"), ("tool_use", "tool_calls"), ("eos_token", "stop")]
)
def test_a_go_between_may_pass_on_another_wires_finish_reason(said: str, meant: str) -> None:
    assert streamed("openai", sse(chunk({"content": "a"}, said))).finish_reason == meant


def test_json_that_is_almost_json_is_read() -> None:
    assert wire.decode(b'{"a": "x\ty", "b": NaN, "c": 1}')["c"] == 1
    assert wire.decode(b'{"a": "\\ud83d!"}') == {"a": "?!"}
    with pytest.raises(VendorFault):
        wire.decode(b'{"a": 1,}')


@pytest.mark.parametrize(
    ("quirks", "counts", "expected"),
    [
        ((), {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "reasoning_tokens": 9}, (5, 2, 2)),
        (
            ("more_reasoning_is_outside",),
            {"prompt_tokens": 5, "completion_tokens": 2, "reasoning_tokens": 9},
            (5, 11, 9),
        ),
        (
            ("more_reasoning_is_outside",),
            {"prompt_tokens": 5, "completion_tokens": 9, "reasoning_tokens": 2},
            (5, 9, 2),
        ),
        ((), {"input_tokens": 5, "output_tokens": 2}, (5, 2, 0)),
    ],
)
def test_reasoning_that_does_not_fit_into_the_output_is_beside_it_where_a_row_says_so(
    quirks: tuple[str, ...], counts: dict[str, int], expected: tuple[int, int, int]
) -> None:
    read = usage.read(Subject("v", quirks=frozenset(quirks)), counts)
    assert (read.input_tokens, read.output_tokens, read.reasoning_tokens) == expected


DATE = {"date": "Fri, 20 Nov 2026 12:00:00 GMT"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "quirks", "expected"),
    [
        (429, {"error": {"message": "Please retry after 26 seconds."}}, {}, (), ("throttled", 26)),
        (429, {"error": {"message": "Please try again in 1.5s."}}, {"retry-after": "7"}, (), ("throttled", 7)),
        (429, {"error": {"message": "slow"}}, DATE | {"x-ratelimit-reset": "1795176007000"}, (), ("throttled", 7)),
        (429, {"error": {"message": "slow"}}, DATE | {"x-ratelimit-reset": "1795176007"}, (), ("throttled", 7)),
        (429, {"error": {"message": "slow"}}, {"x-ratelimit-reset": "2"}, (), ("throttled", 2)),
        (429, {"error": {"message": "slow"}}, {"ratelimit-reset": "19"}, (), ("throttled", 19)),
        (
            429,
            {
                "error": {
                    "code": 429,
                    "message": "slow",
                    "metadata": {"headers": {"X-RateLimit-Reset": "1795176007000"}},
                }
            },
            DATE,
            (),
            ("throttled", 7),
        ),
        (429, {"message": "slow"}, {"x-ratelimit-remaining-tokens-month": "0"}, (), ("quota", None)),
        (429, {"message": "slow"}, {"x-ratelimit-remaining-tokens-month": "-12"}, (), ("quota", None)),
        (429, {"message": "slow"}, {"x-ratelimit-remaining-tokens-minute": "0"}, (), ("throttled", None)),
        (
            429,
            {"error": {"code": "1308", "message": "Usage limit reached; it resets at 2026-11-20 21:30:00"}},
            DATE,
            ("resets_in_china_time",),
            ("throttled", 5400),
        ),
        (503, {"error": {"message": "busy"}}, {"retry-after": "30"}, (), ("overload", 30)),
        (500, {"error": {"message": "broken"}}, {"retry-after": "30"}, (), ("server", 30)),
        (400, {"error": {"message": "wrong"}}, {"retry-after": "30"}, (), ("bad_request", None)),
        (402, {"error": {"code": 402, "message": "in_flight_budget_exhausted"}}, {}, (), ("quota", None)),
        (400, {"errors": [{"code": 7003, "message": "maximum context length"}]}, {}, (), ("context", None)),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass one."}}], {}, (), ("auth", None)),
        (400, {"error": "This model's maximum prompt length is 8 but the request has 9"}, {}, (), ("context", None)),
    ],
)
def test_a_chat_error_says_what_it_means_and_how_long_to_wait(
    status: int, body: Any, headers: dict[str, str], quirks: tuple[str, ...], expected: tuple[str, float | None]
) -> None:
    found = fault("openai", status, body, headers, quirks=frozenset(quirks))
    assert (found.reason, found.retry_after) == (f"VENDOR_{expected[0].upper()}", expected[1])


def test_calls_in_flight_that_are_not_yet_paid_for_make_a_quota_worth_another_attempt() -> None:
    body = {"error": {"code": 402, "message": "no", "metadata": {"error_type": "in_flight_budget_exhausted"}}}
    assert fault("openai", 402, body).retryable
    assert not fault("openai", 402, {"error": {"code": 402, "message": "no"}}).retryable


def test_a_status_in_digits_inside_an_answer_counts() -> None:
    outcome = streamed("openai", sse({"error": {"code": "401", "message": "Access denied"}}))
    assert outcome.failure
    assert outcome.failure.reason == "auth"


def test_headers_that_name_their_window_are_observed() -> None:
    headers = {
        "x-ratelimit-limit-req-minute": "60",
        "x-ratelimit-remaining-req-minute": "58",
        "x-ratelimit-limit-tokens-month": "1000000000",
        "x-ratelimit-remaining-tokens-month": "999993918",
        "x-ratelimit-limit-requests-day": "1440",
        "x-ratelimit-reset-requests-day": "3560.4",
        "x-ratelimit-tokens-query-cost": "4",
        "x-ratelimit-remaining-tokens-hour": "9223372036854767616",
        "x-ratelimit-limit-minute": "400",
    }
    seen = {(one.unit, one.window): one for one in DIALECTS["openai"].observe(Subject("v"), headers)}
    requests, tokens = Observation.UNIT_REQUESTS, Observation.UNIT_TOKENS
    assert set(seen) == {(requests, "minute"), (tokens, "month"), (requests, "day")}
    assert (seen[requests, "minute"].limit, seen[requests, "minute"].remaining) == (60, 58)
    assert seen[tokens, "month"].remaining == 999993918
    assert seen[requests, "day"].reset_after.seconds == 3560
    assert all(one.scope == Observation.SCOPE_ACCOUNT for one in seen.values())


def test_a_wait_of_34_point_4_seconds_stays_one() -> None:
    error = failures.explained(
        fault("gemini", 429, {"error": {"code": 429, "details": [{"retryDelay": "34.4s"}]}}), failures.ANSWERED
    )
    assert error.retry_after == 34.4


def test_an_end_without_a_status_says_it_by_its_name() -> None:
    begun = {"type": "response.created", "response": {"id": "x", "status": "in_progress"}}
    said = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}
    for ended in ({"status": None, "usage": None}, {}, None):
        body = sse(begun, said, {"type": "response.completed", "response": ended})
        assert streamed("responses", body).finish_reason == "stop"
    cut = {"type": "response.incomplete", "response": {"status": None}}
    assert streamed("responses", sse(begun, said, cut)).finish_reason == "length"


def test_a_custom_tool_call_is_a_call_on_the_responses_wire_too() -> None:
    item = {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "sql", "input": "SELECT 1"}
    body = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"input": ""}},
        {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "SELECT"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"status": "completed"}},
    )
    assert called(streamed("responses", body)) == [("c1", "sql", "SELECT 1")]
    whole = DIALECTS["responses"].decode(call(prompt(user("Hi"))), reply({"status": "completed", "output": [item]}))
    assert whole.choices[0].parts[0].tool_call.arguments_json == "SELECT 1"
    assert whole.choices[0].finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS


def test_a_call_without_arguments_has_an_empty_object_on_the_responses_wire() -> None:
    item = {"type": "function_call", "call_id": "c1", "name": "now", "arguments": ""}
    body = sse(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": {"status": "completed"}},
    )
    assert called(streamed("responses", body)) == [("c1", "now", "{}")]


def test_a_prompt_blocked_half_way_is_filtered_and_an_answer_without_candidates_is_broken() -> None:
    said = {"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]}
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}
    outcome = streamed("gemini", sse(said, blocked))
    assert outcome.failure
    assert (outcome.text, outcome.failure.reason) == ("Hel", "content_filter")
    for body, reason in ((blocked, "VENDOR_CONTENT_FILTER"), ({"usageMetadata": {}}, "VENDOR_SERVER")):
        with pytest.raises(VendorFault) as broken:
            DIALECTS["gemini"].decode(call(prompt(user("Hi"))), reply(body))
        assert broken.value.fault.reason == reason


@pytest.mark.parametrize(
    ("said", "meant"), [("ESCALATION", "content_filter"), ("PUP_LIMITED_DISABLED", "content_filter"), (2, "length")]
)
def test_a_candidate_ends_for_a_documented_reason(said: Any, meant: str) -> None:
    parts = [{"text": "Hi", "functionCall": None}]
    body = sse({"candidates": [{"content": {"parts": parts}, "finishReason": said}]}, "[DONE]")
    assert streamed("gemini", body).finish_reason == meant


def test_events_without_a_place_speak_of_the_first_text_and_of_the_call_that_runs() -> None:
    start = {"type": "tool-call-start", "delta": {"message": {"tool_calls": {"id": "a", "function": {"name": "f"}}}}}
    grow = {"type": "tool-call-delta", "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}}
    said = {"type": "content-delta", "delta": {"message": {"content": {"text": "Hi"}}}}
    end = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}
    outcome = streamed("cohere", sse(said, start, grow, {"type": "tool-call-end"}, end))
    assert (outcome.text, called(outcome)) == ("Hi", [("a", "f", "{}")])


def test_a_block_without_a_number_is_the_one_that_runs() -> None:
    body = sse(
        {"type": "message_start", "message": {"id": "m", "content": []}},
        {"type": "content_block_start", "content_block": {"type": "thinking"}},
        {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "delta": {"type": "signature_delta"}},
        {"type": "content_block_stop"},
        {"type": "content_block_start", "content_block": {"type": "text"}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_delta", "delta": {"type": "citations_delta"}},
        {"type": "content_block_stop"},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )
    outcome = streamed("anthropic", body)
    assert (outcome.reasoning, outcome.text, outcome.finish_reason) == ("Hm.", "Hi", "stop")


@pytest.mark.parametrize(
    "body",
    [
        {"embeddings": [[1, 2]], "prompt_eval_count": 4},
        {"embedding": [1, 2], "prompt_eval_count": 4},
        {"data": [{"index": 0, "embedding": [1, 2]}], "usage": {"prompt_tokens": 4}},
    ],
)
def test_the_local_servers_vectors_are_read_from_each_of_its_faces(body: Any) -> None:
    read = DIALECTS["ollama"].decode_embed(EmbedCall("ollama", "m", texts=["a"]), reply(body))
    assert [list(one.values) for one in read.embeddings] == [[1, 2]]
    assert (read.usage.input_tokens, read.usage.estimated) == (4, False)


@pytest.mark.parametrize("counted", [{}, {"prompt_eval_count": 0}])
def test_a_prompt_nobody_counted_leaves_the_answers_count_alone(counted: dict[str, int]) -> None:
    line = {"message": {"content": "Hi"}, "done": True, "done_reason": "stop", "eval_count": 7} | counted
    outcome = streamed("ollama", json.dumps(line).encode())
    assert (outcome.usage.input, outcome.usage.output) == (0, 7)
    assert outcome.warnings == ("estimated: usage.input_tokens: the server had the prompt in its cache",)
    whole = DIALECTS["ollama"].decode(call(prompt(user("Hi"))), reply(line))
    assert whole.usage.estimated
    assert [one.field for one in whole.warnings] == ["usage.input_tokens"]


def test_too_many_calls_at_once_are_throttled_and_used_up_hours_a_quota() -> None:
    assert (
        fault("ollama", 429, {"error": "too many concurrent requests, upgrade for more"}).reason == "VENDOR_THROTTLED"
    )
    assert fault("ollama", 429, {"error": "you have reached your weekly usage limit"}).reason == "VENDOR_QUOTA"


def test_a_refusal_in_pieces_is_one_warning() -> None:
    outcome = streamed("openai", sse(chunk({"refusal": "I'm "}), chunk({"refusal": "sorry."}, "stop")))
    assert outcome.warnings[0] == "refusal: I'm sorry."
    assert (outcome.text, outcome.finish_reason) == ("", "content_filter")
