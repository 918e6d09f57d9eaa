"""I7, I19: a store killed without warning under load, again and again, forgets nothing in silence."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest
from fixtures.quota import definitions
from fixtures.shared_ledger import Service, a_service, open_ledger, reserve
from fixtures.valkey import FIT, PATIENCE, Server
from llmmesh.quota.v1 import quota_pb2 as pb

from meshkit.errors import MeshError
from quota_service.stores.redis import store as redis_store
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from router_service import quota_client

SEED = int(os.environ.get("MESH_CRASH_SEED", "20261128"))
LIMIT, CALLERS, KILLS = 200, 8, 3
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")
CLOSED = Recovery(short=100, long=2_000)
# What a restart is called: nothing was lost; something may have been; something has been.
SURE, UNSURE, LOST = "restarted", "restarted without a certain log", "older than acknowledged"


@dataclass
class Load:
    """Callers of two routers: they settle some, give some back, and leave some open."""

    services: list[Service]
    chance: random.Random
    stopping: bool = False
    serial: int = 0
    settled: int = 0
    held: set[str] = field(default_factory=set)

    async def caller(self, service: Service) -> None:
        while not self.stopping:
            self.serial += 1
            attempt = f"attempt-{self.serial}"
            with suppress(MeshError):  # nobody was admitted: the client gives back what it does not know of
                answer = await service.router.reserve(reserve(attempt), PATIENCE)
                if isinstance(answer, pb.Held):
                    self.end(service, attempt)
            await asyncio.sleep(0.005)

    def end(self, service: Service, attempt: str) -> None:
        draw = self.chance.random()
        if draw < 0.05:
            self.held.add(attempt)
            return
        served = draw < 0.2
        self.settled += served
        outcome = pb.OUTCOME_SERVED if served else pb.OUTCOME_RELEASED
        service.router.settle(pb.Settle(attempt_id=attempt, outcome=outcome, amounts=pb.Amounts(requests=int(served))))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(*request.param)
    yield made
    made.close()


@pytest.fixture
async def services(server: Server, tmp_path, monkeypatch) -> AsyncIterator[list[Service]]:
    monkeypatch.setattr(quota_client, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(redis_store, "Recovery", lambda: CLOSED)
    await open_ledger(server.url)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_service(tmp_path, server.url, LIMIT)) for _ in range(2)]


async def live(server: Server, services: list[Service]) -> Load:
    """Let callers work while the store is killed and started again; return what they were told."""
    load = Load(services, random.Random(SEED))  # noqa: S311 - a seed to repeat
    callers = [asyncio.create_task(load.caller(services[n % 2])) for n in range(CALLERS)]
    for _ in range(KILLS):
        await asyncio.sleep(0.2 + load.chance.random() * 0.4)
        before = counted(services, "reopened")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(PATIENCE):
            while counted(services, "reopened") == before:  # noqa: ASYNC110 - another process sets no event of ours
                await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    load.stopping = True
    await asyncio.gather(*callers)
    for service in services:
        await asyncio.wait_for(service.router._idle.wait(), PATIENCE)
    return load


def counted(services: list[Service], *events: str) -> float:
    return sum(service.counted(event) for service in services for event in events)


async def discrepancies(server: Server) -> list[str]:
    store = await RedisStore.open(server.url, definitions(fingerprint=0), silence=PATIENCE)
    try:
        return await store.verify()
    finally:
        await store.close()


@pytest.mark.parametrize("server", [FIT], indirect=True)
async def test_a_store_that_syncs_every_write_is_killed_under_load_and_loses_and_invents_nothing(server, services):
    load = await live(server, services)
    assert await services[0].levels() == (load.settled, len(load.held))
    assert load.settled > 0
    assert counted(services, SURE) == KILLS
    assert counted(services, UNSURE, LOST) == 0
    assert await discrepancies(server) == []


@pytest.mark.nightly
@pytest.mark.parametrize("server", [EVERYSEC], indirect=True)
async def test_a_store_that_syncs_every_second_is_killed_under_load_and_what_it_lost_is_told_back(server, services):
    """Killed, it may have a log without its last batches: never is less counted than there was."""
    load = await live(server, services)
    used, held = await services[0].levels()
    assert used >= load.settled > 0
    assert held >= len(load.held)
    assert load.settled + len(load.held) <= LIMIT
    assert counted(services, UNSURE, LOST) == KILLS
    assert await discrepancies(server) == []
