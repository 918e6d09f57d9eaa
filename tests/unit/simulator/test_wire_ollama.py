"""The ollama dialect on the wire: lines, whole answers, durations, embeddings and refusals."""

import json

import pytest

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}}


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_chat_streams_unless_told_not_to(http):
    body = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "tokens: 5"}]}
    response = await http.post("/ollama/api/chat", json=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    found = lines(response.text)
    assert [line["done"] for line in found] == [False] * 5 + [True]
    assert all(line["created_at"].endswith("Z") for line in found)
    assert found[-1]["message"] == {"role": "assistant", "content": ""}
    assert (found[-1]["done_reason"], found[-1]["prompt_eval_count"], found[-1]["eval_count"]) == ("stop", 6, 5)
    whole = (await http.post("/ollama/api/chat", json=body | {"stream": False})).json()
    assert whole["message"]["content"] == "".join(line["message"]["content"] for line in found)


async def test_durations_are_nanoseconds_of_the_pace(sim, ask):
    await sim.set_latency("ollama", first_token_ms=20, token_ms=1)
    body = (await ask("ollama", "tokens: 10")).json()
    assert (body["prompt_eval_duration"], body["eval_duration"]) == (20_000_000, 10_000_000)
    assert body["total_duration"] >= 30_000_000


async def test_num_predict_cuts_and_says_length(ask):
    body = (await ask("ollama", options={"num_predict": 3})).json()
    assert (body["done_reason"], body["eval_count"]) == ("length", 3)


async def test_a_tool_call_is_an_object_in_a_line_before_the_last(ask):
    found = lines((await ask("ollama", "call add", tools=[TOOL], stream=True)).text)
    assert len(found) == 2
    call = found[0]["message"]["tool_calls"][0]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("add", {"a": 3})


@pytest.mark.parametrize("form", ["json", {"properties": {"ok": {"type": "boolean"}}}])
async def test_format_asks_for_json(ask, form):
    body = (await ask("ollama", format=form)).json()
    assert isinstance(json.loads(body["message"]["content"]), dict)


async def test_a_prompt_longer_than_the_context_is_cut_in_silence(ask):
    assert (await ask("ollama", "x" * 40_000)).json()["prompt_eval_count"] == 4096


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"model": "nope"}, 404), ({"think": True}, 400), ({"model": "nomic-embed-text"}, 400), ({"messages": 3}, 400)],
)
async def test_a_refusal_is_one_sentence(ask, changes, status):
    response = await ask("ollama", **changes)
    assert response.status_code == status
    assert isinstance(response.json()["error"], str)


async def test_embeddings_tags_and_version(http):
    body = {"model": "nomic-embed-text", "input": ["a", "b"]}
    found = (await http.post("/ollama/api/embed", json=body)).json()
    assert [len(vector) for vector in found["embeddings"]] == [768, 768]
    assert found["prompt_eval_count"] == 8
    tags = (await http.get("/ollama/api/tags")).json()
    assert "mistral:7b" in {model["name"] for model in tags["models"]}
    assert "version" in (await http.get("/ollama/api/version")).json()


async def test_a_vendor_without_keys_lets_anybody_in_but_not_a_key_it_knows_to_be_bad(http):
    body = {"model": "llama3.1:8b", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    assert (await http.post("/ollama/api/chat", json=body)).status_code == 200
    bad = {"authorization": "Bearer rejected"}
    assert (await http.post("/ollama/api/chat", json=body, headers=bad)).status_code == 401
