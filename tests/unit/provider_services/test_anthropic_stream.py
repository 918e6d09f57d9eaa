"""Streams of the messages dialect: blocks that grow, however the bytes are cut, and every way to break."""

import json
from itertools import pairwise
from typing import Any

import pytest
from fixtures.prompts import call, prompt, reply, user
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.chat.v1.chat_pb2 import Choice, Delta, FinishReason, Part, Usage

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Finish, VendorFault

DIALECT = DIALECTS["anthropic"]
STOP, TOOLS = FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_TOOL_CALLS


def event(kind: str, **fields: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **fields}).encode() + b"\n\n"


def begin(identity: str = "msg_1", **fields: Any) -> bytes:
    message = {"id": identity, "model": "acme-1-dated", "content": [], "stop_reason": None}
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}
    return event("message_start", message={**message, "usage": usage, **fields})


def start(index: int, **block: Any) -> bytes:
    return event("content_block_start", index=index, content_block=block)


def grow(index: int, **delta: Any) -> bytes:
    return event("content_block_delta", index=index, delta=delta)


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def spoken(index: int, *words: str) -> bytes:
    pieces = (grow(index, type="text_delta", text=word) for word in words)
    return start(index, type="text", text="") + b"".join(pieces) + stop(index)


def end(reason: str | None = "end_turn", **usage: Any) -> bytes:
    counted = {"output_tokens": 7, **usage}
    return event("message_delta", delta={"stop_reason": reason}, usage=counted) + event("message_stop")


THOUGHT = (
    start(0, type="thinking", thinking="", signature="")
    + grow(0, type="thinking_delta", thinking="Hm")
    + event("ping")
    + grow(0, type="thinking_delta", thinking=".")
    + grow(0, type="signature_delta", signature="sig")
    + stop(0)
)
SEARCH = (
    start(1, type="server_tool_use", id="srv_1", name="web_search", input={})
    + grow(1, type="input_json_delta", partial_json='{"query"')
    + grow(1, type="input_json_delta", partial_json=': "q"}')
    + stop(1)
    + start(2, type="web_search_tool_result", tool_use_id="srv_1", content=[{"encrypted_content": "e"}])
    + stop(2)
)
SOURCE = {"type": "web_search_result_location", "url": "https://x", "title": "X", "cited_text": "c"}
CITED = (
    start(3, type="text", text="", citations=[])
    + grow(3, type="citations_delta", citation=SOURCE)
    + grow(3, type="text_delta", text="Grüße 🌍")
    + stop(3)
)
CALL = (
    start(4, type="tool_use", id="toolu_1", name="weather", input={})
    + grow(4, type="input_json_delta", partial_json="")
    + grow(4, type="input_json_delta", partial_json='{"city":')
    + grow(4, type="input_json_delta", partial_json=' "Rome"}')
    + stop(4)
)
IDLE = start(5, type="tool_use", id="toolu_2", name="now", input={}) + stop(5)
STREAM = begin() + event("ping") + THOUGHT + SEARCH + CITED + CALL + IDLE + end("tool_use", input_tokens=11)


def heard(stream: bytes, **fields: Any) -> tuple[list[Delta], Finish]:
    decoder = DIALECT.stream(call(stream=True, **fields))
    return decoder.feed(stream), decoder.finish()


def broken(stream: bytes) -> VendorFault:
    with pytest.raises(VendorFault) as caught:
        heard(stream)
    return caught.value


def assembled(deltas: list[Delta]) -> list[Part]:
    """Put parts together the way a caller does."""
    parts: dict[int, Part] = {}
    for delta in deltas:
        part = parts.setdefault(delta.part_index, Part())
        piece = delta.WhichOneof("piece")
        if piece in {"text", "reasoning", "refusal"}:
            told = getattr(part, piece)
            told.text += getattr(delta, piece)
            told.SetInParent()
        elif piece == "citation":
            part.text.citations.append(delta.citation)
        else:
            part.tool_call.MergeFrom(delta.tool_call)
            part.tool_call.arguments_json += delta.tool_arguments
        if delta.HasField("provider_data"):
            part.provider_data.CopyFrom(delta.provider_data)
    assert list(parts) == list(range(len(parts)))
    return list(parts.values())


