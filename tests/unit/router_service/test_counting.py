"""Tokens are estimated for every model that might serve, and nothing is held for it."""

from __future__ import annotations

import pytest
from fixtures.fake_provider import answers
from fixtures.router_house import House, asked, house
from fixtures.small_mesh import catalog, model, price, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

KNOWN = catalog(
    vendor("alpha", model("one", max_output_tokens=300)),
    vendor("beta", model("two", price=price(2, 6)), model("unknown", price=None)),
    vendor("gamma", model("small", context_window=50), model("vectors", model_class="embedding")),
    use_cases=(use_case(candidates={"economy": ["alpha/one", "gamma/small"]}, default_tier="economy"),),
)


@pytest.fixture
async def known():
    async with house(KNOWN) as running:
        yield running


async def count(running: House, text: str = "Hi", **intent: object) -> dict[str, router_pb2.TokenCount]:
    fields = asked(text, **intent)
    fields.pop("request_id")
    response = await running.stub.CountTokens(router_pb2.CountTokensRequest(**fields), timeout=5)
    return {each.model: each for each in response.counts}


async def test_the_plan_comes_first_and_who_was_left_out_is_counted_too(known):
    told = await count(known, "x" * 320)
    assert list(told) == ["alpha/one", "gamma/small"]
    assert told["alpha/one"].left_out == ""
    assert told["gamma/small"].left_out == "about 109 tokens; gamma/small takes 50"
    assert [each.input_tokens for each in told.values()] == [109, 109]
    assert told["alpha/one"].output_tokens == 300
    assert known.quota.batches == []


async def test_models_that_are_named_are_counted_for_in_their_order_with_their_list_price(known):
    told = await count(known, "x" * 320, candidates=["beta/two", "beta/unknown", "alpha/one"])
    assert list(told) == ["beta/two", "beta/unknown", "alpha/one"]
    assert told["beta/two"].list_cost_nanos == 109 * 2_000 + 1_024 * 6_000
    assert not told["beta/unknown"].HasField("list_cost_nanos")


async def test_what_a_model_has_counted_so_far_is_learned_from(known):
    used = chat_pb2.Usage(input_tokens=20, output_tokens=7)
    known.provider("alpha").script.extend([answers("yes", usage=used)] * 9)
    before = (await count(known))["alpha/one"]
    for number in range(9):
        await known.generate(candidates=["alpha/one"])
        if number == 6:
            assert (await count(known))["alpha/one"].learned_from == 0
    after = (await count(known))["alpha/one"]
    assert (before.learned_from, after.learned_from) == (0, 9)
    assert (before.input_tokens, after.input_tokens) == (9, 18)  # twice as many at most
    assert (before.output_tokens, after.output_tokens) == (300, 7)


async def test_texts_to_be_embedded_are_counted_without_an_answer(known):
    request = router_pb2.CountTokensRequest(intent=router_pb2.Intent(model="gamma/vectors"), texts=["x" * 320] * 2)
    (told,) = (await known.stub.CountTokens(request, timeout=5)).counts
    assert (told.model, told.input_tokens, told.output_tokens) == ("gamma/vectors", 211, 0)
