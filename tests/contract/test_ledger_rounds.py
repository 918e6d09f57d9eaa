"""I1: five hundred clients at once on a budget of fifty, round after round, through real quota services."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

import grpc
import pytest
from fixtures.clock import ManualClock
from fixtures.quota import definitions
from fixtures.quota_process import RECONNECT, QuotaProcess, certainly
from fixtures.valkey import PATIENCE, Server
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from quota_service.stores.protocol import Store
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore

CLIENTS, BUDGET, CHANNELS = 500, 50, 6
ROUNDS = int(os.environ.get("ROUNDS", "100"))
OFFER = "groq/openai/gpt-oss-120b#1"
NOBODY = definitions(fingerprint=0)
Stub = quota_pb2_grpc.QuotaServiceStub


def mesh(rounds: int) -> str:
    """Each round has a tenant of its own, and with it a budget nobody has drawn on."""
    budgets = [
        f"- {{subject: tenant/round-{n}, unit: requests, window: month, amount: {BUDGET}}}" for n in range(rounds)
    ]
    plenty = "vendors: {groq: {limits: {free: [{unit: requests, window: month, amount: 100000000}]}}}"
    return "\n".join([plenty, "budgets:", *budgets, ""])


class House:
    """Some quota services over one ledger, and its store once more to verify it."""

    def __init__(self, directory: Path, kind: str, replicas: int) -> None:
        self.directory = directory
        self.server = Server() if kind == "valkey" else None
        settings = {} if self.server is None else {"MESH_LEDGER_URL": self.server.url.reveal()}
        self.processes = [QuotaProcess(directory, settings) for _ in range(replicas)]

    async def open(self, stack: AsyncExitStack) -> list[Stub]:
        """Start the services; return clients of each in turn, over several connections."""
        if self.server is not None:
            store = await self.store(Recovery(0, 0))
            await store.apply([])  # a new ledger is closed for a while; not this one
            await store.close()
        for process in self.processes:
            await process.start()
        stubs: list[Stub] = []
        for _, process in zip(range(CHANNELS), cycle(self.processes), strict=False):
            channel = grpc.aio.insecure_channel(process.address, options=RECONNECT)
            await stack.enter_async_context(channel)
            await asyncio.wait_for(channel.channel_ready(), PATIENCE)
            stubs.append(Stub(channel))
        return stubs

    async def store(self, recovery: Recovery | None = None) -> Store:
        if self.server is None:
            return SqliteStore.open(self.directory / "ledger.db", NOBODY, ManualClock(0))
        return await RedisStore.open(self.server.url, NOBODY, recovery=recovery, silence=PATIENCE)

    async def verify(self) -> list[str]:
        for process in self.processes:
            await process.end(signal.SIGTERM)
        store = await self.store()
        try:
            return await store.verify()
        finally:
            await store.close()

    def close(self) -> None:
        for process in self.processes:
            process.abandon()
        if self.server is not None:
            self.server.close()


@pytest.fixture(params=["sqlite 1", "valkey 1", "valkey 3"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    kind, _, replicas = request.param.partition(" ")
    made = House(tmp_path, kind, int(replicas))
    yield made
    made.close()


async def one_round(stubs: list[Stub], number: int) -> list[str]:
    """Let five hundred ask at once; return who was admitted."""

    async def ask(client: int) -> str | None:
        attempt = f"round-{number}-client-{client}"
        offer = pb.OfferAmounts(offer=OFFER, input_tokens=10, output_tokens=10)
        reserve = pb.Reserve(attempt_id=attempt, tenant=f"round-{number}", use_case="quick", offers=[offer])
        reserve.ttl.FromSeconds(3_600)
        (answer,) = (await certainly(stubs[client % len(stubs)], pb.Operation(reserve=reserve))).answers
        assert answer.WhichOneof("kind") in ("held", "denied"), answer
        return attempt if answer.HasField("held") else None

    told = await asyncio.gather(*(ask(client) for client in range(CLIENTS)))
    return [attempt for attempt in told if attempt is not None]


async def settle_half(stubs: list[Stub], held: list[str]) -> None:
    """What one service holds another one may settle."""
    for place, attempt in enumerate(held[::2]):
        settle = pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=pb.Amounts(requests=1))
        await certainly(stubs[place % len(stubs)], pb.Operation(settle=settle))


async def every_round(house: House, rounds: int) -> None:
    (house.directory / "mesh.yaml").write_text(mesh(rounds))
    async with AsyncExitStack() as stack:
        stubs = await house.open(stack)
        admitted: list[int] = []
        for number in range(rounds):
            held = await one_round(stubs, number)
            admitted.append(len(held))
            await settle_half(stubs, held)
        sys.stdout.write(f"{rounds} rounds of {CLIENTS} clients, admitted: {sorted(set(admitted))}\n")
        assert admitted == [BUDGET] * rounds
        for stub in stubs:
            told = await stub.GetBudgets(pb.GetBudgetsRequest(prefix="tenant/round-"), timeout=PATIENCE)
            assert {(budget.used, budget.held) for budget in told.budgets} == {(BUDGET // 2, BUDGET // 2)}
            assert len(told.budgets) == rounds
    assert await house.verify() == []


async def test_of_five_hundred_clients_exactly_as_many_are_admitted_as_the_budget_has(house):
    await every_round(house, 2)


@pytest.mark.nightly
async def test_of_five_hundred_clients_exactly_as_many_are_admitted_a_hundred_times(house):
    await every_round(house, ROUNDS)
