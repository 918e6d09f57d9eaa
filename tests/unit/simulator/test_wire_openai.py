"""The openai dialect on the wire: whole answers, events, usage, headers and refusals of two of its hosts."""

import base64
import json
import struct

import pytest

from provider_services.simulator import wire_openai_lists
from provider_services.simulator.rows import ModelRow

GROQ = {"authorization": "Bearer gsk_test_0001"}
OPENAI = {"authorization": "Bearer sk-test-0002"}
TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}


def events(text: str) -> list[dict]:
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(block.removeprefix("data: ")) for block in text.split("\n\n")[:-2]]


def joined(chunks: list[dict], field: str, index: int = 0) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(delta.get(field) or "" for delta in deltas)


async def test_a_whole_answer_has_the_fields_and_the_usage_of_the_vendor(ask):
    body = (await ask("openai", "say: Hello there")).json()
    assert set(body) == {
        "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
    }  # fmt: skip
    assert body["model"] == "gpt-4o-2024-08-06"
    choice = body["choices"][0]
    assert choice["message"] == {
        "role": "assistant", "content": "Hello there", "refusal": None, "annotations": [],
    }  # fmt: skip
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 2, 9)
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_a_reasoning_host_shows_its_reasoning_and_counts_it_in_the_output(ask):
    body = (await ask("groq", "tokens: 20", model="openai/gpt-oss-120b")).json()
    message = body["choices"][0]["message"]
    assert len(message["reasoning"].split()) + len(message["content"].split()) == 20
    assert body["usage"]["completion_tokens"] == 20
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == len(message["reasoning"].split())
    assert {"queue_time", "prompt_time", "completion_time", "total_time"} <= set(body["usage"])
    assert body["x_groq"]["id"].startswith("req_01")
    assert body["service_tier"] == "on_demand"


@pytest.mark.parametrize("hidden", [{"include_reasoning": False}, {"reasoning_format": "hidden"}])
async def test_reasoning_can_be_hidden_but_not_uncounted(ask, hidden):
    body = (await ask("groq", model="openai/gpt-oss-120b", **hidden)).json()
    assert "reasoning" not in body["choices"][0]["message"]
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


async def test_no_effort_means_no_reasoning(ask):
    body = (await ask("openai", "tokens: 9", model="gpt-5.6-sol", reasoning_effort="none")).json()
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_a_host_that_never_shows_reasoning_only_counts_it(ask):
    body = (await ask("openai", "say: yes", model="gpt-5.6-sol")).json()
    assert set(body["choices"][0]["message"]) == {"role", "content", "refusal", "annotations"}
    reasoning = body["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert body["usage"]["completion_tokens"] == reasoning + 1


async def test_a_stream_carries_one_piece_per_event_and_usage_only_when_asked(ask):
    response = await ask("openai", "tokens: 12", stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    chunks = events(response.text)
    assert len(chunks) == 1 + 12 + 1
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert not any("usage" in chunk for chunk in chunks)
    asked = events((await ask("openai", "tokens: 12", stream=True, stream_options={"include_usage": True})).text)
    assert [chunk["usage"] for chunk in asked[:-1]] == [None] * 14
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 12
    whole = (await ask("openai", "tokens: 12")).json()["choices"][0]["message"]["content"]
    assert joined(chunks, "content") == whole


async def test_a_stream_of_the_other_host_ends_with_usage_twice(ask):
    options = {"stream": True, "stream_options": {"include_usage": True}, "model": "openai/gpt-oss-20b"}
    chunks = events((await ask("groq", "tokens: 10", **options)).text)
    assert chunks[0]["x_groq"] == {"id": chunks[0]["x_groq"]["id"]}
    assert all(c["choices"][0]["delta"].get("channel") in (None, "analysis") for c in chunks[:-1])
    assert len(joined(chunks, "reasoning").split()) == 5
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-2]["usage"] == chunks[-2]["x_groq"]["usage"] == chunks[-1]["usage"]
    assert (chunks[-1]["choices"], chunks[-1]["service_tier"]) == ([], "on_demand")


async def test_many_choices_take_turns_and_are_all_counted(ask):
    body = (await ask("openai", "tokens: 5", n=3)).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 15
    chunks = events((await ask("openai", "tokens: 5", n=3, stream=True)).text)
    for index, choice in enumerate(body["choices"]):
        assert joined(chunks, "content", index) == choice["message"]["content"]


async def test_a_tool_call_is_streamed_in_parts_by_one_host_and_whole_by_the_other(ask):
    parts = events((await ask("openai", "call add", tools=[TOOL], stream=True)).text)
    calls = [c["choices"][0]["delta"]["tool_calls"][0] for c in parts if "tool_calls" in c["choices"][0]["delta"]]
    assert calls[0]["id"].startswith("call_")
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":3}'
    assert "id" not in calls[-1]
    whole = events((await ask("groq", "call add", tools=[TOOL], stream=True)).text)
    calls = [c["choices"][0]["delta"]["tool_calls"] for c in whole if "tool_calls" in c["choices"][0]["delta"]]
    assert [call[0]["function"] for call in calls] == [{"name": "add", "arguments": '{"a":3}'}]
    for chunks in (parts, whole):
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_after_a_tool_result_the_model_answers_in_words(ask):
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "call add"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
    ]
    body = (await ask("openai", messages=messages, tools=[TOOL])).json()
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_json_mode_follows_the_schema(ask):
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": TOOL["function"]["parameters"]}}
    body = (await ask("openai", response_format=form)).json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {"a": 3}


