"""I7, I19: what a store loses is noticed, closes hard budgets, is told back, and is never read as zero."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import FIT, PATIENCE, Server

from meshkit.errors import MeshError
from quota_service.operations import (
    Cause,
    Denied,
    Done,
    Extend,
    Held,
    Outcome,
    Refused,
    RemoveOverride,
    SetOverride,
)
from quota_service.overrides import Override
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.windows import FOREVER

GROQ, LOCAL = "groq/m#1", "local/x#1"
DAY = limit("groq/default", "requests", 10)
LEASES = limit("groq/default", "concurrency", 8)
TEAM = limit("tenant/team", "nanodollars", 20_000, "month")
SOFT = limit("local/default", "requests", 5, hard=False)
DEFINITIONS = definitions(terms(GROQ, DAY, LEASES), terms(LOCAL, SOFT), payers=(TEAM,))
FREE = definitions(terms(LOCAL, SOFT))
RECOVERY = Recovery(short=3_000, long=15_000)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = Server(*getattr(request, "param", FIT))
    yield made
    made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON / 1_000)


class House:
    """Several processes over one store."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.stores: list[RedisStore] = []

    async def join(self, known=DEFINITIONS) -> RedisStore:
        made = await RedisStore.open(self.server.url, known, recovery=RECOVERY, clock=self.clock, silence=PATIENCE)
        self.stores.append(made)
        return made

    async def opened(self) -> RedisStore:
        """A process that was there when the ledger was made and its first seconds were over."""
        store = await self.join()
        self.clock.advance(RECOVERY.short / 1_000)
        assert (await store.apply([])).events == ("reopened",)
        return store


@pytest.fixture
async def house(server, clock) -> AsyncIterator[House]:
    made = House(server, clock)
    yield made
    for store in made.stores:
        await store.close()


async def levels(store: RedisStore) -> dict[str, tuple[int, int]]:
    return {row.budget.id: (row.used, row.held) for row in (await store.standing()).budgets}


async def one(store: RedisStore, operation):
    return (await store.apply([operation])).answers[0]


async def work(store: RedisStore) -> None:
    """Three requests served, two under way."""
    for name in ("a", "b", "c", "d", "e"):
        assert isinstance(await one(store, reserve(name, GROQ)), Held)
    for name in ("a", "b", "c"):
        assert await one(store, settle(name)) == Done()


async def is_extended(store: RedisStore, attempt: str) -> bool:
    """Its router extends what it borrows."""
    return await one(store, Extend(attempt, 60_000)) == Done()


async def test_a_new_ledger_is_closed_until_others_would_have_said_that_it_is_not_new(house):
    store = await house.join()
    denied = await one(store, reserve("a", GROQ))
    assert isinstance(denied, Denied)
    assert (denied.denials[0].cause, denied.denials[0].fits_in) == (Cause.RECOVERING, RECOVERY.short)
    house.clock.advance(3)
    assert isinstance(await one(store, reserve("b", GROQ)), Held)


async def test_after_a_flush_hard_budgets_close_and_what_was_used_is_told_back(house):
    store, other = await house.opened(), await house.join()
    await work(store)
    await other.apply([])
    before = store.epoch
    house.server.client().flushall()
    assert isinstance(await one(other, reserve("f", GROQ)), Denied)
    assert isinstance(await one(store, reserve("g", GROQ)), Denied)
    assert store.epoch == other.epoch != before
    assert (await levels(store))[DAY.id] == (3, 0)
    assert await store.verify() == []


async def test_what_is_declared_after_a_loss_is_held_again_and_may_be_settled(house):
    store = await house.opened()
    await work(store)
    house.server.client().flushall()
    applied = await store.apply([settle("d")])
    assert applied.events == ("flushed",)
    assert applied.recovering
    assert isinstance(applied.answers[0], Refused)  # its hold is lost: the router declares it, and says so again
    assert isinstance(await one(store, reserve("d", GROQ, declared=True)), Held)
    assert isinstance(await one(store, reserve("e", GROQ, declared=True)), Held)
    assert await is_extended(store, "e")
    assert await one(store, settle("d")) == Done()
    house.clock.advance(15)
    assert (await store.apply([])).events == ("reopened",)
    assert (await levels(store))[DAY.id] == (4, 1)
    assert await store.verify() == []


