"""What one host of the openai dialect does and its neighbours do not: refusals, arithmetic, headers, paths, ends."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fixtures.prompts import prompt, user
from fixtures.simulated_vendors import ROWS, Guest, admitted, guest
from llmmesh.chat.v1.chat_pb2 import FinishReason, Message, Role

from meshkit.errors import Reason
from provider_services.dialects.interface import HttpReply, VendorFault
from provider_services.simulator.running import Simulator

CHAT = "/chat/completions"
HELLO = [{"role": "user", "content": "say: hello"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
LONG = "word " * 1_000  # 1,250 tokens and three
Admit = Callable[[str], Awaitable[Guest]]


@pytest.fixture
def admit(sim: Simulator, http: httpx.AsyncClient) -> Admit:
    async def enter(name: str) -> Guest:
        return await admitted(name, sim, http)

    return enter


def told(reply: HttpReply) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(reply.body)
    return found


def events(reply: HttpReply) -> list[dict[str, Any]]:
    lines = reply.body.decode().splitlines()
    payloads = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert payloads[-1] == "[DONE]"
    return [json.loads(payload) for payload in payloads[:-1]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream_options", {"include_usage": True}),
        ("seed", 1),
        ("user", "me"),
        ("max_completion_tokens", 9),
        ("top_k", 3),
    ],
)
async def test_mistral_takes_no_field_it_does_not_know(admit: Admit, field: str, value: Any) -> None:
    mistral = await admit("mistral")
    reply = await mistral.post(CHAT, model="mistral-large-latest", messages=HELLO, **{field: value})
    (detail,) = told(reply)["detail"]
    assert (reply.status, detail["type"], detail["loc"]) == (422, "extra_forbidden", ["body", field])
    assert detail["input"] == value


async def test_mistral_knows_messages_by_their_role(admit: Admit) -> None:
    mistral = await admit("mistral")
    turns = [HELLO[0] | {"name": "Ada"}]
    (detail,) = told(await mistral.post(CHAT, model="mistral-large-latest", messages=turns))["detail"]
    assert detail["loc"] == ["body", "messages", 0, "user", "name"]


async def test_mistral_makes_ids_of_nine_and_takes_no_others(admit: Admit) -> None:
    mistral = await admit("mistral")
    asked = [{"role": "user", "content": "call weather"}]
    reply = told(await mistral.post(CHAT, model="mistral-large-latest", messages=asked, tools=[WEATHER]))
    (call,) = reply["choices"][0]["message"]["tool_calls"]
    assert (len(call["id"]), call["id"].isalnum()) == (9, True)
    for identity, status in ((call["id"], 200), ("call_0fypS1hVX", 400)):
        turns = [
            *asked,
            {"role": "assistant", "content": "", "tool_calls": [call | {"id": identity}]},
            {"role": "tool", "tool_call_id": identity, "content": "sunny"},
        ]
        reply = await mistral.post(CHAT, model="mistral-large-latest", messages=turns)
        assert reply.status == status
        assert told(reply).get("code") == (None if status == 200 else "3280")


async def test_mistral_wants_the_last_word_for_itself(admit: Admit) -> None:
    mistral = await admit("mistral")
    turns = [*HELLO, {"role": "assistant", "content": "hello"}]
    assert told(await mistral.post(CHAT, model="mistral-large-latest", messages=turns))["code"] == "3230"


async def test_mistral_thinks_in_parts_and_when_asked(admit: Admit) -> None:
    mistral = await admit("mistral")
    plain = told(await mistral.post(CHAT, model="mistral-small-latest", messages=HELLO))
    assert plain["choices"][0]["message"]["content"] == "hello"
    asked = {"model": "mistral-small-latest", "messages": HELLO, "reasoning_effort": "high"}
    thought, text = told(await mistral.post(CHAT, **asked))["choices"][0]["message"]["content"]
    assert (thought["type"], thought["thinking"][0]["type"], text) == (
        "thinking",
        "text",
        {"type": "text", "text": "hello"},
    )
    reply = await mistral.post(CHAT, **(asked | {"reasoning_effort": "low"}))
    assert reply.status == 422


async def test_mistral_spells_cached_tokens_in_three_ways(admit: Admit) -> None:
    mistral = await admit("mistral")
    turns = [user(LONG), Message(role=Role.ROLE_ASSISTANT, parts=user("yes").parts), user("say: hello")]
    spellings = set()
    for model in (model for model in ROWS["mistral"].models if model.kind == "chat"):
        answer = await mistral.ask(mistral.call(model.id, prompt(*turns)))
        assert answer.usage.cached_input_tokens == 1_152
        spellings |= told(answer.reply)["usage"].keys() & set(mistral.row.quirks["cached_in"])
    assert spellings == set(mistral.row.quirks["cached_in"])


async def test_mistral_names_the_window_in_the_header_and_tells_no_reset(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    mistral = guest("mistral", sim, http)
    headers = (await mistral.say("say: hello", model="mistral-large-latest")).reply.headers
    assert headers["x-ratelimit-limit-req-minute"] == "60"
    assert headers["x-ratelimit-remaining-req-minute"] == "59"
    assert headers["x-ratelimit-limit-tokens-month"] == "1000000000"
    assert int(headers["x-ratelimit-tokens-query-cost"]) == 1_000_000_000 - int(
        headers["x-ratelimit-remaining-tokens-month"]
    )
    assert not [name for name in headers if "reset" in name]


async def test_xai_leaves_reasoning_out_of_the_completion_but_not_of_the_total(admit: Admit) -> None:
    xai = await admit("xai")
    answer = await xai.say("tokens: 30", model="grok-4.7")
    usage = told(answer.reply)["usage"]
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert usage["completion_tokens"] == 30 - reasoning < 30
    assert usage["total_tokens"] == usage["prompt_tokens"] + 30
    assert answer.usage.output_tokens == 30


@pytest.mark.parametrize(
    ("model", "field", "value", "taken"),
    [
        ("grok-4.7", "stop", ["x"], False),
        ("grok-4.7", "presence_penalty", 0.5, False),
        ("grok-4.20-non-reasoning", "stop", ["x"], True),
        ("grok-4.7", "reasoning_effort", "xhigh", True),
        ("grok-4.6", "reasoning_effort", "xhigh", False),
        ("grok-4.3", "reasoning_effort", "none", True),
        ("grok-build-latest", "reasoning_effort", "low", False),
        ("grok-4.7", "top_logprobs", 9, False),
    ],
)
async def test_xai_refuses_what_a_model_does_not_take(
    admit: Admit, model: str, field: str, value: Any, *, taken: bool
) -> None:
    xai = await admit("xai")
    reply = await xai.post(CHAT, model=model, messages=HELLO, **{field: value})
    assert reply.status == (200 if taken else 400)
    if not taken and field != "top_logprobs":
        head, *rest = field.split("_")
        assert (
            told(reply)["error"] == f"Model {model} does not support parameter {head + ''.join(map(str.title, rest))}."
        )


async def test_xai_tells_limits_without_a_reset_and_a_bad_key_with_a_400(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    xai = guest("xai", sim, http)
    headers = (await xai.say("say: hello")).reply.headers
    assert headers["x-ratelimit-remaining-requests"] == "1799"
    assert "x-ratelimit-reset-requests" not in headers
    assert (await xai.with_key("xai-rejected").fault()).http_status == 400


async def test_open_models_of_qwen_think_in_streams_only(admit: Admit) -> None:
    qwen = await admit("qwen")
    asked = {"model": "qwen3-30b-a3b", "messages": HELLO, "enable_thinking": True}
    reply = await qwen.post(CHAT, **asked)
    assert (reply.status, "non-streaming" in told(reply)["error"]["message"]) == (400, True)
    streamed = events(await qwen.post(CHAT, **asked, stream=True))
    assert any(chunk["choices"][0]["delta"].get("reasoning_content") for chunk in streamed)
    assert (await qwen.post(CHAT, **(asked | {"enable_thinking": False}))).status == 200
    assert (await qwen.post(CHAT, **(asked | {"model": "qwen-plus"}))).status == 200
    by_default = await qwen.post(CHAT, model="qwen3-30b-a3b", messages=HELLO)
    assert by_default.status == 400
    never_off = await qwen.post(CHAT, model="qwq-plus", messages=HELLO, enable_thinking=False)
    assert never_off.status == 400


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("temperature", 2, 400),
        ("temperature", 1.99, 200),
        ("tool_choice", "required", 400),
        ("n", 5, 400),
        ("response_format", {"type": "json_object"}, 400),
        ("max_tokens", 8_193, 400),
    ],
)
async def test_qwen_has_edges_of_its_own(admit: Admit, field: str, value: Any, status: int) -> None:
    qwen = await admit("qwen")
    reply = await qwen.post(CHAT, model="qwen-max", messages=HELLO, tools=[WEATHER], **{field: value})
    assert reply.status == status
    assert ("request_id" in told(reply)) is (status == 400)


async def test_qwen_gives_a_million_tokens_once_and_calls_a_limit_a_quota(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    qwen = guest("qwen", sim, http)
    await sim.set_limits("qwen", [{"unit": "tokens", "per": "once", "amount": 30, "scope": "model"}])
    await qwen.say("tokens: 20", model="qwen-max")
    await sim.advance(90 * 86_400)
    spent = await qwen.fault("tokens: 20", model="qwen-max")
    assert (spent.reason, spent.http_status, spent.retry_after) == (Reason.VENDOR_QUOTA, 403, None)
    await qwen.say("tokens: 20", model="qwen-flash")
    await sim.set_limits("qwen", [{"unit": "tokens", "per": "minute", "amount": 30}])
    too_many = await qwen.fault("tokens: 50", model="qwen-max")
    assert (too_many.reason, "quota" in too_many.message) == (Reason.VENDOR_THROTTLED, True)


async def test_glm_tells_an_error_with_a_200(admit: Admit) -> None:
    glm = await admit("glm")
    await glm.sim.set_faults("glm", [{"kind": "error_in_stream", "says": "overloaded"}])
    reply = await glm.post(CHAT, model="glm-4.7", messages=HELLO)
    assert (reply.status, told(reply)["error"]["code"]) == (200, "1305")
    for stream in (False, True):
        assert (await glm.fault(model="glm-4.7", stream=stream)).reason is Reason.VENDOR_OVERLOAD


@pytest.mark.parametrize(
    ("vendor", "finish", "word", "meaning"),
    [
        ("glm", "filter", "sensitive", FinishReason.FINISH_REASON_CONTENT_FILTER),
        ("glm", "abort", "network_error", None),
        ("mistral", "abort", "error", None),
        ("azure", "filter", "content_filter", FinishReason.FINISH_REASON_CONTENT_FILTER),
    ],
)
async def test_an_answer_ends_early_with_a_word_of_the_vendors(
    admit: Admit, vendor: str, finish: str, word: str, meaning: int | None
) -> None:
    each = await admit(vendor)
    model = (
        next(model.id for model in each.row.models if model.kind == "chat" and not model.reasoning)
        if vendor != "glm"
        else "glm-4.7"
    )
    await each.sim.set_faults(vendor, [{"kind": "finish", "finish": finish, "after_tokens": 6}])
    for stream in (False, True):
        made = each.call(model, prompt(user("tokens: 40")), stream=stream)
        assert f'"{word}"' in (await each.send(each.dialect.encode(made))).body.decode()
        if meaning is None:
            with pytest.raises(VendorFault):
                await each.ask(made)
        else:
            assert (await each.ask(made)).finish == meaning


@pytest.mark.parametrize(("vendor", "word"), [("mistral", "model_length"), ("glm", "model_context_window_exceeded")])
async def test_an_answer_ends_at_the_window_with_a_word_of_the_vendors(admit: Admit, vendor: str, word: str) -> None:
    each = await admit(vendor)
    model = min((model for model in each.row.models if model.kind == "chat"), key=lambda model: model.context)
    text = "tokens: 400 " + "x" * (4 * (model.context - 20))
    answer = await each.say(text, model=model.id)
    assert told(answer.reply)["choices"][0]["finish_reason"] == word
    assert answer.finish == FinishReason.FINISH_REASON_LENGTH


async def test_glm_says_who_speaks_with_every_delta_and_the_usage_with_the_last(admit: Admit) -> None:
    glm = await admit("glm")
    chunks = events(await glm.post(CHAT, model="glm-4.7", messages=HELLO, stream=True))
    assert {chunk["choices"][0]["delta"]["role"] for chunk in chunks} == {"assistant"}
    assert [set(chunk["choices"][0]) for chunk in chunks[:-1]] == [{"index", "delta"}] * (len(chunks) - 1)
    assert chunks[-1]["usage"]["total_tokens"] > 0
    whole = told(await glm.post(CHAT, model="glm-4.7", messages=HELLO))
    assert whole["id"] == whole["request_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("tool_choice", "required"), ("temperature", 1.2), ("stop", ["a", "b"]), ("thinking", {"type": "disabled"})],
)
async def test_glm_refuses_with_a_number(admit: Admit, field: str, value: Any) -> None:
    glm = await admit("glm")
    reply = await glm.post(CHAT, model="glm-5.3", messages=HELLO, tools=[WEATHER], **{field: value})
    assert (reply.status, told(reply)["error"]["code"]) == (400, "1210")


async def test_ai21_shows_strangers_an_empty_list(admit: Admit) -> None:
    ai21 = await admit("ai21")
    assert await ai21.with_key("").listed() == set()
    assert "jamba-large" in await ai21.listed()
    assert (await ai21.with_key("").fault()).reason is Reason.VENDOR_AUTH


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 4_097),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}),
        ("n", 17),
        ("messages", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]),
        ("messages", [{"role": "developer", "content": "be brief"}]),
    ],
)
async def test_ai21_takes_little_more_than_text(admit: Admit, field: str, value: Any) -> None:
    ai21 = await admit("ai21")
    assert (await ai21.post(CHAT, **({"model": "jamba-mini", "messages": HELLO} | {field: value}))).status == 422
    assert (await ai21.post(CHAT, model="jamba-mini", messages=HELLO, n=2, stream=True)).status == 422


async def test_ai21_says_little_of_its_answers(admit: Admit) -> None:
    ai21 = await admit("ai21")
    assert set(told(await ai21.post(CHAT, model="jamba-mini", messages=HELLO))) == {"id", "choices", "usage"}


async def test_deepinfra_puts_thoughts_of_some_models_into_the_text(admit: Admit) -> None:
    deepinfra = await admit("deepinfra")
    for stream in (False, True):
        answer = await deepinfra.say("say: hello", model="deepseek-ai/DeepSeek-R1", stream=stream)
        assert b"<think>" in answer.reply.body
        assert (answer.text.strip(), bool(answer.reasoning)) == ("hello", True)
        answer = await deepinfra.say("say: hello", model="Qwen/Qwen3-32B", stream=stream)
        assert b"<think>" not in answer.reply.body
        assert bool(answer.reasoning)


async def test_deepinfra_counts_reasoning_of_one_maker_apart(admit: Admit) -> None:
    deepinfra = await admit("deepinfra")
    for model, outside in (("google/gemini-2.5-flash", True), ("Qwen/Qwen3-32B", False)):
        answer = await deepinfra.say("tokens: 30", model=model)
        assert (told(answer.reply)["usage"]["completion_tokens"] < 30) is outside
        assert answer.usage.output_tokens == 30


async def test_deepinfra_forces_no_tool_and_wants_results_as_one_text(admit: Admit) -> None:
    deepinfra = await admit("deepinfra")
    model = "meta-llama/Llama-3.3-70B-Instruct"
    assert (
        await deepinfra.post(CHAT, model=model, messages=HELLO, tools=[WEATHER], tool_choice="required")
    ).status == 422
    result = {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "sunny"}]}
    assert (await deepinfra.post(CHAT, model=model, messages=[*HELLO, result])).status == 422
    assert (await deepinfra.post(CHAT, model=model.lower(), messages=HELLO)).status == 404


async def test_huggingface_finds_a_model_with_any_host_behind_it(admit: Admit) -> None:
    huggingface = await admit("huggingface")
    for name in ("openai/gpt-oss-120b", "openai/gpt-oss-120b:groq", "openai/gpt-oss-120b:cheapest"):
        assert (await huggingface.say("say: hello", model=name)).text == "hello"
    assert (await huggingface.fault(model="openai/gpt-oss-121b:groq")).reason is Reason.VENDOR_NOT_FOUND


async def test_huggingface_shows_its_models_to_everybody_and_speaks_in_one_string(admit: Admit) -> None:
    huggingface = (await admit("huggingface")).with_key("")
    assert "openai/gpt-oss-120b" in await huggingface.listed()
    reply = await huggingface.post(CHAT, model="openai/gpt-oss-120b", messages=HELLO)
    assert (reply.status, told(reply)) == (401, {"error": "Invalid username or password."})


async def test_github_is_gone_until_told_otherwise(sim: Simulator, http: httpx.AsyncClient) -> None:
    github = guest("github", sim, http)
    assert (await github.fault()).http_status == 410
    assert (await github.post("/anything")).status == 410
    await sim.set_standing("github", ended=False)
    assert (await github.say("say: hello")).text == "hello"
    assert "openai/gpt-4o" in await github.listed()


async def test_github_counts_by_model_and_day(sim: Simulator, http: httpx.AsyncClient) -> None:
    github = await admitted("github", sim, http)
    day = {"unit": "requests", "per": "day", "amount": 1, "scope": "model", "resets": "utc"}
    await sim.set_limits("github", [day])
    await github.say("say: hello", model="openai/gpt-4o")
    used_up = await github.fault(model="openai/gpt-4o")
    assert used_up.reason is Reason.VENDOR_QUOTA
    assert "per 86400s exceeded for UserByModelByDay" in used_up.message
    assert used_up.retry_after is not None
    await github.say("say: hello", model="openai/gpt-4o-mini")


async def test_azure_answers_for_deployments_by_either_path_and_either_header(admit: Admit) -> None:
    azure = await admit("azure")
    old = replace(azure, root="/openai/deployments/prod-gpt-4o-mini-eu")
    query = "?api-version=2024-10-21"
    reply = await old.post(CHAT + query, model=None, messages=HELLO)
    assert (reply.status, told(reply)["model"]) == (200, "gpt-4o-mini-2024-07-18")
    assert told(await old.post(CHAT, messages=HELLO))["error"] == {"code": "404", "message": "Resource not found"}
    new = await azure.post(CHAT, model="prod-gpt-4o-mini-eu", messages=HELLO)
    assert told(new)["model"] == "gpt-4o-mini-2024-07-18"
    bearer = replace(azure.with_key(""), headers={"authorization": f"Bearer {azure.key}"})
    assert (await bearer.post(CHAT, model="gpt-4o", messages=HELLO)).status == 200
    assert (await azure.fault(model="prod")).message.startswith("The API deployment for this resource does not exist")


async def test_azure_tells_of_its_filters_before_anything_is_said(admit: Admit) -> None:
    azure = await admit("azure")
    chunks = events(await azure.post(CHAT, model="gpt-4o", messages=HELLO, stream=True))
    assert (chunks[0]["choices"], chunks[0]["model"], "prompt_filter_results" in chunks[0]) == ([], "", True)
    assert all("content_filter_results" in chunk["choices"][0] for chunk in chunks[1:])
    whole = told(await azure.post(CHAT, model="gpt-4o", messages=HELLO))
    assert {"prompt_filter_results", "content_filter_results"} <= {*whole, *whole["choices"][0]}


async def test_azure_writes_whole_seconds_and_minus_one_for_what_it_does_not_know(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    azure = guest("azure", sim, http)
    headers = (await azure.say("say: hello", model="gpt-4o")).reply.headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("250", "249")
    assert headers["x-ratelimit-reset-requests"] == "60"
    await sim.set_limits("azure", [{"unit": "requests", "per": "minute", "amount": 1}])
    refused = await azure.post(CHAT, model="gpt-4o", messages=HELLO)
    assert (refused.status, refused.headers["x-ratelimit-limit-tokens"]) == (429, "-1")
    assert (refused.headers["x-ratelimit-remaining-tokens"], refused.headers["x-ratelimit-reset-tokens"]) == ("-1", "0")
    assert 59_000 < int(refused.headers["retry-after-ms"]) <= 1_000 * int(refused.headers["retry-after"])
