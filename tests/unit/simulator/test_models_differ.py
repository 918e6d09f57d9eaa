"""What one model of a vendor takes and the next refuses, as the vendors' own sheets say."""

from typing import Any

import httpx
import pytest
from fixtures.simulated_vendors import Guest, admitted

from provider_services.simulator.running import Simulator

ASK = {"anthropic": "/messages", "openai": "/chat/completions", "groq": "/chat/completions", "cohere": "/v2/chat"}
TOOLS: dict[str, list[dict[str, Any]]] = {
    "anthropic": [{"name": "now", "input_schema": {"type": "object"}}],
    "cohere": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}],
}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1_024}}
ADAPTIVE = {"thinking": {"type": "adaptive"}}
OFF = {"thinking": {"type": "disabled"}}


async def status_of(each: Guest, model: str, fields: dict[str, Any]) -> int:
    """Ask a vendor in its own words and return how it answers."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "say: x"}]}
    if each.row.name == "anthropic":
        body["max_tokens"] = 4_096
    if "tool_choice" in fields:
        body["tools"] = TOOLS[each.row.name]
    return (await each.post(ASK[each.row.name], **body, **fields)).status


@pytest.mark.parametrize(
    ("vendor", "model", "fields", "taken"),
    [
        ("anthropic", "claude-haiku-4-5", BUDGET, True),
        ("anthropic", "claude-haiku-4-5", ADAPTIVE, False),
        ("anthropic", "claude-haiku-4-5", {"temperature": 0.5}, True),
        ("anthropic", "claude-haiku-4-5", {"temperature": 0.5, "top_p": 0.9}, False),
        ("anthropic", "claude-sonnet-4-6", BUDGET, True),
        ("anthropic", "claude-sonnet-4-6", ADAPTIVE, True),
        ("anthropic", "claude-sonnet-4-6", {"output_config": {"effort": "xhigh"}}, False),
        ("anthropic", "claude-opus-5", OFF, True),
        ("anthropic", "claude-haiku-5-5", BUDGET, False),
        ("anthropic", "claude-haiku-5-5", {"top_p": 0.9}, False),
        ("anthropic", "claude-opus-5-5", OFF, False),
        ("anthropic", "claude-opus-5-5", {"tool_choice": {"type": "any"}}, False),
        ("anthropic", "claude-haiku-5-5", {"tool_choice": {"type": "any"}}, True),
        ("openai", "gpt-5.6-sol", {"reasoning_effort": "xhigh"}, True),
        ("openai", "gpt-5.6-sol", {"reasoning_effort": "minimal"}, False),
        ("openai", "gpt-4o", {"reasoning_effort": "low"}, False),
        ("openai", "gpt-4o", {"max_tokens": 16_385}, False),
        ("openai", "gpt-4o", {"stop": ["a", "b", "c", "d", "e"]}, False),
        ("groq", "openai/gpt-oss-20b", {"reasoning_effort": "none"}, False),
        ("groq", "qwen/qwen3.8-27b", {"reasoning_effort": "none"}, True),
        ("groq", "qwen/qwen3.8-27b", {"reasoning_effort": "high"}, False),
        ("cohere", "command-r7b-12-2024", {"tool_choice": "REQUIRED"}, True),
        ("cohere", "command-r-08-2024", {"tool_choice": "REQUIRED"}, False),
    ],
)
async def test_a_model_takes_what_it_takes(
    sim: Simulator, http: httpx.AsyncClient, vendor: str, model: str, fields: dict[str, Any], *, taken: bool
) -> None:
    assert await status_of(await admitted(vendor, sim, http), model, fields) == (200 if taken else 400)


@pytest.mark.parametrize(
    ("model", "config", "taken"),
    [
        ("gemini-2.5-flash", {"thinkingConfig": {"thinkingBudget": 0}}, True),
        ("gemini-2.5-pro", {"thinkingConfig": {"thinkingBudget": 0}}, False),
        ("gemini-2.5-flash", {"thinkingConfig": {"thinkingLevel": "LOW"}}, False),
        ("gemini-flash-latest", {"thinkingConfig": {"thinkingLevel": "LOW"}}, True),
        ("gemini-2.5-flash", {"responseMimeType": "application/json"}, False),
        ("gemini-flash-latest", {"responseMimeType": "application/json"}, True),
        ("gemini-2.5-flash", {"stopSequences": ["a", "b", "c", "d", "e", "f"]}, False),
    ],
)
async def test_a_gemini_takes_what_its_generation_takes(
    sim: Simulator, http: httpx.AsyncClient, model: str, config: dict[str, Any], *, taken: bool
) -> None:
    gemini = await admitted("gemini", sim, http)
    declared = [{"functionDeclarations": [{"name": "now", "parameters": {"type": "object"}}]}]
    said = [{"role": "user", "parts": [{"text": "say: x"}]}]
    reply = await gemini.post(
        f"/models/{model}:generateContent", contents=said, generationConfig=config, tools=declared
    )
    assert reply.status == (200 if taken else 400)


async def test_a_model_that_cannot_be_told_not_to_think_thinks_unasked(sim: Simulator, http: httpx.AsyncClient) -> None:
    anthropic = await admitted("anthropic", sim, http)
    for model, thinks in (("claude-opus-5-5", True), ("claude-haiku-5-5", False)):
        reply = await anthropic.post(
            "/messages", model=model, max_tokens=99, messages=[{"role": "user", "content": "say: x"}]
        )
        assert (b'"thinking"' in reply.body) is thinks


async def test_a_month_of_trial_calls_is_told(sim: Simulator, http: httpx.AsyncClient) -> None:
    cohere = await admitted("cohere", sim, http)
    await sim.reset()
    headers = (await cohere.say("say: x")).reply.headers
    assert headers["x-trial-endpoint-call-remaining"] == "19"
    assert headers["x-endpoint-monthly-call-limit"] == "1000"