async def test_what_is_not_declared_in_time_counts_as_spent_but_lends_nothing(house):
    store = await house.opened()
    await work(store)
    house.server.client().flushall()
    await store.apply([])
    assert isinstance(await one(store, reserve("e", GROQ, declared=True)), Held)
    assert await is_extended(store, "e")
    house.clock.advance(15)
    await store.apply([])
    assert await levels(store) == {DAY.id: (4, 1), LEASES.id: (0, 1), TEAM.id: (4_000, 1_000), SOFT.id: (0, 0)}
    assert await store.verify() == []
    answers = (await store.apply([reserve(f"more-{n}", GROQ) for n in range(10)])).answers
    assert sum(isinstance(answer, Held) for answer in answers) == 5


async def test_several_processes_that_remember_different_moments_tell_back_no_more_than_there_was(house):
    """The first one saw two holds open, the second one saw them end: nothing is counted twice."""
    store, other = await house.opened(), await house.join()
    await work(store)
    assert (await other.apply([settle("d"), settle("e")])).answers == [Done(), Done()]
    house.server.client().flushall()
    for each in (store, other):
        await each.apply([])
    house.clock.advance(15)
    await store.apply([])
    assert (await levels(store))[DAY.id] == (5, 0)
    assert await store.verify() == []


async def test_what_happened_while_others_had_not_told_yet_is_added_to_what_they_tell(house):
    store, other = await house.opened(), await house.join()
    await work(store)
    for name in ("x", "y"):
        await one(other, reserve(name, GROQ))
        await one(other, settle(name))
    house.server.client().flushall()
    await store.apply([])
    assert isinstance(await one(store, reserve("d", GROQ, declared=True)), Held)
    assert await one(store, settle("d")) == Done()
    assert (await levels(store))[DAY.id] == (4, 0)  # this one knows of three and has ended a fourth
    await other.apply([])
    assert (await levels(store))[DAY.id] == (6, 0)  # the other one knows of five
    house.clock.advance(15)
    await store.apply([])
    assert (await levels(store))[DAY.id] == (7, 0)  # and one was held that nobody has declared
    assert await store.verify() == []


async def test_a_process_that_comes_back_after_budgets_opened_is_heard_all_the_same(house):
    store, other = await house.join(FREE), await house.opened()
    await work(other)
    house.server.client().flushall()
    await store.apply([])
    house.clock.advance(15)
    assert (await store.apply([])).events == ("reopened",)
    assert isinstance(await one(other, reserve("f", GROQ)), Held)
    assert await levels(other) == {DAY.id: (5, 1), LEASES.id: (0, 1), TEAM.id: (5_000, 1_000), SOFT.id: (0, 0)}
    assert await other.verify() == []


async def test_what_comes_with_the_first_batch_after_a_loss_does_not_hide_what_was_known(house):
    """A soft budget stays open: its level is told back before anything new is counted on it."""
    store = await house.join(FREE)
    for number in range(4):
        assert isinstance(await one(store, reserve(f"s{number}", LOCAL)), Held)
        assert await one(store, settle(f"s{number}")) == Done()
    house.server.client().flushall()
    applied = await store.apply([reserve("s4", LOCAL)])
    assert (applied.events, type(applied.answers[0])) == (("flushed",), Held)
    assert (await levels(store))[SOFT.id] == (4, 1)
    assert await one(store, settle("s4")) == Done()
    assert isinstance(await one(store, reserve("s5", LOCAL)), Denied)


async def test_levels_that_could_not_be_told_back_are_told_with_the_next_batch(house, monkeypatch):
    store = await house.opened()
    await work(store)
    house.server.client().flushall()
    run, cut = store._run, iter([True])

    async def run_and_be_cut(batch, restate=()):
        return None if restate and next(cut, False) else await run(batch, restate)

    monkeypatch.setattr(store, "_run", run_and_be_cut)
    with pytest.raises(MeshError, match="it was cut off"):
        await store.apply([])
    assert (await store.apply([])).events == ("flushed",)
    assert (await levels(store))[DAY.id] == (3, 0)


async def test_what_has_no_hard_budget_goes_on_while_others_recover(house):
    store = await house.join(FREE)
    assert isinstance(await one(store, reserve("a", LOCAL)), Held)
    house.server.client().flushall()
    assert isinstance(await one(store, reserve("b", LOCAL)), Held)


