"""Small promises callers rely on: a named model is called at its price, a passed deadline is called a deadline."""

import asyncio
import datetime as dt

import pytest
from fixtures import fake_provider
from fixtures.fake_provider import hangs
from fixtures.router_house import house
from fixtures.small_mesh import catalog, model, use_case, vendor
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason
from meshkit.server import GrpcServer
from router_service import demand, prompt_facts, pursuit
from router_service.breaker import Settings

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
async def test_silence_until_the_callers_own_deadline_is_told_as_the_deadline(whole, monkeypatch):
    monkeypatch.setattr(pursuit, "MARGIN", 1.0)  # a slow machine needs more for the way back
    async with house(catalog(vendor("alpha", model("one")))) as running:
        running.provider("alpha").script.extend([hangs()])
        error = await running.failure(timeout=1.8) if whole else (await running.stream(timeout=1.8)).error
    assert (error.reason, error.code) == (Reason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    failure = error.detail(router_pb2.RouteFailure)
    assert [(attempt.outcome, attempt.reason) for attempt in failure.route.attempts] == [("unknown", "VENDOR_SILENT")]


async def test_a_provider_service_that_is_gone_is_not_asked_again_until_it_is_back_and_no_breaker_opens():
    listed = use_case("default", candidates={"standard": ("alpha/one", "beta/two")})
    known = catalog(vendor("alpha", model("one")), vendor("beta", model("two")), use_cases=(listed,))
    async with house(known, settings=Settings(failures_in_a_row=1)) as running:
        port = running.servers["alpha"].port
        await running.stop("alpha")
        first, second = await running.generate(), await running.generate()
        assert [attempt.outcome for attempt in first.route.attempts] == ["released", "served"]
        assert [attempt.outcome for attempt in second.route.attempts] == ["served"]
        assert second.route.skipped == {"unreachable": 1}
        assert second.route.primary_error == "its provider service is gone"
        assert running.tools.breakers.admits("alpha")
        async with GrpcServer(f"127.0.0.1:{port}", [running.provider("alpha").register], [fake_provider.NAME]):
            async with asyncio.timeout(3):
                while (await running.generate()).route.fallback_used:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.02)
