"""I19, the whole path: routers with holds in flight, quota services, and a store that loses what it knew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from fixtures.eventually import eventually
from fixtures.quota_process import certainly
from fixtures.sentinel import Watched
from fixtures.shared_ledger import OFFER, Service, a_service, open_ledger, reserve, settle
from fixtures.valkey import PATIENCE, Server
from llmmesh.quota.v1 import quota_pb2 as pb

from meshkit.errors import MeshError
from meshkit.secret import Secret
from quota_service.stores.redis import store as redis_store
from quota_service.stores.redis.known import Recovery
from router_service import quota_client

LIMIT = 12
# Long enough for a busy machine to declare in, short enough to wait for.
CLOSED = Recovery(short=1_000, long=8_000)


@pytest.fixture
async def services(tmp_path, monkeypatch, url: Secret) -> AsyncIterator[list[Service]]:
    """Two services; their routers look often."""
    monkeypatch.setattr(quota_client, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(redis_store, "Recovery", lambda: CLOSED)
    await open_ledger(url)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_service(tmp_path, url, LIMIT)) for _ in range(2)]


async def hold(service: Service, *attempts: str) -> None:
    for attempt in attempts:
        assert (await service.router.reserve(reserve(attempt), PATIENCE)).offer == OFFER


async def work(one: Service, two: Service) -> None:
    """Two are served; four are under way at routers that live."""
    await hold(one, "a1", "a2", "a3")
    await hold(two, "b1", "b2", "b3")
    one.router.settle(settle("a1"))
    two.router.settle(settle("b1"))
    await eventually_levels(one, (2, 4))


async def hold_and_die(service: Service, attempt: str) -> None:
    """A router that nobody hears of again."""
    (answer,) = (await certainly(service.stub, pb.Operation(reserve=reserve(attempt)))).answers
    assert answer.HasField("held")


async def eventually_levels(service: Service, levels: tuple[int, int]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await service.levels() != levels:  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(0.05)


async def it_is_noticed(services: list[Service], event: str) -> None:
    """Both deny what is hard, and say why, from the first answer on."""
    for number, service in enumerate(services):
        denied = await decided(service, f"meanwhile-{number}")
        assert [denial.cause for denial in denied.denials] == [pb.Denial.CAUSE_RECOVERING]
        await eventually(lambda service=service: service.recovering)
    assert sum(service.counted(event) for service in services) == 1


async def decided(service: Service, attempt: str) -> pb.Held | pb.Denied:
    """Ask until the store is there again."""
    async with asyncio.timeout(3 * PATIENCE):
        while True:
            try:
                return await service.router.reserve(reserve(attempt), PATIENCE)
            except MeshError:
                await asyncio.sleep(0.1)


async def it_opens_again(services: list[Service], levels: tuple[int, int]) -> None:
    """Nothing was forgotten: exactly the rest is admitted, and what is under way can be settled."""
    one, two = services
    await eventually(lambda: not one.recovering and not two.recovering, PATIENCE)
    assert await one.levels() == await two.levels() == levels
    answers = [await services[n % 2].router.reserve(reserve(f"more-{n}"), PATIENCE) for n in range(LIMIT)]
    assert sum(isinstance(answer, pb.Held) for answer in answers) == LIMIT - sum(levels)
    for service, attempt in ((one, "a2"), (two, "b2"), (one, "a3"), (two, "b3")):
        service.router.settle(settle(attempt))
    await eventually_levels(one, (levels[0] + 4, LIMIT - levels[0] - 4))


class Flushed:
    """One server that forgets everything."""

    def __init__(self) -> None:
        self.server = Server()
        self.url = self.server.url
        self.close = self.server.close

    def lose(self) -> None:
        self.server.client().flushall()


@pytest.fixture
def loser(request: pytest.FixtureRequest) -> Iterator[Flushed | Watched]:
    made: Flushed | Watched = request.param()
    yield made
    made.close()


@pytest.fixture
def url(loser: Flushed | Watched) -> Secret:
    return loser.url


def a(kind: Callable[[], Flushed | Watched]):
    return pytest.mark.parametrize("loser", [kind], indirect=True)


@a(Flushed)
async def test_after_a_flush_routers_declare_what_they_hold_and_nothing_is_forgotten(services, loser):
    """What the router that died held was seen by a quota service, and counts as spent."""
    await work(*services)
    await hold_and_die(services[1], "dead")
    loser.lose()
    await it_is_noticed(services, "flushed")
    await it_opens_again(services, (3, 4))


@pytest.mark.nightly
@a(Watched)
async def test_a_sentinel_promotes_a_replica_that_has_everything(services, loser):
    """The hold of the router that died is still open, and lapses in its time."""
    await work(*services)
    await hold_and_die(services[1], "dead")
    assert loser.primary.client().execute_command("WAIT", 1, int(PATIENCE * 1_000)) == 1
    await asyncio.to_thread(loser.fail_over)
    await it_is_noticed(services, "failover")
    await it_opens_again(services, (2, 5))


@pytest.mark.nightly
@a(Watched)
async def test_a_sentinel_promotes_a_replica_that_has_missed_what_was_acknowledged(services, loser):
    """Everything since the replica was cut off is known from quota services and routers."""
    await hold(services[0], "before")
    services[0].router.settle(settle("before"))
    await eventually_levels(services[0], (1, 0))
    assert loser.primary.client().execute_command("WAIT", 1, int(PATIENCE * 1_000)) == 1
    await asyncio.to_thread(loser.cut_the_replica_off)
    await work_more(services)
    await asyncio.to_thread(loser.fail_over)
    await it_is_noticed(services, "older than acknowledged")
    await it_opens_again(services, (4, 4))


async def work_more(services: list[Service]) -> None:
    one, two = services
    await hold(one, "a1", "a2", "a3")
    await hold(two, "b1", "b2", "b3")
    one.router.settle(settle("a1"))
    two.router.settle(settle("b1"))
    await hold_and_die(two, "dead")
    await eventually_levels(one, (3, 5))
