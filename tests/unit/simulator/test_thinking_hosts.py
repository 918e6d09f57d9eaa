"""Hosts of the openai dialect that think: what they refuse while they do, what they want back, how they are heard."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from provider_services.simulator.running import Simulator

PATHS = {
    "deepseek": "/deepseek/chat/completions",
    "kimi": "/kimi/v1/chat/completions",
    "openrouter": "/openrouter/api/v1/chat/completions",
}
KEYS = {"deepseek": "sk-test0001", "kimi": "sk-test0001", "openrouter": "sk-or-v1-test0001"}
MODELS = {"deepseek": "deepseek-flash", "kimi": "kimi-k2.6", "openrouter": "anthropic/claude-sonnet-4.5"}
SILENT = {
    "deepseek": {"thinking": {"type": "disabled"}},
    "kimi": {"thinking": {"type": "disabled"}},
    "openrouter": {"reasoning": {"effort": "none"}},
}
ADD = {"type": "function", "function": {"name": "add"}}
NAMED = {"type": "function", "function": {"name": "add"}}
CALL = {"id": "call_0", "type": "function", "function": {"name": "add", "arguments": "{}"}}
USER = {"role": "user", "content": "call add"}
RESULT = {"role": "tool", "tool_call_id": "call_0", "content": "5"}
LINK = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
PIXELS = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}
JSON = {"role": "user", "content": "answer in JSON"}
Ask = Callable[..., Awaitable[httpx.Response]]
EACH = pytest.mark.parametrize("vendor", list(PATHS))


@pytest.fixture
async def asked(sim: Simulator, http: httpx.AsyncClient) -> Ask:
    await sim.set_limits("kimi", None)

    async def send(vendor: str, *messages: Any, **fields: Any) -> httpx.Response:
        body = {"model": MODELS[vendor], "messages": list(messages) or [{"role": "user", "content": "hi"}]} | fields
        return await http.post(PATHS[vendor], json=body, headers={"authorization": f"Bearer {KEYS[vendor]}"})

    return send


def told(response: httpx.Response) -> str:
    error = response.json()["error"]
    return str(error.get("metadata", {}).get("raw") or error["message"])


@EACH
async def test_models_think_until_the_hosts_own_switch_says_no(asked: Ask, vendor: str) -> None:
    used = (await asked(vendor)).json()["usage"]
    assert used["completion_tokens_details"]["reasoning_tokens"] > 0
    heeded = (await asked(vendor, reasoning_effort="none")).json()["usage"]
    assert heeded["completion_tokens_details"]["reasoning_tokens"] > 0
    silent = (await asked(vendor, **SILENT[vendor])).json()
    assert silent["usage"].get("completion_tokens_details", {}).get("reasoning_tokens", 0) == 0
    assert not {"reasoning", "reasoning_content"} & set(silent["choices"][0]["message"])


@pytest.mark.parametrize(
    ("vendor", "fields", "words"),
    [
        ("deepseek", {"tools": [ADD], "tool_choice": "required"}, "Thinking mode does not support this tool_choice"),
        ("deepseek", {"tools": [ADD], "tool_choice": NAMED}, "Thinking mode does not support this tool_choice"),
        ("deepseek", {"logprobs": True}, "logprobs"),
        ("kimi", {"tools": [ADD], "tool_choice": NAMED}, "'specified' is incompatible with thinking enabled"),
    ],
)
async def test_what_cannot_be_had_with_thinking_is_refused_only_with_it(
    asked: Ask, vendor: str, fields: dict[str, Any], words: str
) -> None:
    refused = await asked(vendor, **fields)
    assert refused.status_code == 400
    assert words in told(refused)
    assert (await asked(vendor, **fields, **SILENT[vendor])).status_code == 200


async def test_one_host_takes_no_required_call_whether_it_thinks_or_not(asked: Ask) -> None:
    required = {"tools": [ADD], "tool_choice": "required"}
    for switch in ({}, SILENT["kimi"]):
        refused = await asked("kimi", **required, **switch)
        assert refused.status_code == 400
        assert "tool_choice" in told(refused)


@pytest.mark.parametrize(
    ("vendor", "fields", "words"),
    [
        ("deepseek", {"n": 2}, "n"),
        ("deepseek", {"stop": ["x"] * 17}, "16"),
        ("deepseek", {"response_format": {"type": "json_schema"}}, "This response_format type is unavailable now"),
        ("deepseek", {"messages": [PIXELS]}, "unknown variant `image_url`, expected `text`"),
        ("deepseek", {"model": "deepseek-chat"}, "The supported API model names are"),
        ("kimi", {"temperature": 0}, "invalid temperature: only 1 is allowed for this model"),
        ("kimi", {"temperature": 1, **SILENT["kimi"]}, "invalid temperature: only 0.6 is allowed for this model"),
        ("kimi", {"top_p": 0.5}, "invalid top_p"),
        ("kimi", {"n": 2}, "invalid n: only 1"),
        ("kimi", {"model": "kimi-k3", "thinking": {"type": "enabled"}}, "thinking is no parameter"),
        ("kimi", {"model": "kimi-k3", "reasoning_effort": "medium"}, "reasoning_effort"),
        ("kimi", {"model": "kimi-k2.7-code", **SILENT["kimi"]}, "cannot be disabled"),
        ("kimi", {"stop": ["x"] * 6}, "5"),
        ("kimi", {"tools": [ADD, ADD]}, "function name add is duplicated"),
        ("kimi", {"messages": [LINK]}, "unsupported image url: https://example.com/a.png"),
        ("openrouter", {"max_tokens": 100_001}, "can only afford 100000"),
    ],
)
async def test_what_the_host_does_not_take_is_refused_in_its_words(
    asked: Ask, vendor: str, fields: dict[str, Any], words: str
) -> None:
    refused = await asked(vendor, **fields)
    assert refused.status_code in {400, 402}
    assert words in told(refused)


@pytest.mark.parametrize(
    ("vendor", "fields"),
    [
        ("deepseek", {"temperature": 0.1, "stop": ["x"] * 16}),
        ("deepseek", {"response_format": {"type": "json_object"}, "messages": [JSON]}),
        ("deepseek", {"logprobs": True, **SILENT["deepseek"]}),
        ("kimi", {"temperature": 1, "top_p": 0.95, "presence_penalty": 0, "stop": ["x"] * 5, "n": 1}),
        ("kimi", {"temperature": 0.6, **SILENT["kimi"]}),
        ("kimi", {"model": "kimi-k3", "reasoning_effort": "max"}),
        ("kimi", {"messages": [PIXELS]}),
        ("openrouter", {"messages": [LINK], "max_tokens": 100_000, "tools": [ADD], "tool_choice": "required"}),
    ],
)
async def test_what_the_host_takes_goes_through(asked: Ask, vendor: str, fields: dict[str, Any]) -> None:
    assert (await asked(vendor, **fields)).status_code == 200


@pytest.mark.parametrize(
    ("vendor", "field"), [("deepseek", "reasoning_content"), ("kimi", "reasoning_content"), ("openrouter", "")]
)
@pytest.mark.parametrize(("given", "taken"), [(None, False), ("", False), (" ", True), ("Because.", True)])
async def test_a_thinking_host_wants_reasoning_back_with_calls_anybody_made_if_it_wants_text(
    asked: Ask, vendor: str, field: str, given: str | None, taken: bool
) -> None:
    turn = {"role": "assistant", "content": "", "tool_calls": [CALL]} | ({field: given} if field else {})
    response = await asked(vendor, USER, turn, RESULT, tools=[ADD])
    assert response.status_code == (200 if taken or not field else 400), response.text
    silent = await asked(vendor, USER, turn, RESULT, tools=[ADD], **SILENT[vendor])
    assert silent.status_code == 200


async def test_one_host_wants_reasoning_back_with_every_turn_and_the_other_with_calls_only(asked: Ask) -> None:
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}, USER]
    assert "must be passed back" in told(await asked("deepseek", *turns))
    assert (await asked("kimi", *turns)).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_details_must_come_back_signed_as_a_whole_with_the_hosts_own_calls(asked: Ask, stream: bool) -> None:
    first = await asked("openrouter", USER, tools=[ADD], stream=stream)
    turn = whole(first.text) if stream else first.json()["choices"][0]["message"]
    (called,) = turn["tool_calls"]
    result = {"role": "tool", "tool_call_id": called["id"], "content": "5"}
    (detail,) = turn["reasoning_details"]
    assert (await asked("openrouter", USER, turn, result)).status_code == 200
    bare = {"role": "assistant", "tool_calls": turn["tool_calls"]}
    assert "Expected `thinking`" in told(await asked("openrouter", USER, bare, result))
    forged = turn | {"reasoning_details": [detail | {"text": "Something else."}]}
    assert "Invalid `signature`" in told(await asked("openrouter", USER, forged, result))
    halves = [detail | {"text": text} for text in (detail["text"][:5], detail["text"][5:])]
    assert "Invalid `signature`" in told(await asked("openrouter", USER, turn | {"reasoning_details": halves}, result))
    silent = await asked("openrouter", USER, bare, result, **SILENT["openrouter"])
    assert silent.status_code == 200


def chunks(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def whole(text: str) -> dict[str, Any]:
    """Put a streamed turn together, as a careful client would."""
    deltas = [choice["delta"] for chunk in chunks(text) for choice in chunk["choices"]]
    details = [detail for delta in deltas for detail in delta.get("reasoning_details") or ()]
    signed = next(detail for detail in details if "signature" in detail)
    calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    return {
        "role": "assistant",
        "reasoning_details": [signed | {"text": "".join(detail.get("text", "") for detail in details)}],
        "tool_calls": [calls[0] | {"function": {"name": "add", "arguments": arguments}}],
    }


@pytest.mark.parametrize(
    ("vendor", "comment", "blank"),
    [("deepseek", ": keep-alive", 3), ("kimi", "", 0), ("openrouter", ": OPENROUTER PROCESSING", 2)],
)
async def test_a_host_keeps_the_line_alive_in_its_own_way(asked: Ask, vendor: str, comment: str, blank: int) -> None:
    streamed = (await asked(vendor, stream=True)).text
    assert streamed.count(f"{comment}\n\n") >= 3 if comment else "\n: " not in streamed
    assert (await asked(vendor)).text[: blank + 1] == "\n" * blank + "{"


async def test_usage_comes_unasked_where_each_host_puts_it(asked: Ask) -> None:
    (_, deep), (_, kimi), (first, last) = [
        chunks((await asked(vendor, stream=True)).text)[-2:] for vendor in ("deepseek", "kimi", "openrouter")
    ]
    assert deep["usage"]["completion_tokens"] > 0
    assert "usage" not in kimi
    assert kimi["choices"][0]["usage"]["completion_tokens"] > 0
    assert (first["choices"][0]["finish_reason"], last["choices"][0]["finish_reason"]) == ("stop", "stop")
    assert "usage" not in first
    assert last["usage"]["cost"] > 0


@pytest.mark.parametrize(("vendor", "field"), [("deepseek", "prompt_cache_hit_tokens"), ("kimi", "cached_tokens")])
async def test_cached_tokens_are_told_where_each_host_tells_them(asked: Ask, vendor: str, field: str) -> None:
    long = {"role": "user", "content": "word " * 2_000}
    used = (await asked(vendor, long, {"role": "user", "content": "go on"})).json()["usage"]
    assert 0 < used[field] <= used["prompt_tokens"]


async def test_an_error_inside_a_success_ends_the_choice(sim: Simulator, asked: Ask) -> None:
    await sim.set_faults("openrouter", [{"kind": "error_in_stream", "status": 502, "after_tokens": 3}])
    last = chunks((await asked("openrouter", stream=True)).text)[-1]
    assert last["error"]["code"] == 502
    assert last["choices"][0]["finish_reason"] == "error"
    body = await asked("openrouter")
    assert (body.status_code, body.json()["error"]["code"]) == (200, 502)


async def test_free_models_share_what_is_free_and_say_when_there_is_more(sim: Simulator, asked: Ask) -> None:
    free = ["openai/gpt-oss-120b:free", "qwen/qwen3-coder:free"]
    await sim.set_limits("openrouter", [{"unit": "requests", "per": "day", "amount": 1, "models": free}])
    assert (await asked("openrouter", model=free[0])).status_code == 200
    refused = await asked("openrouter", model=free[1])
    assert (refused.status_code, refused.headers["x-ratelimit-limit"]) == (429, "1")
    assert "free-models-per-day" in told(refused)
    assert len(refused.headers["x-ratelimit-reset"]) == 13
    assert (await asked("openrouter")).status_code == 200
    assert "x-ratelimit-limit" not in (await asked("openrouter")).headers


async def test_a_first_account_may_ask_three_times_a_minute(sim: Simulator, asked: Ask) -> None:
    await sim.reset()
    assert [(await asked("kimi")).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = await asked("kimi")
    assert refused.json()["error"]["type"] == "rate_limit_reached_error"
    assert "try again after" in told(refused)


@EACH
async def test_a_wrong_key_is_told_in_the_hosts_words(http: httpx.AsyncClient, vendor: str) -> None:
    response = await http.post(PATHS[vendor], json={}, headers={"authorization": "Bearer no"})
    assert response.status_code == 401
    assert response.json()["error"]["message"]
