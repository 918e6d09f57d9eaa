"""The messages dialect on the wire: whole, as named events; signed thoughts, tools, refusals, rate headers."""

import json
from datetime import datetime
from typing import Any

import httpx
import pytest

KEY = {"x-api-key": "sk-ant-test0001", "anthropic-version": "2023-06-01"}
TOOLS = [{"name": "add", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}]
THINKING = {"type": "enabled", "budget_tokens": 1024}
HAIKU, OPUS = "claude-haiku-4-5", "claude-opus-5"
CALLED = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 3}}
RETURNED: dict[str, Any] = {
    "role": "user",
    "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "5"}],
}


def body(text: str = "hi", **more: Any) -> dict[str, Any]:
    return {"model": HAIKU, "max_tokens": 2000, "messages": [{"role": "user", "content": text}], **more}


def talk(said: Any, *answered: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": said}]
    return body(messages=[*turns, *({"role": "user", "content": content} for content in answered)])


@pytest.fixture
def post(http: httpx.AsyncClient) -> Any:
    async def send(sent: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
        return await http.post("/anthropic/v1/messages", json=sent, headers=KEY if headers is None else headers)

    return send


def events(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n\n")
    found = []
    for block in text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


async def test_an_answer_is_blocks_and_its_tokens_are_counted(post: Any) -> None:
    response = await post(body("say: Hello there"))
    answer = response.json()
    assert answer["content"] == [{"type": "text", "text": "Hello there"}]
    assert (answer["stop_reason"], answer["model"]) == ("end_turn", "claude-haiku-4-5-20251001")
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (7, 2)
    assert response.headers["request-id"].startswith("req_")


async def test_a_stream_is_named_events_and_usage_comes_at_both_ends(post: Any) -> None:
    response = await post(body("tokens: 12", stream=True, thinking=THINKING))
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.text)
    assert [found[0]["type"], found[1]["type"], found[-1]["type"]] == ["message_start", "ping", "message_stop"]
    assert found[-2]["usage"] == {"input_tokens": 6, "output_tokens": 12}
    kinds = [event["delta"]["type"] for event in found if event["type"] == "content_block_delta"]
    assert kinds == ["thinking_delta"] * 6 + ["signature_delta"] + ["text_delta"] * 6


async def test_thoughts_of_a_model_with_efforts_are_shown_only_when_asked_for(post: Any) -> None:
    hidden = (await post(body(model=OPUS, thinking={"type": "adaptive"}))).json()
    assert (hidden["content"][0]["thinking"], bool(hidden["content"][0]["signature"])) == ("", True)
    shown = (await post(body(model=OPUS, thinking={"type": "adaptive", "display": "summarized"}))).json()
    assert shown["content"][0]["thinking"]


async def test_a_tool_call_is_streamed_in_pieces_of_json(post: Any) -> None:
    found = events((await post(body("call add", tools=TOOLS, stream=True))).text)
    pieces = [event["delta"]["partial_json"] for event in found if event["type"] == "content_block_delta"]
    assert (pieces[0], json.loads("".join(pieces))) == ("", {"a": 3})
    assert found[-2]["delta"]["stop_reason"] == "tool_use"


@pytest.mark.parametrize("kept", [True, False])
async def test_a_model_that_thinks_wants_its_thought_back_with_the_tool_call(post: Any, kept: bool) -> None:
    said = (await post(body("call add", tools=TOOLS, thinking=THINKING))).json()["content"]
    returned = {"type": "tool_result", "tool_use_id": said[1]["id"], "content": "5"}
    turns = [
        {"role": "user", "content": "call add"},
        {"role": "assistant", "content": said if kept else said[1:]},
        {"role": "user", "content": [returned]},
    ]
    response = await post(body(messages=turns, tools=TOOLS, thinking=THINKING))
    assert response.status_code == (200 if kept else 400)
    if not kept:
        assert "Expected `thinking`" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (body(nonsense=1), "unknown field"),
        ({"model": HAIKU, "messages": []}, "max_tokens"),
        (body(messages=[]), "at least one message"),
        (body(" "), "non-empty"),
        (body(temperature=1.5), "temperature"),
        (body(model=OPUS, temperature=0.5), "deprecated"),
        (body(thinking=THINKING, temperature=0.5), "temperature"),
        (body(thinking={"type": "enabled", "budget_tokens": 2000}), "budget_tokens"),
        (body(model=OPUS, thinking=THINKING), "not supported"),
        (body(thinking=THINKING, tools=TOOLS, tool_choice={"type": "any"}), "forces tool use"),
        (body(tool_choice={"type": "any"}), "tools"),
        (body(tools=[{"name": "add", "input_schema": {}}]), "input_schema.type"),
        (body(stop_sequences=["\n"]), "non-whitespace"),
        (body(messages=[{"role": "assistant", "content": "hi"}]), "first message"),
        (talk([CALLED], "x"), "without `tool_result`"),
        (body(messages=[RETURNED]), "unexpected `tool_use_id`"),
        (talk([{"type": "thinking", "thinking": "a", "signature": "b"}]), "Invalid `signature`"),
        (talk([CALLED | {"id": "a.b:0"}], RETURNED["content"]), "should match pattern"),
        (talk([CALLED], [{"type": "text", "text": "x"}, *RETURNED["content"]]), "must come first"),
    ],
)
async def test_what_the_vendor_does_not_take_is_a_bad_request(post: Any, sent: dict[str, Any], words: str) -> None:
    response = await post(sent)
    error = response.json()
    assert (response.status_code, error["type"], error["error"]["type"]) == (400, "error", "invalid_request_error")
    assert words in error["error"]["message"]


@pytest.mark.parametrize(
    ("sent", "headers", "expected"),
    [
        (body(), {}, (401, "authentication_error")),
        (body(), {"x-api-key": "sk-other"}, (401, "authentication_error")),
        (body(model="nope"), KEY, (404, "not_found_error")),
        (body("x" * 900_000), KEY, (400, "invalid_request_error")),
    ],
)
async def test_a_refusal_names_its_kind(post: Any, sent: Any, headers: Any, expected: Any) -> None:
    response = await post(sent, headers)
    assert (response.status_code, response.json()["error"]["type"]) == expected


async def test_limits_are_told_with_the_moment_they_reset(post: Any) -> None:
    headers = (await post(body("say: hi"))).headers
    assert headers["anthropic-ratelimit-requests-limit"] == "50"
    assert headers["anthropic-ratelimit-requests-remaining"] == "49"
    assert datetime.fromisoformat(headers["anthropic-ratelimit-tokens-reset"]).tzinfo


async def test_models_are_listed(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/anthropic/v1/models?limit=1000", headers=KEY)).json()
    assert listed["data"][0]["id"] == listed["first_id"] == HAIKU
    assert (await http.get(f"/anthropic/v1/models/{OPUS}", headers=KEY)).json()["max_input_tokens"] == 1_000_000
    assert (await http.get("/anthropic/v1/models/nope", headers=KEY)).status_code == 404
