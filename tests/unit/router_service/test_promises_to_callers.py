"""Small promises callers rely on: a named model is called at its price, a passed deadline is called a deadline."""

import datetime as dt

import pytest
from fixtures.fake_provider import hangs
from fixtures.router_house import house
from fixtures.small_mesh import catalog, model, use_case, vendor
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason
from router_service import demand, prompt_facts

FREE = use_case("default", default_tier="free")
KNOWN = catalog(vendor("alpha", model("one")), vendor("beta", model("two")), use_cases=(FREE, use_case("thrift")))
CAPS = {"free": 0, "ultra_economy": 1, "economy": 2, "standard": 3, "premium": None}


@pytest.mark.parametrize(
    ("intent", "tier"),
    [
        ({"model": "alpha/one"}, "premium"),
        ({"model": "alpha/one", "tier": router_pb2.TIER_FREE}, "free"),
        ({"model": "alpha/one", "use_case": "default"}, "free"),
        ({"preferred_model": "alpha/one"}, "free"),
        ({"model": "auto"}, "free"),
        ({}, "free"),
    ],
)
def test_a_model_named_alone_is_called_at_its_price(intent, tier):
    facts = prompt_facts.read(router_pb2.GenerateRequest().prompt)
    asked = demand.read(router_pb2.Intent(**intent), facts, KNOWN, CAPS, dt.date(2026, 1, 1))
    assert (asked.tier, asked.price_cap) == (tier, CAPS[tier])


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_silence_until_the_callers_own_deadline_is_told_as_the_deadline(whole):
    async with house(catalog(vendor("alpha", model("one")))) as running:
        running.provider("alpha").script.extend([hangs()])
        error = await running.failure(timeout=0.25) if whole else (await running.stream(timeout=0.25)).error
    assert (error.reason, error.code) == (Reason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    failure = error.detail(router_pb2.RouteFailure)
    assert [(attempt.outcome, attempt.reason) for attempt in failure.route.attempts] == [("unknown", "VENDOR_SILENT")]