def test_a_stream_says_what_the_whole_answer_would() -> None:
    deltas, finish = heard(STREAM)
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"encrypted_content": "e"}]},
        {"type": "text", "text": "Grüße 🌍", "citations": [SOURCE]},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]
    usage = {"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 7}
    answer = {"id": "msg_1", "model": "acme-1-dated", "content": content, "stop_reason": "tool_use", "usage": usage}
    completion = DIALECT.decode(call(), reply(json.dumps(answer)))
    parts = assembled(deltas)
    parts[4].tool_call.arguments_json = parts[4].tool_call.arguments_json.replace(" ", "")
    assert [Choice(parts=parts, finish_reason=finish.choices[0].reason)] == list(completion.choices)
    assert finish.usage == completion.usage
    assert (finish.vendor_response_id, finish.vendor_model) == ("msg_1", "acme-1-dated")


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=30), st.booleans())
def test_a_stream_says_the_same_however_it_is_cut(cuts: list[int], windows: bool) -> None:
    stream = STREAM.replace(b"\n", b"\r\n") if windows else STREAM
    decoder = DIALECT.stream(call(stream=True))
    edges = sorted({0, *cuts, len(stream)})
    deltas = [d for a, b in pairwise(edges) for d in decoder.feed(stream[a:b])]
    assert (deltas, decoder.finish()) == heard(STREAM)


def test_a_stream_cut_at_every_byte_says_the_same() -> None:
    decoder = DIALECT.stream(call(stream=True))
    deltas = [delta for at in range(len(STREAM)) for delta in decoder.feed(STREAM[at : at + 1])]
    assert (deltas, decoder.finish()) == heard(STREAM)


def test_framing_may_be_strange() -> None:
    strange = b"\xef\xbb\xbf\n\n: comment\n" + STREAM.replace(b"data: ", b"data:") + b"event: data\ndata: [DONE]\n\n"
    assert heard(strange) == heard(STREAM)
    assert heard(STREAM.rstrip(b"\n")) == heard(STREAM)
    assert heard(STREAM.replace(event("ping"), event("something_new", x=1)))[1] == heard(STREAM)[1]


def test_nothing_but_content_is_progress() -> None:
    decoder = DIALECT.stream(call(stream=True))
    assert decoder.feed(begin() + event("ping") + start(0, type="text", text="")) == []
    assert decoder.feed(grow(0, type="text_delta", text="")) == []
    assert decoder.feed(grow(0, type="something_new", text="")) == []


def test_arguments_that_come_with_the_start_are_the_arguments() -> None:
    started = start(0, type="tool_use", id="t", name="weather", input={"city": "Rome"}) + stop(0)
    (part,) = assembled(heard(begin() + started + end("tool_use"))[0])
    assert part.tool_call.arguments_json == '{"city":"Rome"}'


def test_content_that_comes_with_the_message_is_content() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "now", "input": {}}]
    stream = begin(content=content, stop_reason="tool_use") + event("message_stop")
    deltas, finish = heard(stream)
    assert [part.WhichOneof("kind") for part in assembled(deltas)] == ["text", "tool_call"]
    assert (finish.choices[0].reason, finish.usage.input_tokens) == (TOOLS, 15)


def test_a_refusal_is_told_in_the_vendors_words() -> None:
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}}
    deltas, finish = heard(begin() + event("message_delta", delta=delta, usage={"output_tokens": 1}))
    assert [part.refusal.text for part in assembled(deltas)] == ["No."]
    assert finish.choices[0].reason == FinishReason.FINISH_REASON_CONTENT_FILTER


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"output_tokens": 7}, Usage(input_tokens=15, cached_input_tokens=5, output_tokens=7)),
        ({"input_tokens": 30, "output_tokens": 7}, Usage(input_tokens=35, cached_input_tokens=5, output_tokens=7)),
        (
            {"cache_read_input_tokens": None, "output_tokens": 7},
            Usage(input_tokens=15, cached_input_tokens=5, output_tokens=7),
        ),
        (
            {"cache_creation_input_tokens": 2, "output_tokens": 7},
            Usage(input_tokens=17, cached_input_tokens=5, cache_write_tokens=2, output_tokens=7),
        ),
    ],
)
def test_what_is_counted_last_counts(told: dict[str, Any], expected: Usage) -> None:
    assert heard(begin() + spoken(0, "a") + end(**told))[1].usage == expected


