"""Texts become vectors through the whole mesh, over gRPC and for the official client; each call is paid for once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from fixtures.mesh_callers import ASKED, DEADLINE, Callers, refusal
from llmmesh.router.v1 import router_pb2
from openai import AsyncOpenAI

from meshkit.errors import Reason

SMALL, OTHER, LOCAL = "openai/text-embedding-3-small", "gemini/gemini-embedding-2", "ollama/nomic-embed-text"
LENGTHS = {SMALL: 1536, OTHER: 3072, LOCAL: 768}
TEXTS = [ASKED, "another text", "a third"]
BROKEN = {"kind": "status", "status": 503, "operation": "embed"}


@asynccontextmanager
async def client(callers: Callers) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{callers.mesh.edge}/v1", api_key="any", max_retries=0) as official:
        yield official


async def embed(
    callers: Callers, *texts: str, dimensions: int | None = None, **intent: Any
) -> router_pb2.EmbedResponse:
    request = router_pb2.EmbedRequest(intent=router_pb2.Intent(**intent), texts=texts, dimensions=dimensions)
    response: router_pb2.EmbedResponse = await callers.router.Embed(request, timeout=DEADLINE)
    return response


@pytest.mark.parametrize("model", LENGTHS)
async def test_every_dialect_embeds_and_whoever_asks_gets_the_same_numbers(callers: Callers, model: str) -> None:
    over_grpc = await embed(callers, *TEXTS, model=model)
    async with client(callers) as official:
        packed = await official.embeddings.create(model=model, input=TEXTS)
        plain = await official.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    numbers = [list(embedding.values) for embedding in over_grpc.embeddings]
    assert [len(vector) for vector in numbers] == [LENGTHS[model]] * 3
    assert [list(row.embedding) for row in packed.data] == [list(row.embedding) for row in plain.data] == numbers
    assert plain.usage.prompt_tokens == over_grpc.usage.input_tokens > 0
    assert packed.model_extra["llm_mesh"]["offer"] == over_grpc.route.offer == f"{model}#1"  # type: ignore[index]
    assert await callers.arrived(model.partition("/")[0]) == 3


async def test_a_text_alone_and_shorter_vectors_are_asked_for_as_such(callers: Callers) -> None:
    async with client(callers) as official:
        reply = await official.embeddings.create(model="text-embedding-3-small", input="one", dimensions=256)
    assert [len(row.embedding) for row in reply.data] == [256]


async def test_without_a_model_the_use_case_chooses_and_another_may_stand_in_for_all_texts(callers: Callers) -> None:
    async with client(callers) as official:
        usual = await official.embeddings.create(model="auto", input=TEXTS)
        await callers.simulator.set_faults("cohere", [BROKEN])
        other = await official.embeddings.create(model="use_case:embedding", input=TEXTS)
    assert (usual.model, other.model) == ("embed-v4.0", "mistral-embed")
    assert {len(row.embedding) for row in other.data} == {1024}
    mesh = other.model_extra["llm_mesh"]  # type: ignore[index]
    assert (mesh["fallback_used"], [attempt["outcome"] for attempt in mesh["attempts"]]) == (True, ["failed", "served"])


async def test_a_pinned_model_is_not_substituted(callers: Callers) -> None:
    await callers.simulator.set_faults("openai", [BROKEN])
    async with client(callers) as official:
        with pytest.raises(openai.InternalServerError):
            await official.embeddings.create(model=SMALL, input=TEXTS)
    assert await callers.arrived("gemini") == await callers.arrived("ollama") == 0


async def test_many_at_once_are_all_served_and_the_ledger_agrees_with_the_vendor(callers: Callers) -> None:
    before = (await callers.spend("model")).get(("text-embedding-3-small",))
    answers = await asyncio.gather(*(embed(callers, ASKED, f"{number}", model=SMALL) for number in range(30)))
    assert len({tuple(answer.embeddings[0].values) for answer in answers}) == 1
    assert len({tuple(answer.embeddings[1].values) for answer in answers}) == 30
    await callers.settled()
    after = (await callers.spend("model"))[("text-embedding-3-small",)]
    assert after.requests - (before.requests if before else 0) == await callers.arrived("openai") == 30
    tokens = sum(answer.usage.input_tokens for answer in answers)
    assert after.input_tokens - (before.input_tokens if before else 0) == tokens
    assert after.output_tokens == 0
    assert after.cost_nanos - (before.cost_nanos if before else 0) == 20 * tokens


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": []}, 400, "invalid_request", "input"),
        ({"input": [1, 2]}, 400, "invalid_request", "input"),
        ({"input": "a", "dimensions": 0}, 400, "invalid_request", "dimensions"),
        ({"input": "a", "dimensions": 1537, "model": SMALL}, 400, "vendor_unsupported", "dimensions"),
        ({"input": ["a"] * 101, "model": OTHER}, 400, "vendor_unsupported", "input"),
        ({"input": ["a", f"{ASKED} " * 4_000], "model": LOCAL}, 400, "vendor_context", "input"),
        ({"input": "a", "model": "text-embedding-nonesuch"}, 404, "unknown_model", "model"),
        ({"input": "a", "model": "gpt-4o-mini"}, 400, "invalid_request", "model"),
        ({"input": "a", "model": "use_case:plain"}, 400, "invalid_request", "model"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_before_anything_is_sent(
    callers: Callers, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    reply = await callers.http.post("/v1/embeddings", json=body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param)
    state = await callers.simulator.state()
    assert {name: vendor["arrivals"] for name, vendor in state.items()} == dict.fromkeys(state, 0)


async def test_dimensions_a_model_does_not_have_are_the_callers_error(callers: Callers) -> None:
    error = await refusal(embed(callers, "one", model=LOCAL, dimensions=769))
    assert (error.reason, [violation.field for violation in error.fields]) == (
        Reason.VENDOR_UNSUPPORTED,
        ["dimensions"],
    )


async def test_models_that_embed_are_not_chatted_with(callers: Callers) -> None:
    error = await refusal(callers.generate("hello", model=SMALL))
    assert (error.reason, [violation.field for violation in error.fields]) == (Reason.INVALID_REQUEST, ["intent.model"])


async def test_it_is_counted_as_embeddings_with_its_tokens_and_cost(callers: Callers) -> None:
    async def samples(page: str, *parts: str) -> float:
        async with httpx.AsyncClient(trust_env=False) as http:
            text = (await http.get(f"{callers.mesh.admin[page]}/metrics")).text
        found = [line for line in text.splitlines() if all(part in line for part in parts)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    model = 'model="text-embedding-3-small"'
    wanted = {
        "tokens": ("router", "mesh_tokens_total{", model, 'type="input"'),
        "output": ("router", "mesh_tokens_total{", model, 'type="output"'),
        "cost": ("router", "mesh_cost_usd_total{", model, 'use_case="embedding"'),
        "calls": ("providers", "gen_ai_client_operation_duration_seconds_count{", 'gen_ai_operation_name="embeddings"'),
    }
    before = {name: await samples(*parts) for name, parts in wanted.items()}
    answer = await embed(callers, *TEXTS, preferred_model=SMALL)
    grown = {name: await samples(*parts) - before[name] for name, parts in wanted.items()}
    assert (grown["tokens"], grown["output"], grown["calls"]) == (answer.usage.input_tokens, 0, 1)
    assert grown["cost"] == pytest.approx(answer.usage.cost_nanos / 1e9)
