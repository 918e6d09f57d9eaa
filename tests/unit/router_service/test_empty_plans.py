"""A plan without offers says which filter emptied it, how often each did, and what alone would admit an offer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.router_house import House, house
from fixtures.small_mesh import TEXT, catalog, model, price, use_case, vendor
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason

KNOWN = catalog(
    vendor("seeing", model("eye", price=price(20), capabilities=TEXT | {"vision"})),
    vendor("cheap", model("pen", price=price(0.5))),
    vendor("dear", model("quill", price=price(2))),
    vendor("keyless", model("none")),
    vendor("curious", model("spy", price=price(2)), trains_on={"paid": True}),
    use_cases=(use_case(), use_case("drawing", requirements=("vision",)), use_case("scribbling")),
)


@pytest.fixture
async def running() -> AsyncIterator[House]:
    async with house(KNOWN, slots={"keyless": ()}) as made:
        yield made


async def refused(running: House, **asked: Any) -> tuple[str, dict[str, str]]:
    error = await running.failure(**asked)
    assert (error.reason, error.code) == (Reason.NO_OFFER, "FAILED_PRECONDITION")
    return error.message, dict(error.metadata)


async def test_a_tier_that_pays_for_nothing_names_the_cap_and_the_tier_that_would(running):
    message, told = await refused(running, tier=router_pb2.TIER_FREE)
    assert told["left_out"] == "4 price_cap, 1 not_configured"
    assert told["remedy"] == "tier economy would admit cheap/pen#1"
    assert message == (
        "a paid slot costs money: 20 USD per 1M blended; the cap of tier free is 0; "
        "left out: 4 price_cap, 1 not_configured; tier economy would admit cheap/pen#1"
    )


async def test_a_cap_below_any_price_names_the_least_that_would_do(running):
    _, told = await refused(running, max_cost_nanos=10, tier=router_pb2.TIER_PREMIUM)
    cost = (await running.generate(allow_vendors=["cheap"])).route.total_cost_nanos
    assert told["left_out"] == "4 cost_cap, 1 not_configured"
    remedy = told["remedy"].split()
    assert (" ".join(remedy[:4]), " ".join(remedy[5:])) == ("a cost cap of", "nano-dollars would admit cheap/pen#1")
    assert cost < int(remedy[4]) < 10 * cost + 10**6  # what would be held for it, which is more than was charged
    assert await running.generate(max_cost_nanos=int(remedy[4]))


async def test_requirements_that_contradict_the_tier_name_both_ways_out(running):
    _, told = await refused(running, requirements=["vision"], tier=router_pb2.TIER_ECONOMY)
    assert told["left_out"] == "3 capability, 1 price_cap, 1 not_configured"
    assert told["remedy"] == ("tier premium would admit seeing/eye#1; no requirement of vision would admit cheap/pen#1")


async def test_what_the_use_case_requires_is_no_less_a_requirement(running):
    _, told = await refused(running, use_case="drawing", deny_vendors=["seeing"], tier=router_pb2.TIER_PREMIUM)
    assert (
        told["remedy"] == "seeing not denied would admit seeing/eye#1; no requirement of vision would admit cheap/pen#1"
    )


async def test_a_data_policy_nobody_keeps_is_named(running):
    message, told = await refused(running, data_policy=router_pb2.DATA_POLICY_LOCAL_ONLY)
    assert "seeing is not on a machine of ours; left out: 4 data_policy, 1 not_configured" in message
    assert told["remedy"] == "another data policy would admit cheap/pen#1"


async def test_where_two_filters_are_in_the_way_of_everybody_no_single_one_is_blamed(running):
    asked = {"allow_vendors": ["curious"], "data_policy": router_pb2.DATA_POLICY_NO_TRAINING}
    _, told = await refused(running, requirements=["vision", "web_search"], **asked)
    assert (told["left_out"], told["remedy"]) == ("3 not_allowed, 1 not_configured, 1 data_policy", "")


async def test_what_is_no_wish_of_the_caller_is_told_in_the_words_of_the_first_reason_alone(running):
    error = await running.failure(allow_vendors=["keyless"], model="keyless/none")
    assert error.message == "no API key for keyless"
