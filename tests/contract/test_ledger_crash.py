"""I7: a real quota service, killed without warning under load, again and again, loses and invents nothing."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from fixtures.clock import ManualClock
from fixtures.quota_process import RECONNECT, QuotaProcess
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from quota_service.definitions import Definitions
from quota_service.stores.sqlite import SqliteStore

SEED = int(os.environ.get("MESH_CRASH_SEED", "20261120"))
KILLS = 6
CALLERS = 12
LIMIT = 400
GROQ = "groq/openai/gpt-oss-120b#1"
REQUESTS, TEAM = "groq/default/requests/month", "tenant/team/tokens/month"
MESH = f"""
vendors:
  groq:
    limits:
      free:
        - {{unit: requests, window: month, amount: {LIMIT}}}
budgets:
  - {{subject: tenant/team, unit: tokens, window: month, amount: 100000000}}
"""


@dataclass
class Load:
    """Callers who repeat every operation with the same id until it is answered, and remember what they were told."""

    stub: quota_pb2_grpc.QuotaServiceStub
    chance: random.Random
    stopping: bool = False
    serial: int = 0
    held: set[str] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)

    async def certainly(self, operation: pb.Operation) -> pb.Answer:
        request = pb.ApplyRequest(operations=[operation])
        async with asyncio.timeout(60):
            while True:
                try:
                    return (await self.stub.Apply(request, timeout=2)).answers[0]
                except grpc.aio.AioRpcError as error:
                    if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                        raise
                    self.told["repeated"] += 1
                    await asyncio.sleep(0.02)

    async def caller(self) -> None:
        while not self.stopping:
            self.serial += 1
            attempt = f"attempt-{self.serial}"
            offer = pb.OfferAmounts(offer=GROQ, input_tokens=200, output_tokens=300)
            reserve = pb.Reserve(attempt_id=attempt, tenant="team", use_case="quick", offers=[offer])
            reserve.ttl.FromSeconds(3_600)
            answer = await self.certainly(pb.Operation(reserve=reserve))
            self.told[answer.WhichOneof("kind") or ""] += 1
            if answer.HasField("held"):
                self.held.add(attempt)
                await self.end(attempt)
            else:
                await asyncio.sleep(0.01)

    async def end(self, attempt: str) -> None:
        """Settle a tenth, give most back so that the limit is met again and again, leave some open."""
        draw = self.chance.random()
        if draw < 0.1:
            output = self.chance.randrange(600)
            amounts = pb.Amounts(requests=1, input_tokens=200, output_tokens=output)
            settle = pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=amounts)
            answer = await self.certainly(pb.Operation(settle=settle))
            self.settled["requests"] += 1
            self.settled["tokens"] += 200 + output
        elif draw < 0.9:
            answer = await self.certainly(pb.Operation(release=pb.Release(attempt_id=attempt)))
        else:
            return
        assert answer.HasField("done"), answer
        self.held.discard(attempt)


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[QuotaProcess]:
    (tmp_path / "mesh.yaml").write_text(MESH)
    made = QuotaProcess(tmp_path)
    yield made
    made.abandon()


async def live(process: QuotaProcess, load: Load, channel: grpc.aio.Channel) -> dict[str, pb.BudgetState]:
    """Let callers work while the service is killed and started again; return the budgets afterwards."""
    callers = [asyncio.create_task(load.caller()) for _ in range(CALLERS)]
    await asyncio.wait_for(channel.channel_ready(), 30)
    for _ in range(KILLS):
        await asyncio.sleep(0.2 + load.chance.random() * 0.6)
        await process.end(signal.SIGKILL)
        await process.start()
        await asyncio.wait_for(channel.channel_ready(), 30)
    await asyncio.sleep(0.3)
    load.stopping = True
    await asyncio.wait_for(asyncio.gather(*callers), 60)
    told = await load.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
    return {budget.id: budget for budget in told.budgets}


async def test_a_service_killed_under_load_keeps_every_acknowledged_operation_and_no_other(process, tmp_path):
    await process.start()
    async with grpc.aio.insecure_channel(process.address, options=RECONNECT) as channel:
        load = Load(quota_pb2_grpc.QuotaServiceStub(channel), random.Random(SEED))  # noqa: S311 - a seed to repeat
        budgets = await live(process, load, channel)
    await process.end(signal.SIGTERM)

    requests, team = budgets[REQUESTS], budgets[TEAM]
    assert (requests.used, requests.held) == (load.settled["requests"], len(load.held))
    assert (team.used, team.held) == (load.settled["tokens"], 500 * len(load.held))
    assert requests.used + requests.held <= LIMIT
    assert load.told["repeated"] > 0
    assert load.told["held"] > 50

    store = SqliteStore.open(tmp_path / "ledger.db", Definitions(0, lambda _: None, {}), ManualClock(0))
    assert await store.verify() == []
    await store.close()
