"""Perplexity's Agent API in the shapes its documentation and its own client give: https://docs.perplexity.ai/docs/agent-api."""

import array
import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from fixtures.prompts import SCHEMA_JSON, prompt, user
from google.protobuf.json_format import ParseDict
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import EmbedRequest, Target

from llm_mesh.conformance import rows
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import HttpReply, VendorFault
from provider_services.subjects import Subjects

DIALECT = DIALECTS["responses"]
QUIRKS = (
    *("plain_input", "results_named", "schema_as_response_format"),
    *("no_json_object", "no_forced_tools", "no_parallel_tool_calls", "no_logprobs"),
)
SUBJECTS = Subjects(replace(rows.vendor_of("perplexity", "openai_responses", "responses"), quirks=QUIRKS))
MODEL = Target(model="perplexity/sonar")
FOUND = {
    "id": 1,
    "url": "https://rivers.example/rhine",
    "title": "The Rhine",
    "snippet": "It is 1,230 km long.",
    "date": "2026-03-01",
    "last_updated": None,
    "source": "web",
}
SEARCHED = {"type": "search_results", "queries": ["rhine length"], "results": [FOUND]}
CITED = {"type": "url_citation", "url": FOUND["url"], "title": FOUND["title"], "start_index": 0, "end_index": 9}
COST = {"currency": "USD", "input_cost": 0.0001, "output_cost": 0.0002, "tool_calls_cost": 0.005, "total_cost": 0.0053}
USAGE = {
    "input_tokens": 120,
    "output_tokens": 30,
    "total_tokens": 150,
    "input_tokens_details": {"cache_creation_input_tokens": 8, "cache_read_input_tokens": 100},
    "tool_calls_details": {"search_web": {"invocation": 1}},
    "cost": COST,
}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Basel"}',
    "status": "completed",
    "thought_signature": "c2ln",
}


def said(text: str, *annotations: Any) -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": list(annotations)}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}


def response(*output: Any, **fields: Any) -> dict[str, Any]:
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL.model, "status": "completed"}
    return whole | {"output": list(output), "usage": USAGE} | fields


def call(asked: chat_pb2.Prompt | None = None, *, stream: bool = False) -> Any:
    return SUBJECTS.call(MODEL, asked or prompt(user("How long is the Rhine?")), stream=stream)


def decode(body: Any) -> chat_pb2.Completion:
    return DIALECT.decode(call(), HttpReply(200, {}, json.dumps(body).encode()))


def streamed(*events: dict[str, Any]) -> tuple[list[chat_pb2.Delta], Any]:
    decoder = DIALECT.stream(call(stream=True))
    deltas = []
    for number, event in enumerate(events):
        told = json.dumps(event | {"sequence_number": number})
        deltas.extend(decoder.feed(f"event: {event['type']}\ndata: {told}\n\n".encode()))
    finish = decoder.finish()
    return [*deltas, *finish.deltas], finish


def test_an_answer_has_its_text_its_sources_and_its_tokens() -> None:
    read = decode(response(SEARCHED, said("1,230 km.", CITED)))
    (part,) = read.choices[0].parts
    assert part.text.text == "1,230 km."
    assert [(one.uri, one.title, one.start, one.end) for one in part.text.citations] == [
        ("https://rivers.example/rhine", "The Rhine", 0, 9)
    ]
    used = read.usage
    assert (used.input_tokens, used.output_tokens) == (120, 30)
    assert (used.cached_input_tokens, used.cache_write_tokens) == (100, 8)
    assert read.choices[0].finish_reason == chat_pb2.FINISH_REASON_STOP


@pytest.mark.parametrize(
    "found", [SEARCHED, {"type": "fetch_url_results", "contents": [{"url": "https://a", "title": "A", "snippet": "b"}]}]
)
def test_what_was_found_is_cited_where_the_text_does_not_say_it(found: dict[str, Any]) -> None:
    (part,) = decode(response(found, {"type": "skill_loaded", "name": "office"}, said("1,230 km."))).choices[0].parts
    (cited,) = part.text.citations
    source = (found.get("results") or found.get("contents"))[0]
    assert (cited.uri, cited.title, cited.quote) == (source["url"], source["title"], source["snippet"])


def test_a_call_waits_for_its_result_which_goes_back_signed_and_named() -> None:
    read = decode(response(CALL, status="requires_action")).choices[0]
    assert read.finish_reason == chat_pb2.FINISH_REASON_TOOL_CALLS
    result = ParseDict(
        {"role": "ROLE_TOOL", "parts": [{"tool_result": {"tool_call_id": "call_1", "text": "sun"}}]}, chat_pb2.Message()
    )
    again = prompt(user("hi"), chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT, parts=read.parts), result)
    _, called, answered = json.loads(DIALECT.encode(call(again)).body)["input"]
    plain = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Basel"}'}
    assert called == plain | {"thought_signature": "c2ln"}
    told = {"type": "function_call_output", "call_id": "call_1", "output": "sun"}
    assert answered == told | {"name": "weather", "thought_signature": "c2ln"}