async def test_headers_tell_the_limits_in_go_durations(ask):
    headers = (await ask("groq", "say: x")).headers
    assert headers["x-ratelimit-limit-requests"] == "1000"
    assert headers["x-ratelimit-remaining-requests"] == "999"
    assert headers["x-ratelimit-reset-requests"] == "24h0m0s"
    assert headers["x-ratelimit-limit-tokens"] == "8000"
    assert headers["x-ratelimit-reset-tokens"] == "1m0s"
    assert "retry-after" not in headers


@pytest.mark.parametrize(
    ("vendor", "headers", "expected"),
    [
        ("openai", {"authorization": "Bearer sk-rejected-key-0009"}, (401, "invalid_api_key")),
        ("openai", {}, (401, None)),
        ("openai", {"authorization": "Basic sk-test"}, (401, None)),
        ("groq", {"authorization": "Bearer gsk_rejected"}, (401, "invalid_api_key")),
        ("groq", {"authorization": "Bearer sk-of-another-house"}, (401, "invalid_api_key")),
        ("groq", {}, (401, "invalid_api_key")),
    ],
)
async def test_a_bad_key_is_refused_in_the_vendors_words_without_the_key(sim, http, vendor, headers, expected):
    path = {"openai": "/openai/v1/chat/completions", "groq": "/groq/openai/v1/chat/completions"}[vendor]
    response = await http.post(path, json={"model": "gpt-4o", "messages": []}, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == expected
    assert "rejected-key" not in response.text
    state = await sim.state(vendor)
    assert (state["arrivals"], state["rejected"], state["admitted"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("vendor", "changes", "expected"),
    [
        ("openai", {"model": "gpt-1"}, (404, "model_not_found", None)),
        ("groq", {"model": "llama-1"}, (404, "model_not_found", None)),
        ("openai", {"model": "text-embedding-3-small"}, (403, None, None)),
        ("openai", {"messages": []}, (400, None, "messages")),
        ("openai", {"max_tokens": "ten"}, (400, None, "max_tokens")),
        ("openai", {"max_tokens": 5, "max_completion_tokens": 5}, (400, None, "max_tokens")),
        ("openai", {"model": "gpt-5.6-sol", "max_tokens": 5}, (400, "unsupported_parameter", "max_tokens")),
        ("openai", {"model": "gpt-5.6-sol", "temperature": 0.2}, (400, "unsupported_parameter", "temperature")),
        ("groq", {"n": 2}, (400, None, None)),
        ("groq", {"logprobs": True}, (400, None, None)),
    ],
)
async def test_what_the_vendor_does_not_take_is_refused_as_it_refuses_it(ask, vendor, changes, expected):
    response = await ask(vendor, **changes)
    error = response.json()["error"]
    assert (response.status_code, error.get("code"), error.get("param")) == expected
    assert error["type"] == "invalid_request_error"


async def test_a_prompt_longer_than_the_context_is_refused(ask):
    response = await ask("openai", "x" * 4 * 128_001)
    assert response.json()["error"]["code"] == "context_length_exceeded"


async def test_models_are_listed_and_found_without_counting_as_arrivals(sim, http):
    listed = (await http.get("/groq/openai/v1/models", headers=GROQ)).json()
    assert {model["id"] for model in listed["data"]} >= {"openai/gpt-oss-120b", "qwen/qwen3.8-27b"}
    one = await http.get("/groq/openai/v1/models/openai/gpt-oss-120b", headers=GROQ)
    assert one.json()["context_window"] == 131072
    assert (await http.get("/openai/v1/models/gpt-1", headers=OPENAI)).status_code == 404
    assert (await http.get("/openai/v1/models")).status_code == 401
    state = await sim.state()
    assert (state["groq"]["arrivals"], state["groq"]["other_calls"]) == (0, 2)


async def test_embeddings_come_as_numbers_or_as_base64_of_them(http):
    body = {"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 8}
    numbers = (await http.post("/openai/v1/embeddings", json=body, headers=OPENAI)).json()
    coded = await http.post("/openai/v1/embeddings", json=body | {"encoding_format": "base64"}, headers=OPENAI)
    assert [len(row["embedding"]) for row in numbers["data"]] == [8, 8]
    assert numbers["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    floats = struct.unpack("<8f", base64.b64decode(coded.json()["data"][1]["embedding"]))
    assert floats == pytest.approx(numbers["data"][1]["embedding"], abs=1e-6)
    assert (await http.post("/openai/v1/embeddings", json=body | {"dimensions": 9_999}, headers=OPENAI)).is_error


async def test_an_unknown_path_is_the_vendors_own_404(http):
    response = await http.post("/openai/v1/chat/compilations", headers=OPENAI)
    assert (response.status_code, response.json()["error"]["type"]) == (404, "invalid_request_error")


async def test_a_go_between_lists_what_a_token_costs_and_says_when_that_varies(sim, http):
    listed = {model["id"]: model for model in (await http.get("/openrouter/api/v1/models")).json()["data"]}
    mini = listed["openai/gpt-4.1-mini"]
    assert mini["pricing"] == {"prompt": "0.0000004", "completion": "0.0000016"}
    assert mini["top_provider"] == {"context_length": 1_047_576, "max_completion_tokens": 32_768}
    assert "tools" in mini["supported_parameters"]
    assert "reasoning" not in mini["supported_parameters"]
    assert listed["openrouter/auto"]["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert {float(price) for price in listed["qwen/qwen3-coder:free"]["pricing"].values()} == {0}


def test_a_router_to_hosts_lists_a_model_once_with_all_of_its_hosts():
    models = (
        ModelRow(id="m", price=(1, 2), context=8),
        ModelRow(id="n"),
        ModelRow(id="m:fast", price=(0.5, 3)),
    )
    rows = {row["id"]: row for row in wire_openai_lists.listed("providers", models, "router")["data"]}
    assert set(rows) == {"m", "n"}
    assert [(host["provider"], host["pricing"]) for host in rows["m"]["providers"]] == [
        ("nscale", {"input": 1, "output": 2}),
        ("fast", {"input": 0.5, "output": 3}),
    ]
    assert "pricing" not in rows["n"]["providers"][0]
