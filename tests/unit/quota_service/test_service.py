"""The quota service over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc
from prometheus_client import CollectorRegistry

from catalog.mesh import load_mesh
from meshkit.errors import StartError
from meshkit.status import from_rpc_error
from quota_service.app import serve
from quota_service.service import SERVICE_NAME

MESH = """
vendors:
  groq:
    limits:
      free:
        - {unit: requests, window: day, amount: 10}
        - {unit: concurrency, window: now, amount: 1000}
  ollama: {limits: {local: []}}
budgets:
  - {subject: tenant/team, unit: usd, window: month, amount: 20}
"""
GROQ, LOCAL = "groq/openai/gpt-oss-120b#1", "ollama/any:1b#1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class World:
    stub: quota_pb2_grpc.QuotaServiceStub
    channel: grpc.aio.Channel
    address: str
    admin: str
    stop: asyncio.Event
    serving: asyncio.Task

    async def apply(self, *operations: pb.Operation) -> list[pb.Answer]:
        return list((await self.stub.Apply(pb.ApplyRequest(operations=operations), timeout=10)).answers)

    async def budget(self, budget_id: str) -> pb.BudgetState:
        told = await self.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
        return next(budget for budget in told.budgets if budget.id == budget_id)


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[World]:
    file = directory / "mesh.yaml"
    file.write_text(MESH)
    address, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    settings = {"MESH_QUOTA_ADDRESS": address, "MESH_QUOTA_ADMIN": admin, "MESH_LEDGER_PATH": str(directory / "l.db")}
    mesh = load_mesh(file, settings)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(mesh, mesh.catalog, stop, registry=CollectorRegistry()))
    async with grpc.aio.insecure_channel(address) as channel:
        ready = asyncio.create_task(channel.channel_ready())
        await asyncio.wait([ready, serving], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        yield World(quota_pb2_grpc.QuotaServiceStub(channel), channel, address, admin, stop, serving)
    stop.set()
    await asyncio.wait_for(serving, 10)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


def reserve(attempt: str, *offers: str, **more) -> pb.Operation:
    amounts = [pb.OfferAmounts(offer=offer, input_tokens=200, output_tokens=300, cost_nanos=1000) for offer in offers]
    return pb.Operation(reserve=pb.Reserve(attempt_id=attempt, tenant="team", use_case="quick", offers=amounts, **more))


def settle(attempt: str) -> pb.Operation:
    amounts = pb.Amounts(requests=1, input_tokens=200, output_tokens=100, cost_nanos=600)
    return pb.Operation(settle=pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=amounts))


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
