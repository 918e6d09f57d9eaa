"""The Python client against a whole mesh."""

import asyncio

import pytest

from llm_mesh import AsyncClient, Client, failures


async def test_it_asks_streams_embeds_and_explains(shared, callers):
    def use():
        with Client(shared.router) as mesh:
            answer = mesh.generate("tokens: 3", use_case="plain", timeout=60)
            pieces = list(mesh.stream("tokens: 3", use_case="plain", timeout=60))
            vectors = mesh.embed(["a text", "another"], timeout=60)
            plan = mesh.explain(use_case="plain", timeout=60)
            with pytest.raises(failures.NotFoundError, match="unknown model"):
                mesh.generate("x", model="no-such-model", timeout=60)
            return answer, pieces, vectors, plan

    answer, pieces, vectors, plan = await asyncio.to_thread(use)
    assert answer.text == "".join(piece.text for piece in pieces)
    assert pieces[-1].route is not None
    assert len(vectors.vectors) == 2
    assert plan.offers


async def test_it_does_so_for_asyncio(shared, callers):
    async with AsyncClient(shared.router) as mesh:
        answers = await asyncio.gather(*(mesh.generate("tokens: 3", use_case="plain", timeout=60) for _ in range(5)))
        assert len({answer.text for answer in answers}) == 1