async def test_nothing_can_be_declared_to_a_ledger_that_lost_nothing(house):
    store = await house.opened()
    for number in range(8):
        assert isinstance(await one(store, reserve(f"a{number}", GROQ)), Held)
    assert isinstance(await one(store, reserve("b", GROQ, declared=True)), Denied)


async def test_a_server_killed_and_started_again_keeps_what_it_acknowledged(house):
    store = await house.opened()
    await work(store)
    before, epoch = await levels(store), store.epoch
    house.server.kill()
    house.server.start()
    applied = await store.apply([reserve("f", GROQ)])
    assert applied.events == ("restarted",)
    assert isinstance(applied.answers[0], Denied)
    house.clock.advance(3)
    assert (await levels(store), store.epoch) == (before, epoch)
    assert isinstance(await one(store, reserve("f", GROQ)), Held)
    assert await one(store, settle("d")) == Done()
    assert await store.verify() == []


EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")


class Log:
    """What is on a server's disk: a loss of power takes what came after `synced`."""

    def __init__(self, server: Server) -> None:
        (self.file,) = (server.directory / "appendonlydir").glob("*.incr.aof")
        self.server = server
        self.size = 0

    def synced(self) -> None:
        """Wait until all so far is on the disk."""
        with self.server.client() as client:
            client.set("mark", "here")
            assert client.execute_command("WAITAOF", 1, 0, int(PATIENCE * 1_000))[0] == 1
        self.size = self.file.stat().st_size

    def lose_power(self) -> None:
        """Forget what came since, and start again."""
        self.server.kill()
        with self.file.open("r+b") as file:
            file.truncate(self.size)
        self.server.start()


@pytest.mark.parametrize("server", [EVERYSEC], indirect=True)
async def test_a_server_that_syncs_every_second_is_not_trusted_after_a_restart_and_nothing_is_counted_twice(house):
    """It lost nothing; that cannot be known, so routers are asked what they hold."""
    store, other = await house.opened(), await house.join()
    await work(store)
    await other.apply([])
    await store.apply([settle("d", Outcome.RELEASED)])
    assert await is_extended(store, "e")
    before, epoch = await levels(store), store.epoch
    Log(house.server).synced()
    house.server.kill()
    house.server.start()
    applied = await other.apply([reserve("f", GROQ)])
    assert (applied.events, applied.recovering) == (("restarted without a certain log",), True)
    assert isinstance(applied.answers[0], Denied)
    await store.apply([])
    assert store.epoch == other.epoch != epoch
    house.clock.advance(15)
    assert (await store.apply([])).events == ("reopened",)
    assert await levels(store) == before
    assert await store.verify() == []


@pytest.mark.parametrize("server", [EVERYSEC], indirect=True)
async def test_the_second_that_a_loss_of_power_takes_is_noticed_and_told_back(house):
    store = await house.opened()
    await store.apply([reserve("a", GROQ), reserve("b", GROQ)])
    log = Log(house.server)
    log.synced()
    await store.apply([reserve("c", GROQ), settle("b")])
    log.lose_power()
    assert (await store.apply([])).events == ("older than acknowledged",)
    assert (await levels(store))[DAY.id] == (1, 2)  # what was settled is; its hold is there again, and lapses
    assert isinstance(await one(store, reserve("c", GROQ, declared=True)), Held)
    assert await one(store, settle("c")) == Done()
    assert (await levels(store))[DAY.id] == (2, 2)
    assert await store.verify() == []


@pytest.mark.parametrize("server", [EVERYSEC], indirect=True)
async def test_a_loss_nobody_is_left_to_know_of_closes_all_the_same_and_routers_declare_what_they_hold(house):
    """The quota services are gone too; the epoch tells the routers."""
    store = await house.opened()
    await store.apply([])
    log, epoch = Log(house.server), store.epoch
    log.synced()
    await store.apply([reserve("a", GROQ)])
    log.lose_power()
    fresh = await house.join()
    assert fresh.epoch != epoch
    assert isinstance(await one(fresh, reserve("b", GROQ)), Denied)
    assert isinstance(await one(fresh, reserve("a", GROQ, declared=True)), Held)
    assert await is_extended(fresh, "a")
    house.clock.advance(15)
    await fresh.apply([])
    assert (await levels(fresh))[DAY.id] == (0, 1)
    assert await fresh.verify() == []