def test_what_nobody_counted_is_estimated() -> None:
    stream = begin(usage=None) + spoken(0, "hello ", "world")
    used = heard(stream + event("message_delta", delta={"stop_reason": "end_turn"}), prompt=prompt(user("x" * 320)))[
        1
    ].usage
    assert (used.estimated, used.output_tokens) == (True, 4)
    assert used.input_tokens > 100


def test_before_the_end_the_input_is_known_and_the_output_estimated() -> None:
    decoder = DIALECT.stream(call(stream=True))
    assert decoder.partial_usage().estimated
    decoder.feed(
        begin() + start(0, type="text", text="") + b"".join(grow(0, type="text_delta", text="ab") for _ in range(9))
    )
    used = decoder.partial_usage()
    assert (used.input_tokens, used.output_tokens, used.estimated) == (15, 9, True)
    decoder.feed(stop(0) + end(output_tokens=12))
    assert (decoder.partial_usage().output_tokens, decoder.partial_usage().estimated) == (12, False)


def test_the_same_message_begun_twice_is_one_and_another_cutting_in_breaks_the_stream() -> None:
    assert heard(begin() + begin() + spoken(0, "a") + end()) == heard(begin() + spoken(0, "a") + end())
    fault = broken(begin() + start(0, type="text", text="x") + begin("msg_2") + spoken(0, "a") + end()).fault
    assert (fault.reason, fault.retryable, fault.answered) == (Reason.VENDOR_INCOMPLETE, True, False)


def test_a_message_that_begins_after_the_end_of_another_goes_on_with_the_answer() -> None:
    deltas, finish = heard(
        begin() + spoken(0, "a") + end("tool_use") + begin("msg_2") + spoken(0, "b") + end(output_tokens=9)
    )
    assert [part.text.text for part in assembled(deltas)] == ["a", "b"]
    assert (finish.choices[0].reason, finish.usage.output_tokens) == (STOP, 9)


def test_what_came_before_a_fault_is_given_out_first() -> None:
    decoder = DIALECT.stream(call(stream=True))
    assert decoder.feed(begin() + spoken(0, "a") + b"data: {nope\n\n") == [Delta(text="a")]
    with pytest.raises(VendorFault):
        decoder.finish()


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", Reason.VENDOR_INCOMPLETE),
        (begin(), Reason.VENDOR_INCOMPLETE),
        (begin() + spoken(0, "a"), Reason.VENDOR_INCOMPLETE),
        (begin() + b"data: {nope\n\n", Reason.VENDOR_SERVER),
        (begin() + b"data: 3\n\n", Reason.VENDOR_SERVER),
        (begin() + grow(3, type="text_delta", text="a"), Reason.VENDOR_SERVER),
        (begin() + event("content_block_start", index=0), Reason.VENDOR_SERVER),
        (b"data: " + b"x" * 1_000_001, Reason.VENDOR_SERVER),
        (b"{" * 1_000_001, Reason.VENDOR_SERVER),
        (begin() + event("error", error={"type": "overloaded_error", "message": "Overloaded"}), Reason.VENDOR_OVERLOAD),
        (event("error", error={"type": "rate_limit_error", "message": "Slow"}), Reason.VENDOR_THROTTLED),
        (begin() + event("error", error={"type": "api_error", "message": "Oh"}), Reason.VENDOR_SERVER),
        (
            b'data: {"error": {"type": "invalid_request_error", "message": "prompt is too long"}}\n\n',
            Reason.VENDOR_CONTEXT,
        ),
        (b'{"type": "error", "error": {"type": "authentication_error", "message": "no"}}', Reason.VENDOR_AUTH),
    ],
)
def test_a_broken_stream_is_never_a_success(stream: bytes, reason: Reason) -> None:
    assert broken(stream).fault.reason == reason


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(noise: bytes) -> None:
    assert broken(noise).fault.reason in {Reason.VENDOR_INCOMPLETE, Reason.VENDOR_SERVER}
