"""What the real ledger has in its books when a request is over: one effect for each attempt, and nothing left held."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures.fake_provider import breaks, fails, hangs
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, model, vendor
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Limit, Plan
from catalog.window import parse_window
from meshkit.errors import Reason

FIVE_A_DAY = {"paid": Plan("paid", limits=(Limit("requests", parse_window("day"), 5),))}
KNOWN = catalog(vendor("alpha", model("one"), plans=FIVE_A_DAY), vendor("beta", model("two"), plans=FIVE_A_DAY))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(KNOWN, ledger=tmp_path / "ledger.db") as made:
        yield made


async def books(running: House) -> list[tuple[str, str, int, int]]:
    """Wait until nothing is held; return vendor, outcome, attempts and requests charged."""
    for _ in range(500):
        budgets = await running.ledger.GetBudgets(quota_pb2.GetBudgetsRequest(), timeout=2)
        spent = await running.ledger.QuerySpend(quota_pb2.QuerySpendRequest(group_by=["vendor", "outcome"]), timeout=2)
        if budgets.open_holds == 0 and spent.rows:
            used = {budget.subject.partition("/")[0]: budget.used for budget in budgets.budgets}
            for name, requests in used.items():
                assert requests == sum(row.requests for row in spent.rows if row.vendor == name)
            return sorted((row.vendor, row.outcome, row.attempts, row.requests) for row in spent.rows)
    raise AssertionError("something stays held")


async def test_a_fallback_settles_the_failed_attempt_and_the_served_one(running):
    running.provider("alpha").script.append(fails(Reason.VENDOR_SERVER))
    assert (await running.generate()).route.fallback_used
    assert await books(running) == [("alpha", "failed", 1, 1), ("beta", "served", 1, 1)]


async def test_a_failed_request_that_comes_back_under_its_id_is_held_and_charged_anew(running):
    running.provider("alpha").script.append(breaks("partly"))
    assert (await running.stream(request_id="again")).error.reason is Reason.STREAM_INCOMPLETE
    assert (await running.generate(request_id="again")).route.offer == "alpha/one#1"
    assert await books(running) == [("alpha", "served", 1, 1), ("alpha", "unknown", 1, 1)]


async def test_a_dead_provider_service_costs_nothing(running):
    await running.stop("alpha")
    assert (await running.generate()).route.fallback_used
    assert await books(running) == [("beta", "served", 1, 1)]


async def test_streams_that_fail_before_their_first_piece_leave_nothing_held(running):
    for name in ("alpha", "beta"):
        running.provider(name).script.append(fails(Reason.VENDOR_SERVER))
    told = await running.stream()
    assert (told.texts, told.error is None) == ([], False)
    assert await books(running) == [("alpha", "failed", 1, 1), ("beta", "failed", 1, 1)]


async def test_a_caller_that_goes_away_leaves_nothing_held(running):
    running.provider("alpha").script.append(hangs("begun", deaf=True))
    call = running.stream_call()
    async for event in call:
        if event.HasField("deltas"):
            call.cancel()
            break
    assert await books(running) == [("alpha", "cancelled", 1, 1)]


async def test_throttling_is_remembered_for_as_long_as_the_vendor_asked(running):
    running.provider("alpha").script.append(fails(Reason.VENDOR_THROTTLED, retry_after=40.0))
    await running.generate()
    route = (await running.generate()).route
    assert (route.offer, dict(route.skipped)) == ("beta/two#1", {"cooling": 1})
    error = await running.failure(deny_vendors=["beta"])
    assert error.reason is Reason.BUDGET_EXHAUSTED
    assert 38 < error.retry_after <= 40


async def test_when_the_day_is_used_up_the_next_vendor_serves_and_then_nobody(running):
    served = [(await running.generate()).route.vendor for _ in range(10)]
    assert served == ["alpha"] * 5 + ["beta"] * 5
    error = await running.failure()
    assert (error.reason, error.code) == (Reason.BUDGET_EXHAUSTED, "RESOURCE_EXHAUSTED")
    assert error.detail(router_pb2.RouteFailure).route.skipped == {"budget": 2}
    assert await books(running) == [("alpha", "served", 5, 5), ("beta", "served", 5, 5)]
