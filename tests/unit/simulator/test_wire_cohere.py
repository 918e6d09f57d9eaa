"""The cohere dialect on the wire: blocks, plans, named events, what it refuses and what it wants back."""

import json
from typing import Any

import httpx
import pytest

from provider_services.simulator.running import Simulator

KEY = {"authorization": "Bearer trialkey0000000000000000000000000000acctone"}
PLAIN, THINKING, FORGETFUL = "command-a-03-2025", "command-a-plus-05-2026", "command-r7b-12-2024"
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}}
NOW = {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
def chat(http: httpx.AsyncClient) -> Any:
    async def send(text: str = "tokens: 5", **changes: Any) -> httpx.Response:
        body = {"model": PLAIN, "messages": [{"role": "user", "content": text}]} | changes
        return await http.post("/cohere/v2/chat", json=body, headers=KEY)

    return send


def events(text: str) -> list[dict[str, Any]]:
    found = []
    for event in text.strip().split("\n\n"):
        lines = event.split("\n")
        if lines == ["data: [DONE]"]:
            continue
        name, data = lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))
        assert data["type"] == name
        found.append(data)
    return found


async def test_a_whole_answer_counts_more_than_it_bills(chat):
    body = (await chat()).json()
    assert body["finish_reason"] == "COMPLETE"
    assert body["usage"]["tokens"] == {"input_tokens": 6, "output_tokens": 5}
    assert body["usage"]["billed_units"]["input_tokens"] < 6
    (block,) = body["message"]["content"]
    assert len(block["text"].split()) == 5


async def test_a_stream_is_the_same_answer_in_named_events(chat):
    streamed = await chat(stream=True)
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed.text.endswith("data: [DONE]\n\n")
    found = events(streamed.text)
    kinds = [event["type"] for event in found]
    assert kinds == ["message-start", "content-start", *["content-delta"] * 5, "content-end", "message-end"]
    text = "".join(event["delta"]["message"]["content"]["text"] for event in found if event["type"] == "content-delta")
    whole = (await chat()).json()
    assert text == whole["message"]["content"][0]["text"]
    assert found[-1]["delta"]["usage"] == whole["usage"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_plans_before_it_calls(chat, stream):
    response = await chat("call add and call now", tools=[TOOL, NOW], stream=stream)
    if stream:
        found = events(response.text)
        plan = "".join(e["delta"]["message"]["tool_plan"] for e in found if e["type"] == "tool-plan-delta")
        begun = [e["delta"]["message"]["tool_calls"] for e in found if e["type"] == "tool-call-start"]
        pieces = [
            "".join(
                event["delta"]["message"]["tool_calls"]["function"]["arguments"]
                for event in found
                if event["type"] == "tool-call-delta" and event["index"] == index
            )
            for index in (0, 1)
        ]
        reason = found[-1]["delta"]["finish_reason"]
    else:
        body = response.json()
        plan, begun = body["message"]["tool_plan"], body["message"]["tool_calls"]
        pieces = [call["function"]["arguments"] for call in begun]
        reason = body["finish_reason"]
    assert (plan, reason) == ("I will use the add and the now tool.", "TOOL_CALL")
    assert [call["function"]["name"] for call in begun] == ["add", "now"]
    assert pieces == ['{"a":3}', "null"]


async def test_a_model_that_thinks_does_so_in_a_block(chat):
    body = (await chat(model=THINKING)).json()
    assert [block["type"] for block in body["message"]["content"]] == ["thinking", "text"]
    assert body["usage"]["tokens"]["reasoning_tokens"] > 0
    quiet = (await chat(model=THINKING, thinking={"type": "disabled"})).json()
    assert [block["type"] for block in quiet["message"]["content"]] == ["text"]


@pytest.mark.parametrize("model", [PLAIN, THINKING])
async def test_calls_come_back_with_the_thoughts_or_the_plan_they_were_made_with(chat, model):
    asked = {"role": "user", "content": "call add"}
    said = (await chat(model=model, messages=[asked], tools=[TOOL])).json()["message"]
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "7"}

    async def goes_on(turn: dict[str, Any], **changes: Any) -> int:
        messages = [asked, turn, result]
        response = await chat(**({"model": model, "messages": messages, "tools": [TOOL]} | changes))
        return int(response.status_code)

    bare = {key: value for key, value in said.items() if key not in {"tool_plan", "content"}}
    assert await goes_on(said) == 200
    assert await goes_on(bare) == 400
    assert await goes_on(bare | {"tool_plan": "another"}) == 400
    assert await goes_on(bare, model=FORGETFUL) == 200
    foreign = bare | {"tool_calls": [said["tool_calls"][0] | {"id": "call_1"}]}
    assert await goes_on(foreign, messages=[asked, foreign, result | {"tool_call_id": "call_1"}]) == 200


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"model": "embed-v4.0"}, 400, "not supported by the chat API"),
        ({"top_p": 0.5}, 400, "unknown field"),
        ({"p": 1}, 400, "p must be between"),
        ({"temperature": 1.5}, 400, "temperature must be between"),
        ({"frequency_penalty": 0.1, "presence_penalty": 0.1}, 400, "cannot specify both"),
        ({"stop_sequences": list("abcdef")}, 400, "maximum of 5"),
        ({"tool_choice": "REQUIRED"}, 400, "needs tools"),
        ({"tools": [TOOL], "response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "a-b", "parameters": {}}}]}, 400, "tool names"),
        ({"messages": []}, 400, "empty"),
        ({"messages": [{"role": "user", "content": ""}]}, 400, "message must not be empty in a turn"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, 400, "tool call id not found"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]},
            400,
            "system turn must be the first",
        ),
        ({"messages": [{"role": "user", "content": "x" * 1_100_000}]}, 400, "too many tokens"),
    ],
)
async def test_a_refusal_is_a_flat_sentence(chat, changes, status, words):
    response = await chat(**changes)
    assert response.status_code == status
    assert words in response.json()["message"]
    assert response.json()["id"]


