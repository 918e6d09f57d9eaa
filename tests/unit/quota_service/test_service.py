"""The quota service over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import httpx
import pytest
from fixtures.quota_house import GROQ, LOCAL, World, reserve, running, settle
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from llmmesh.quota.v1 import quota_pb2 as pb
from prometheus_client import CollectorRegistry

from catalog.mesh import load_mesh
from meshkit.errors import StartError
from meshkit.status import from_rpc_error
from quota_service.app import serve
from quota_service.service import SERVICE_NAME


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


async def test_fifty_concurrent_callers_with_ten_left_hold_exactly_ten_and_forty_pass_on(world):
    """I1, P-QUOTA-10."""
    told = await asyncio.gather(*(world.apply(reserve(f"a{n}", GROQ, LOCAL)) for n in range(50)))
    offers = [answers[0].held.offer for answers in told]
    assert (offers.count(GROQ), offers.count(LOCAL)) == (10, 40)
    budget = await world.budget("groq/default/requests/day")
    assert (budget.held, budget.used, budget.left, budget.limit) == (10, 0, 0, 10)
    passed = [answers[0].held.passed_over[0] for answers in told if answers[0].held.offer == LOCAL]
    assert {denial.budget for denial in passed} == {"groq/default/requests/day"}


async def test_a_request_is_reserved_settled_listed_and_summed(world):
    (answer,) = await world.apply(reserve("a", GROQ))
    assert (answer.held.offer, answer.held.plan, answer.held.version) == (GROQ, "free", 1)
    assert [told.WhichOneof("kind") for told in await world.apply(settle("a"), settle("never"))] == ["done", "refused"]
    budget = await world.budget("tenant/team/nanodollars/month")
    assert (budget.used, budget.held, budget.unit, budget.window) == (600, 0, "nanodollars", "month")
    assert budget.HasField("resets_at")
    request = pb.QuerySpendRequest(group_by=["vendor", "outcome"])
    (row,) = (await world.stub.QuerySpend(request, timeout=10)).rows
    assert (row.vendor, row.outcome, row.attempts, row.output_tokens, row.cost_nanos, row.day) == (
        "groq",
        "served",
        1,
        100,
        600,
        "",
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.QuerySpendRequest(group_by=["colour"]), "group_by[0]"),
        (pb.QuerySpendRequest(group_by=["day", "day"]), "group_by"),
        (pb.QuerySpendRequest(from_day="yesterday"), "from_day"),
        (pb.QuerySpendRequest(to_day="2026-02-30"), "to_day"),
    ],
)
async def test_a_malformed_question_about_spend_is_refused_naming_its_field(world, request_, field):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.QuerySpend(request_, timeout=10)
    error = from_rpc_error(caught.value)
    assert error.code == "INVALID_ARGUMENT"
    assert [violation.field for violation in error.fields] == [field]


async def test_a_malformed_batch_changes_nothing(world):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.apply(reserve("a", GROQ), reserve("b"))
    assert from_rpc_error(caught.value).fields[0].field == "operations[1].reserve.offers"
    assert (await world.budget("groq/default/requests/day")).held == 0


async def waiting(world: World, callers: int) -> None:
    """Wait until so many callers are parked."""
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=f"http://{world.admin}") as admin:
        while f"mesh_quota_waiting {callers:.1f}" not in (await admin.get("/metrics")).text:
            pass


async def test_a_caller_that_hangs_up_while_it_waits_takes_nothing(world):
    await world.apply(*(reserve(f"a{n}", GROQ) for n in range(10)))
    gone = asyncio.create_task(world.apply(reserve("gone", GROQ, patience=Duration(seconds=30))))
    await waiting(world, 1)
    gone.cancel()
    await waiting(world, 0)
    await world.apply(pb.Operation(release=pb.Release(attempt_id="a0")))
    (answer,) = await world.apply(reserve("next", GROQ))
    assert answer.held.offer == GROQ


async def test_a_caller_that_waits_is_held_when_another_gives_back(world):
    await world.apply(*(reserve(f"a{n}", GROQ) for n in range(10)))
    patient = asyncio.create_task(world.apply(reserve("patient", GROQ, patience=Duration(seconds=8))))
    await waiting(world, 1)
    await world.apply(pb.Operation(release=pb.Release(attempt_id="a0")))
    assert (await patient)[0].held.offer == GROQ


async def test_health_readiness_and_metrics_are_served(world):
    await world.apply(reserve("a", GROQ))
    checked = await health_pb2_grpc.HealthStub(world.channel).Check(
        health_pb2.HealthCheckRequest(service=SERVICE_NAME), timeout=5
    )
    assert checked.status == health_pb2.HealthCheckResponse.SERVING
    async with httpx.AsyncClient(base_url=f"http://{world.admin}") as admin:
        assert (await admin.get("/readyz")).status_code == 200
        text = (await admin.get("/metrics")).text
    assert 'mesh_quota_limit{subject="groq/default",unit="requests",window="day"} 10.0' in text
    assert 'mesh_quota_held{subject="groq/default",unit="requests",window="day"} 1.0' in text
    assert 'mesh_quota_decisions_total{outcome="held"} 1.0' in text
    assert "mesh_quota_open_holds 1.0" in text


async def test_a_restart_keeps_holds_and_answers(tmp_path):
    """I7."""
    async with running(tmp_path) as world:
        before = await world.apply(reserve("a", GROQ))
    async with running(tmp_path) as world:
        assert await world.apply(reserve("a", GROQ)) == before
        assert (await world.budget("groq/default/requests/day")).held == 1


async def test_a_second_service_on_the_same_ledger_does_not_start(tmp_path):
    async with running(tmp_path):
        mesh = load_mesh(
            tmp_path / "mesh.yaml",
            {
                "MESH_QUOTA_ADDRESS": "127.0.0.1:0",
                "MESH_QUOTA_ADMIN": "127.0.0.1:0",
                "MESH_LEDGER_PATH": f"{tmp_path}/l.db",
            },
        )
        with pytest.raises(StartError, match="in use by process"):
            await serve(mesh, mesh.catalog, asyncio.Event(), registry=CollectorRegistry())


DAY, MONTH = "groq/default/requests/day", "tenant/team/nanodollars/month"


def override(budget: str = DAY, limit: int | None = 1, author: str = "ann", reason: str = "a try", **more):
    return pb.SetOverrideRequest(budget=budget, limit=limit, author=author, reason=reason, **more)


async def test_an_override_counts_at_once_is_listed_beside_what_is_declared_and_can_be_removed(world):
    await world.apply(reserve("a", GROQ))
    told = await world.stub.SetOverride(override(), timeout=10)
    assert (told.budget.id, told.budget.limit, told.budget.declared_limit, told.budget.held) == (DAY, 1, 10, 1)
    (answer,) = await world.apply(reserve("b", GROQ))
    assert (answer.denied.denials[0].budget, answer.denied.denials[0].limit) == (DAY, 1)
    listed = await world.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
    (found,) = listed.overrides
    assert (found.budget, found.limit, found.author, found.reason) == (DAY, 1, "ann", "a try")
    assert not found.HasField("expires_at")
    assert listed.version == told.version
    removal = pb.RemoveOverrideRequest(budget=DAY, author="bob", reason="done")
    removed = await world.stub.RemoveOverride(removal, timeout=10)
    assert (removed.budget.limit, removed.version) == (10, told.version + 1)
    (answer,) = await world.apply(reserve("c", GROQ))
    assert (answer.held.offer, answer.held.version) == (GROQ, removed.version)


async def test_a_raised_limit_wakes_who_waits(world):
    await world.apply(*(reserve(f"a{n}", GROQ) for n in range(10)))
    patient = asyncio.create_task(world.apply(reserve("patient", GROQ, patience=Duration(seconds=60))))
    await waiting(world, 1)
    await world.stub.SetOverride(override(limit=11), timeout=10)
    assert (await patient)[0].held.offer == GROQ


@pytest.mark.parametrize(
    ("wrong", "field", "said"),
    [
        ({"budget": "groq/default/requests/dya"}, "budget", "no such budget; allowed: the ids of GetBudgets; perhaps"),
        ({"limit": None}, "limit", "missing; allowed: 0 or more"),
        ({"limit": -1}, "limit", "-1; allowed: 0 to"),
        ({"author": " "}, "author", "missing; allowed: 1 to 200 characters"),
        ({"reason": ""}, "reason", "missing; allowed: 1 to 500 characters"),
        ({"reason": "x" * 501}, "reason", "501 characters; allowed: 1 to 500 characters"),
        ({"expires_at": datetime.now(UTC) - timedelta(hours=1)}, "expires_at", "in the past by the ledger's clock"),
    ],
)
async def test_an_override_that_makes_no_sense_is_refused_and_changes_nothing(world, wrong, field, said):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.SetOverride(override(**wrong), timeout=10)
    error = from_rpc_error(caught.value)
    assert error.code == "INVALID_ARGUMENT"
    (violation,) = error.fields
    assert violation.field == field
    assert said in violation.description
    listed = await world.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
    assert (list(listed.overrides), listed.version) == ([], 1)


async def test_removing_an_override_that_is_not_there_is_refused(world):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await world.stub.RemoveOverride(pb.RemoveOverrideRequest(budget=DAY, author="a", reason="b"), timeout=10)
    assert from_rpc_error(caught.value).fields[0].description == f"`{DAY}`: has no override"


async def test_overrides_and_the_version_survive_a_restart(tmp_path):
    async with running(tmp_path) as world:
        told = await world.stub.SetOverride(override(limit=0), timeout=10)
    async with running(tmp_path) as world:
        listed = await world.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
        assert [(each.budget, each.author) for each in listed.overrides] == [(DAY, "ann")]
        assert listed.version == told.version
        (answer,) = await world.apply(reserve("a", GROQ))
        assert answer.denied.denials[0].budget == DAY


async def test_verify_finds_a_right_ledger_right_and_shows_what_vendors_count_beyond_us(world):
    await world.apply(reserve("a", GROQ), reserve("b", GROQ))
    said = pb.Observe(offer=GROQ, scope="account", unit="requests", window="day", limit=10, remaining=5)
    await world.apply(settle("a"), pb.Operation(observe=said))
    found = await world.stub.Verify(pb.VerifyRequest(), timeout=10)
    assert list(found.differences) == []
    assert [(drift.budget, drift.used, drift.external) for drift in found.drifts] == [(DAY, 1, 3)]
    assert found.open_holds == 1
    assert found.budgets > 2


async def test_a_watch_streams_what_changes_and_ends_well_when_the_service_stops(tmp_path):
    async with running(tmp_path) as world:
        request = pb.WatchBudgetsRequest(prefix="groq", every=Duration(nanos=100_000_000))
        watching = world.stub.WatchBudgets(request, timeout=60)
        first = await watching.read()
        assert DAY in [budget.id for budget in first.budgets]
        assert MONTH not in [budget.id for budget in first.budgets]
        await world.apply(reserve("a", GROQ))
        changed = await watching.read()
        assert {budget.id: budget.held for budget in changed.budgets}[DAY] == 1
        world.stop.set()
        assert await watching.read() == grpc.aio.EOF
        assert await watching.code() is grpc.StatusCode.OK


async def test_a_watch_that_would_look_too_often_is_refused(world):
    watching = world.stub.WatchBudgets(pb.WatchBudgetsRequest(every=Duration(nanos=1_000)), timeout=10)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watching.read()
    (violation,) = from_rpc_error(caught.value).fields
    assert (violation.field, violation.description) == ("every", "0 s; allowed: 0.1 to 60 s")


async def test_the_forecast_of_a_budget_that_is_used_up_says_so(world):
    (nothing,) = (await world.stub.Forecast(pb.ForecastRequest(prefix="groq/default"), timeout=10)).budgets
    assert (nothing.budget, nothing.outlook) == (DAY, pb.BudgetForecast.OUTLOOK_LASTS)
    await world.apply(*(reserve(f"a{n}", GROQ) for n in range(10)))
    await world.apply(*(settle(f"a{n}") for n in range(10)))
    (told,) = (await world.stub.Forecast(pb.ForecastRequest(prefix="groq/default"), timeout=10)).budgets
    assert told.outlook == pb.BudgetForecast.OUTLOOK_USED_UP
    assert told.per_hour == told.window_per_hour > 0
    assert not told.HasField("recent_per_hour")


async def test_half_of_a_budget_used_is_a_warning(tmp_path, capsys):
    """The second service looks when it starts, so that the test need not wait for the next look of the first."""
    async with running(tmp_path) as world:
        await world.apply(*(reserve(f"a{n}", GROQ) for n in range(6)))
        await world.apply(*(settle(f"a{n}") for n in range(6)))
    async with running(tmp_path) as world, httpx.AsyncClient(base_url=f"http://{world.admin}") as admin:
        text = (await admin.get("/metrics")).text
    labels = 'subject="groq/default",unit="requests",window="day"'
    assert f'mesh_quota_warnings_total{{percent="50",{labels}}} 1.0' in text
    assert 'percent="80"' not in text
    assert f'"event":"budget_used","budget":"{DAY}","percent":50,"used":6' in capsys.readouterr().err
