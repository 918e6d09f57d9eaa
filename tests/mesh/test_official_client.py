"""The official client works with the whole mesh by its base URL alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from fixtures.mesh_callers import ANSWERED, ASKED, Callers
from openai import AsyncOpenAI


def asking(text: str) -> list[Any]:
    return [{"role": "system", "content": ASKED}, {"role": "user", "content": text}]


@asynccontextmanager
async def client(callers: Callers, key: str = "any") -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{callers.mesh.edge}/v1", api_key=key, max_retries=0) as official:
        yield official


@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "gpt-4o-mini", "use_case:plain"])
async def test_it_completes(callers: Callers, model: str) -> None:
    async with client(callers) as official:
        reply = await official.chat.completions.create(model=model, messages=asking(f"say: {ANSWERED}"))
    assert reply.choices[0].message.content == ANSWERED
    assert reply.model == "gpt-4o-mini"
    assert reply.usage is not None
    assert reply.usage.completion_tokens > 0
    assert reply.model_extra["llm_mesh"]["offer"] == "openai/gpt-4o-mini#1"  # type: ignore[index]


@pytest.mark.parametrize(
    "model", ["openai/gpt-4o-mini", "groq/openai/gpt-oss-120b", "gemini/gemini-2.5-flash", "ollama/mistral:7b"]
)
async def test_it_streams_from_every_dialect(callers: Callers, model: str) -> None:
    async with client(callers) as official:
        stream = await official.chat.completions.create(
            model=model,
            messages=asking(f"say: one two {ANSWERED}"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == f"one two {ANSWERED}"
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 0


async def test_it_calls_tools(callers: Callers) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    async with client(callers) as official:
        reply = await official.chat.completions.create(
            model="gpt-4o-mini", messages=asking("Please call weather"), tools=[tool]
        )
    (call,) = reply.choices[0].message.tool_calls or []
    assert call.function.name == "weather"  # type: ignore[union-attr]
    assert reply.choices[0].finish_reason == "tool_calls"


async def test_it_lists_models(callers: Callers) -> None:
    async with client(callers) as official:
        listed = {model.id async for model in official.models.list()}
    assert {"openai/gpt-4o-mini", "groq/openai/gpt-oss-120b", "ollama/llama3.1:8b"} <= listed


async def test_it_raises_its_rate_limit_error_once_every_budget_is_exhausted(callers: Callers) -> None:
    async with client(callers) as official:
        asked = [
            official.chat.completions.create(model="use_case:dry", messages=asking(f"say: {ANSWERED}"))
            for _ in range(3)
        ]
        with pytest.raises(openai.RateLimitError) as raised:
            await asyncio.gather(*asked)
    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.type == "insufficient_quota"
    assert int(raised.value.response.headers["retry-after"]) > 0
    assert await callers.arrived("groq") <= 1
    assert await callers.arrived("gemini") <= 1


async def test_it_raises_its_own_errors_for_what_is_wrong_with_a_request(callers: Callers) -> None:
    async with client(callers) as official:
        with pytest.raises(openai.NotFoundError):
            await official.chat.completions.create(model="gpt-nonesuch", messages=asking("hello"))
        with pytest.raises(openai.BadRequestError) as raised:
            await official.chat.completions.create(model="auto", messages=[])
    assert raised.value.param == "messages"


async def test_with_a_caller_key_set_a_wrong_one_is_an_authentication_error(guarded: Callers) -> None:
    async with client(guarded, "wrong-key") as official:
        with pytest.raises(openai.AuthenticationError):
            await official.chat.completions.create(model="use_case:two", messages=asking("hello"))
    (_, presented), *_ = guarded.metadata
    async with client(guarded, presented.removeprefix("Bearer ")) as official:
        reply = await official.chat.completions.create(model="use_case:two", messages=asking(f"say: {ANSWERED}"))
    assert reply.choices[0].message.content == ANSWERED
