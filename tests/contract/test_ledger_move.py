"""I20: what is exported from any store and imported into any other is the same ledger, and goes on."""

import itertools
from pathlib import Path

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import PATIENCE, fresh_prefix, shared

from quota_service.operations import Denied, Done, Held, Observe, Refused, SetOverride
from quota_service.spend import COLUMNS, LABEL, SpendQuery, labels_text
from quota_service.stores.memory import MemoryStore
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore
from quota_service.transfer import read, write

GROQ, ROLLING, CREDIT, GPU = "groq/m#1", "rolling/m#1", "credit/m#1", "gpu/m#1"
DAY = limit("groq/default", "requests", 10)
MINUTE = limit("groq/default", "tokens", 100_000, "minute")
LONG = limit("rolling/default", "tokens", 50_000, "rolling 24h")
ONCE = limit("credit/default", "nanodollars", 10_000, "once")
PLACES = limit("gpu/default", "concurrency", 2)
TEAM = limit("tenant/team", "nanodollars", 1_000_000, "month")
DEFINITIONS = definitions(
    terms(GROQ, DAY, MINUTE), terms(ROLLING, LONG), terms(CREDIT, ONCE), terms(GPU, PLACES), payers=(TEAM,)
)
KINDS = ("memory", "sqlite", "redis")


async def opened(kind: str, path: Path, clock: ManualClock, known=DEFINITIONS):
    if kind == "memory":
        return MemoryStore(known, clock)
    if kind == "sqlite":
        return SqliteStore.open(path / "ledger.db", known, clock)
    at_once = Recovery(short=0, long=0)
    return await RedisStore.open(
        shared().url, known, prefix=fresh_prefix(), recovery=at_once, clock=clock, silence=PATIENCE
    )


async def lived(store, clock: ManualClock) -> None:
    """Something of everything: served, open, lapsed, corrected, labelled, observed, closed, overruled, lent."""
    offers = (GROQ, ROLLING, CREDIT, GPU)
    await store.apply([reserve(f"served-{offer}", offer) for offer in offers])
    await store.apply([settle(f"served-{offer}", labels=labels_text({"team": offer})) for offer in offers])
    await store.apply([reserve(f"lost-{offer}", offer, ttl=5_000) for offer in offers])
    await store.apply([reserve("corrected", GROQ, ttl=5_000)])
    clock.advance(5)
    await store.apply([])
    await store.apply([settle("corrected", cost=7)])
    await store.apply([reserve(f"open-{offer}", offer, ttl=600_000) for offer in offers])
    await store.apply([Observe(GROQ, "account", "requests", "day", limit=9, remaining=1)])
    await store.apply([Observe("rolling/m#1", "account", closed_for=60_000, reason="quota")])
    await store.apply([SetOverride(ONCE.id, 20_000, "ann", "more is bought")])


async def levels(store) -> dict[str, tuple]:
    standing = await store.standing()
    return {
        row.budget.id: (row.limit, row.used, row.held, row.external, row.left, row.resets_at)
        for row in standing.budgets
    }


async def spent(store) -> list:
    return await store.spend(SpendQuery(group_by=(*COLUMNS, LABEL + "team")))


@pytest.mark.parametrize(("one", "other"), list(itertools.product(KINDS, KINDS)))
async def test_a_ledger_moves_from_any_store_to_any_other_and_goes_on(one, other, tmp_path):
    clock = ManualClock(NOON / 1_000)
    (tmp_path / "one").mkdir()
    source, target = await opened(one, tmp_path / "one", clock), await opened(other, tmp_path, clock)
    await lived(source, clock)
    lines = list(write(await source.image()))
    await target.take_in(read(lines, "file"))
    assert await target.verify() == []
    before, after = await source.standing(), await target.standing()
    assert await levels(target) == await levels(source)
    assert await spent(target) == await spent(source)
    assert (after.closures, after.overrides, after.open_holds) == (before.closures, before.overrides, before.open_holds)
    assert target.version > source.version

    # What was open can be settled, once; what had lapsed corrected; what is repeated is told the same.
    again = [reserve("open-" + GROQ, GROQ, ttl=600_000), reserve("open-" + GROQ, GPU)]
    ends = [settle("open-" + ROLLING), settle("lost-" + ROLLING, output=1, cost=1), settle("served-" + ROLLING)]
    for store in (source, target):
        answers = (await store.apply([*again, *ends])).answers
        assert isinstance(answers[0], Held)
        assert isinstance(answers[1], Refused)
        assert list(answers[2:4]) == [Done(), Done(corrected=True)]
        last, beyond = (await store.apply([reserve("last", GROQ), reserve("beyond", GROQ)])).answers
        assert (type(last), type(beyond)) == (Held, Denied)
    clock.advance(600)
    assert [(await store.apply([])).lapsed for store in (source, target)] == [4, 4]
    assert await levels(target) == await levels(source)
    assert await spent(target) == await spent(source)
    assert await target.verify() == []
    if other == "sqlite":
        await target.close()
        target = await opened(other, tmp_path, clock)
        assert await levels(target) == await levels(source)
    await source.close()
    await target.close()
