"""While the ledger is silent only what may go on without it is used, and everybody is told so."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures import fake_quota
from fixtures.fake_provider import fails
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, timeouts, vendor
from prometheus_client import REGISTRY

from catalog.model import Limit, Plan
from catalog.settings import BudgetRow
from catalog.window import parse_window
from meshkit.errors import Reason
from meshkit.server import GrpcServer

DAY = parse_window("day")
ONE = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1),))}
KNOWN = catalog(vendor("alpha", model("one")), vendor("home", model("llama"), plan="local", local=True, plans=ONE))
# A loaded machine takes its time: no caller here is in a hurry.
LONG = 60.0
QUICK = timeouts(quota_grace=0.5)
ALPHA, HOME = "alpha/one#1", "home/llama#1"


@pytest.fixture
async def both() -> AsyncIterator[House]:
    async with house(KNOWN, silence=1.0, limits=timeouts(quota_grace=3.0)) as made:
        yield made


def asked(running: House, request_id: str) -> list[str]:
    """What the ledger was asked to hold for a request."""
    return [reserve.attempt_id for reserve in running.quota.reserves if f"/{request_id}/" in reserve.attempt_id]


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_local_model_serves_while_the_ledger_is_silent_and_the_route_says_so(both):
    both.quota.gate.clear()
    before = sample("mesh_unmetered_attempts_total", vendor="home")
    route = (await both.generate(timeout=LONG)).route
    assert [(attempt.offer, attempt.unmetered) for attempt in route.attempts] == [(HOME, True)]
    assert dict(route.skipped) == {"ledger_silent": 1}
    assert both.provider("alpha").calls == []
    assert sample("mesh_ledger_silent") == 1
    assert sample("mesh_unmetered_attempts_total", vendor="home") == before + 1
    assert "silent" in both.tools.quota.notes()["ledger"]


async def test_silence_is_waited_for_once(both):
    """The breaker: who comes next asks nobody. Who cannot go on without the ledger waits for one more try."""
    both.quota.gate.clear()
    await both.generate(timeout=LONG, request_id="first")
    assert (await both.generate(timeout=LONG, request_id="second")).route.offer == HOME
    assert asked(both, "first") != []
    assert asked(both, "second") == []
    assert (await both.failure(timeout=LONG, deny_vendors=["home"])).reason is Reason.QUOTA_UNAVAILABLE
    assert both.provider("alpha").calls == []


async def test_when_the_ledger_is_back_calls_are_held_again_and_nothing_of_the_silence_stays_held(both):
    both.quota.gate.clear()
    await both.generate(timeout=LONG, request_id="first")
    both.quota.gate.set()
    await eventually(lambda: both.tools.quota.notes() == {}, within=LONG)
    assert sample("mesh_ledger_silent") == 0
    route = (await both.generate(timeout=LONG, request_id="second")).route
    assert [(attempt.offer, attempt.unmetered) for attempt in route.attempts] == [(ALPHA, False)]
    await both.settled()
    outcomes = {attempt_id.split("/")[1]: state for attempt_id, state in both.quota.holds.items()}
    assert outcomes == {"first": "released", "second": "served"}


async def test_a_call_that_was_never_held_is_never_settled(both):
    both.quota.gate.clear()
    both.provider("home").script.append(fails(Reason.VENDOR_SERVER))
    await both.failure(timeout=LONG, request_id="fails")
    both.quota.gate.set()
    await eventually(lambda: both.tools.quota.notes() == {}, within=LONG)
    await both.generate(timeout=LONG, request_id="after")
    await both.settled()
    assert all(settle.attempt_id.count("/") == 3 for settle in both.quota.operations("settle"))


async def test_a_ledger_that_starts_again_is_waited_for_by_local_models_too(both):
    port = both.servers["quota"].port
    await both.stop("quota")
    asking = asyncio.create_task(both.generate(timeout=LONG))
    await asyncio.sleep(0)
    async with GrpcServer(f"127.0.0.1:{port}", [both.quota.register], [fake_quota.NAME]):
        route = (await asking).route
        assert [(attempt.offer, attempt.unmetered) for attempt in route.attempts] == [(ALPHA, False)]


async def test_a_ledger_that_stays_away_longer_than_its_grace_is_done_without(both):
    await both.stop("quota")
    assert [attempt.unmetered for attempt in (await both.generate(timeout=LONG)).route.attempts] == [True]


@pytest.mark.parametrize(("mode", "served"), [("allow", True), ("deny", False)])
async def test_limits_say_themselves_whether_they_go_on(mode: Any, served: bool):
    limited = Plan("paid", (Limit("requests", DAY, 5, when_silent=mode),))
    async with house(
        catalog(vendor("alpha", model("one"), plans={"paid": limited})), silence=0.2, limits=QUICK
    ) as running:
        running.quota.gate.clear()
        if served:
            assert (await running.generate(timeout=LONG)).route.attempts[0].unmetered
        else:
            assert (await running.failure(timeout=LONG)).reason is Reason.QUOTA_UNAVAILABLE


@pytest.mark.parametrize(
    ("unit", "mode", "served"),
    [("requests", "", False), ("requests", "allow", True), ("nanodollars", "", True)],
    ids=["a budget of a tenant denies", "unless it says otherwise", "or limits money, and the call costs none"],
)
async def test_budgets_of_ours_deny_unless_they_say_otherwise(unit: Any, mode: Any, served: bool):
    budgets = (BudgetRow("tenant/local", unit, DAY, 10**12, when_silent=mode),)
    async with house(KNOWN, silence=0.2, limits=QUICK, configured={"budgets": budgets}) as running:
        running.quota.gate.clear()
        if served:
            assert (await running.generate(timeout=LONG)).route.offer == HOME
        else:
            assert (await running.failure(timeout=LONG)).reason is Reason.QUOTA_UNAVAILABLE