async def test_a_backup_that_is_older_than_what_was_acknowledged_is_noticed(house, tmp_path):
    store = await house.opened()
    await store.apply([reserve("a", GROQ)])
    shutil.copytree(house.server.directory / "appendonlydir", tmp_path / "backup")
    await work(store)
    house.server.kill()
    shutil.rmtree(house.server.directory / "appendonlydir")
    shutil.copytree(tmp_path / "backup", house.server.directory / "appendonlydir")
    house.server.start()
    assert (await store.apply([])).events == ("older than acknowledged",)
    assert (await levels(store))[DAY.id] == (3, 1)  # the level it had seen, and the hold of the backup
    house.clock.advance(15)
    await store.apply([])
    assert (await levels(store))[DAY.id] == (5, 0)  # one was found in the backup and lapsed, one was not found
    assert await store.verify() == []


async def test_a_failover_closes_even_when_the_replica_has_everything(house):
    store = await house.opened()
    await work(store)
    main = house.server
    replica = Server(*FIT, "--replicaof", "127.0.0.1", str(main.listen()))
    try:
        replica.synchronised()
        main.kill()
        replica.client().replicaof("NO", "ONE")
        replica.take_the_place_of(main)
        applied = await store.apply([reserve("f", GROQ)])
        assert applied.events == ("failover",)
        assert isinstance(applied.answers[0], Denied)
        assert (await levels(store))[DAY.id] == (3, 2)
    finally:
        replica.close()


async def test_a_process_with_older_definitions_refuses(house):
    """I14."""
    store = await house.opened()
    newer = definitions(terms(GROQ, limit("groq/default", "requests", 5)), fingerprint=2)
    other = await house.join(newer)
    assert (store.version, other.version) == (1, 2)
    with pytest.raises(Exception, match="another process has version 2 of the definitions, this one 1"):
        await store.apply([reserve("a", GROQ)])
    assert store.problem is not None
    assert (await other.apply([])).answers == []


async def test_every_process_counts_by_the_overrides_of_any(house):
    """I14: who has older ones takes them over, and whoever starts finds them."""
    store, other = await house.opened(), await house.join()
    assert await one(store, SetOverride(DAY.id, 1, "ann", "a try")) == Done()
    ends = NOON + 3_000
    assert (await other.standing()).overrides == {DAY.id: Override(1, "ann", "a try", ends, FOREVER)}
    assert (await one(other, reserve("a", GROQ))).version == store.version == other.version == 2
    assert (await one(other, reserve("b", GROQ))).denials[0].budget == DAY.id
    late = await house.join()
    assert (await one(late, reserve("c", GROQ))).denials[0].limit == 1
    assert await one(late, RemoveOverride(DAY.id, "bob", "done")) == Done()
    applied = await store.apply([reserve("d", GROQ)])
    assert isinstance(applied.answers[0], Held)
    assert DAY.id in applied.freed
    assert {each.version for each in (store, late)} == {3}


async def test_an_override_that_expires_is_gone_for_every_process_at_once(house):
    store, other = await house.opened(), await house.join()
    await one(store, SetOverride(DAY.id, 0, "ann", "a try", NOON + 60_000))
    assert isinstance(await one(other, reserve("a", GROQ)), Denied)
    house.clock.advance(60)
    assert isinstance(await one(other, reserve("b", GROQ)), Held)
    assert isinstance(await one(store, reserve("c", GROQ)), Held)
    assert (store.version, other.version) == (3, 3)
    assert (await store.standing()).overrides == {}


async def test_after_a_flush_overrides_are_told_back(house):
    store = await house.opened()
    await one(store, SetOverride(DAY.id, 2, "ann", "a try"))
    house.server.client().flushall()
    await store.apply([])
    late = await house.join()
    assert (await late.standing()).overrides == (await store.standing()).overrides
    assert list((await late.standing()).overrides) == [DAY.id]


async def test_a_process_with_other_definitions_is_refused_whatever_overrides_there_are(house):
    old = await house.opened()
    changed = definitions(terms(GROQ, DAY), fingerprint=2)
    newer = await house.join(changed)
    await one(newer, SetOverride(DAY.id, 1, "ann", "a try"))
    with pytest.raises(MeshError, match="another process has version 3 of the definitions, this one 1"):
        await old.apply([])