STREAM: list[dict[str, Any]] = [
    {"type": "response.created", "response": response(status="in_progress", usage=None)},
    {"type": "response.in_progress", "response": response(status="in_progress", usage=None)},
    {"type": "response.reasoning.started", "thought": "Look it up. "},
    {"type": "response.reasoning.search_queries", "queries": ["rhine length"], "thought": None},
    {"type": "response.reasoning.search_results", "results": [FOUND], "thought": "There.", "usage": USAGE},
    {"type": "response.reasoning.stopped", "thought": None},
    {"type": "response.output_item.added", "output_index": 1, "item": said("")},
    *(
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 1,
            "content_index": 0,
            "delta": delta,
        }
        for delta in ("1,2", "30 km.")
    ),
    {
        "type": "response.output_text.done",
        "item_id": "msg_1",
        "output_index": 1,
        "content_index": 0,
        "text": "1,230 km.",
    },
    {"type": "response.output_item.done", "output_index": 1, "item": said("1,230 km.")},
]


@pytest.mark.parametrize("end", [response(SEARCHED, said("1,230 km.")), response(status=None, output=None, error=None)])
def test_a_stream_tells_thoughts_text_and_sources_though_its_last_fields_be_null(end: dict[str, Any]) -> None:
    deltas, finish = streamed(*STREAM, {"type": "response.completed", "response": end})
    assert "".join(delta.reasoning for delta in deltas) == "Look it up. There."
    assert "".join(delta.text for delta in deltas) == "1,230 km."
    assert {delta.citation.uri for delta in deltas if delta.HasField("citation")} == {FOUND["url"]}
    assert finish.choices[0].reason == chat_pb2.FINISH_REASON_STOP
    assert (finish.usage.input_tokens, finish.usage.cached_input_tokens) == (120, 100)


def test_a_stream_that_is_not_completed_is_incomplete() -> None:
    with pytest.raises(VendorFault) as broken:
        streamed(*STREAM)
    assert broken.value.fault.reason == "VENDOR_INCOMPLETE"


FAILED = {"message": "The model is temporarily unavailable", "type": "server_error", "code": None}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FAILED, "VENDOR_SERVER"),
        ({"message": "Rate limit exceeded", "type": "rate_limit_exceeded"}, "VENDOR_THROTTLED"),
        (None, "VENDOR_SERVER"),
    ],
)
def test_a_failed_answer_is_its_error_whole_and_streamed(error: Any, reason: str) -> None:
    with pytest.raises(VendorFault) as broken:
        decode(response(status="failed", error=error))
    assert broken.value.fault.reason == reason
    with pytest.raises(VendorFault) as broken:
        streamed(*STREAM, {"type": "response.failed", "error": error})
    assert broken.value.fault.reason == reason


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (401, {"message": "Invalid API key", "type": "invalid_api_key", "code": 401}, "VENDOR_AUTH"),
        (401, {"message": "You have run out of credits", "type": "insufficient_quota", "code": 401}, "VENDOR_QUOTA"),
        (400, {"message": "Model sonar-pro is not supported", "type": "invalid_model"}, "VENDOR_NOT_FOUND"),
        (400, {"message": "input is malformed", "type": "invalid_request"}, "VENDOR_BAD_REQUEST"),
        (422, {"message": "input: field required"}, "VENDOR_BAD_REQUEST"),
        (403, {"message": "Sonar is now the Agent API. Use /v1/responses."}, "VENDOR_RETIRED"),
        (429, {"message": "Too many requests"}, "VENDOR_THROTTLED"),
        (503, {"message": "Service unavailable"}, "VENDOR_SERVER"),
    ],
)
def test_an_error_means_what_is_documented(status: int, error: Any, reason: str) -> None:
    found = DIALECT.classify(SUBJECTS.subject(), HttpReply(status, {}, json.dumps({"error": error}).encode()))
    assert found.reason == reason


def test_a_request_says_what_the_vendor_knows_and_no_more() -> None:
    asked = prompt(
        user("hi"),
        tools=[{"name": "weather", "parameters_json": SCHEMA_JSON}],
        parallel_tool_calls=False,
        web_search=True,
        response_format={"json_schema": {"name": "day", "schema_json": SCHEMA_JSON, "strict": True}},
        sampling={"max_output_tokens": 70, "top_logprobs": 2, "seed": 1},
    )
    body = json.loads(DIALECT.encode(call(asked)).body)
    assert set(body) == {"model", "input", "tools", "max_output_tokens", "response_format", "store"}
    assert body["input"] == [{"type": "message", "role": "user", "content": "hi"}]
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search"]
    schema = json.loads(SCHEMA_JSON)
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "day", "schema": schema, "strict": True},
    }


def test_vectors_are_signed_bytes() -> None:
    subjects = Subjects(rows.vendor_of("perplexity", "embeddings", "responses"))
    asked = subjects.embed_call(EmbedRequest(target=Target(model="pplx-embed-v1-0.6b"), texts=["a", "b"]))
    assert json.loads(DIALECT.encode_embed(asked).body)["encoding_format"] == "base64_int8"
    data = [
        {"object": "embedding", "index": index, "embedding": base64.b64encode(array.array("b", values)).decode()}
        for index, values in enumerate(([1, -128, 127], [0, 5, -1]))
    ]
    body = {
        "object": "list",
        "data": data,
        "model": "pplx-embed-v1-0.6b",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    read = DIALECT.decode_embed(asked, HttpReply(200, {}, json.dumps(body).encode()))
    assert [list(one.values) for one in read.embeddings] == [[1, -128, 127], [0, 5, -1]]
    assert read.usage.input_tokens == 4