async def test_trial_keys_are_told_of_their_minute_and_denied_in_a_sentence(chat, sim: Simulator):
    await sim.set_limits("cohere", [{"unit": "requests", "per": "minute", "amount": 1, "scope": "model"}])
    first, second = await chat(), await chat()
    assert first.headers["x-trial-endpoint-call-remaining"] == "0"
    assert second.status_code == 429
    assert "limited to 1 API calls / minute" in second.json()["message"]
    assert "x-trial-endpoint-call-remaining" not in second.headers


async def test_a_stream_breaks_with_a_last_event_that_says_so(chat, sim: Simulator):
    await sim.set_faults("cohere", [{"kind": "error_in_stream", "after_tokens": 2}])
    last = events((await chat(stream=True)).text)[-1]
    assert (last["type"], last["delta"]["finish_reason"]) == ("message-end", "ERROR")


async def test_vectors_and_models(http: httpx.AsyncClient):
    body = {"model": "embed-v4.0", "texts": ["a", "b"], "input_type": "search_query", "embedding_types": ["float"]}
    found = (await http.post("/cohere/v2/embed", json=body, headers=KEY)).json()
    assert [len(vector) for vector in found["embeddings"]["float"]] == [1536, 1536]
    small = (await http.post("/cohere/v2/embed", json=body | {"output_dimension": 256}, headers=KEY)).json()
    assert len(small["embeddings"]["float"][0]) == 256
    for missing in ("input_type", "embedding_types"):
        short = {key: value for key, value in body.items() if key != missing}
        assert (await http.post("/cohere/v2/embed", json=short, headers=KEY)).status_code == 400
    listed = (await http.get("/cohere/v1/models?page_size=1000", headers=KEY)).json()
    assert PLAIN in {model["name"] for model in listed["models"]}
    one = (await http.get(f"/cohere/v1/models/{PLAIN}", headers=KEY)).json()
    assert one["context_length"] == 256_000


async def test_a_missing_and_a_bad_key_are_told_apart(http: httpx.AsyncClient):
    body = {"model": PLAIN, "messages": [{"role": "user", "content": "hi"}]}
    missing = await http.post("/cohere/v2/chat", json=body)
    bad = await http.post("/cohere/v2/chat", json=body, headers={"authorization": "Bearer short"})
    assert (missing.status_code, missing.json()["message"]) == (401, "no api key supplied")
    assert (bad.status_code, bad.json()["message"]) == (401, "invalid api token")
