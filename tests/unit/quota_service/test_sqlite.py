"""The SQLite store over real files: restarts, failures, bounds."""

import asyncio
import os
import re
import sqlite3
import sys
from asyncio.subprocess import PIPE
from contextlib import closing
from pathlib import Path

import fixtures.quota
import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms

from meshkit.errors import MeshError, Reason, StartError
from quota_service.memory import Retention
from quota_service.operations import (
    Amounts,
    Denied,
    Done,
    Held,
    Observe,
    OfferAmounts,
    Outcome,
    Release,
    SetOverride,
)
from quota_service.spend import LABEL, SpendQuery, SpendRetention, labels_text
from quota_service.stores.database import Database, JournalRetention
from quota_service.stores.sqlite import SqliteStore

OLDER = Path(fixtures.quota.__file__).with_name("ledger_schema_3.sql")
GROQ = "groq/m#1"
DAY = limit("groq/default", "requests", 1_000)
ONE_VENDOR = definitions(terms(GROQ, DAY, limit("groq/default", "tokens", 10**9, "minute")))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON / 1_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "ledger.db"


def opened(path: Path, clock: ManualClock, **more) -> SqliteStore:
    return SqliteStore.open(path, ONE_VENDOR, clock, **more)


async def test_a_restart_forgets_nothing(path, clock):
    """I7: holds, levels, answers, closures, spend."""
    store = opened(path, clock)
    held = (await store.apply([reserve("open", "nobody/x#1", GROQ), reserve("ended", GROQ)])).answers[0]
    await store.apply([settle("ended"), Observe(GROQ, "account", "requests", "day", limit=900, remaining=500)])
    await store.apply([Observe(GROQ, "account", closed_for=60_000, reason="quota")])
    before = await store.standing()
    await store.close()

    store = opened(path, clock)
    assert await store.standing() == before
    assert await store.verify() == []
    answers = (await store.apply([reserve("open", "nobody/x#1", GROQ), settle("ended"), settle("open")])).answers
    assert list(answers) == [held, Done(already=True), Done()]
    assert isinstance((await store.apply([reserve("new", GROQ)])).answers[0], Denied)
    assert (await store.spend(SpendQuery()))[0].amounts == Amounts(2, 400, 600, 2_000)
    await store.close()


async def test_overrides_and_labels_outlive_a_restart(path, clock):
    one_label = SpendRetention(labels=1)
    store = opened(path, clock, spending=one_label)
    await store.apply([SetOverride(DAY.id, 3, "ann", "a try"), reserve("a", GROQ), reserve("b", GROQ)])
    await store.apply([settle("a", labels=labels_text({"team": "search"}))])
    before = await store.standing()
    await store.close()
    store = opened(path, clock, spending=one_label)
    assert await store.standing() == before
    assert store.version == 2
    await store.apply([settle("b", labels=labels_text({"team": "late"}))])
    lines = await store.spend(SpendQuery(group_by=(LABEL + "team",)))
    assert [line.group[LABEL + "team"] for line in lines] == ["other", "search"]
    await store.close()


async def test_spend_is_kept_for_so_many_days(path, clock):
    store = opened(path, clock, spending=SpendRetention(days=3))
    for day in range(6):
        await store.apply([reserve(f"a{day}", GROQ)])
        await store.apply([settle(f"a{day}")])
        clock.advance(86_400)
    await store.apply([reserve("last", GROQ)])
    lines = await store.spend(SpendQuery(group_by=("day",)))
    assert [line.group["day"] for line in lines] == ["2026-09-25", "2026-09-26"]  # today is the 27th, and nothing spent
    await store.close()


async def test_what_was_opened_again_is_open_after_a_restart(path, clock):
    store = opened(path, clock)
    await store.apply([Observe(GROQ, "slot", closed_for=60_000, reason="auth")])
    await store.apply([Observe(GROQ, "slot", reason="auth", opened=True)])
    await store.close()
    store = opened(path, clock)
    assert (await store.standing()).closures == {}
    await store.close()


async def test_a_hold_lapses_although_nobody_was_there(path, clock):
    store = opened(path, clock)
    await store.apply([reserve("a", GROQ, ttl=5_000)])
    await store.close()
    clock.advance(86_400)
    store = opened(path, clock)
    assert (await store.apply([])).lapsed == 1
    assert (await store.standing()).budgets[0].used == 0  # yesterday's window was charged, not today's (I8)
    await store.close()


async def test_a_second_process_is_turned_away_with_a_clear_word(path, clock):
    store = opened(path, clock)
    second = (
        "import sys; from pathlib import Path; from quota_service.stores.database import Database\n"
        "Database(Path(sys.argv[1]))"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = await asyncio.create_subprocess_exec(sys.executable, "-c", second, path, stderr=PIPE, env=environment)
    _, told = await asyncio.wait_for(ran.communicate(), 30)
    assert b"StartError" in told
    assert re.search(rb"ledger\.db is in use by process \d+", told)
    await store.close()
    await opened(path, clock).close()


def test_a_file_that_is_no_ledger_or_too_new_is_refused(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("hello " * 1_000)
    with pytest.raises(StartError, match="cannot open the ledger"):
        Database(text)
    newer = tmp_path / "newer.db"
    Database(newer).close()
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StartError, match="newer version"):
        Database(newer)


BEFORE_VERSION_2 = "ALTER TABLE hold DROP COLUMN requests; DROP TABLE override; PRAGMA user_version = 1"


@pytest.mark.parametrize("older", ["", BEFORE_VERSION_2], ids=["schema 3", "schema 1"])
async def test_a_ledger_of_an_older_schema_goes_on_where_it_was(path, clock, older):
    """It has an open hold, one that lapses soon, one settled with more than was held, and one that was released."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLDER.read_text() + older)

    store = opened(path, clock)
    assert await store.verify() == []
    day, minute = (await store.standing()).budgets
    assert (day.used, day.held, minute.used, minute.held) == (2, 2, 550, 1_000)
    (spent,) = await store.spend(SpendQuery())
    assert (spent.attempts, spent.amounts) == (1, Amounts(2, 150, 400, 1_000))
    repeated = [reserve("open", "nobody/x#1", GROQ), settle("ended", requests=2, prompt=150, output=400)]
    held, ended, released = (await store.apply([*repeated, Release("back")])).answers
    assert [denial.offer for denial in held.passed_over] == ["nobody/x#1"]
    assert (ended, released) == (Done(already=True), Done(already=True))
    several = OfferAmounts(GROQ, 1, 1, 1, 5)
    assert isinstance((await store.apply([reserve("new", several, ttl=5_000)])).answers[0], Held)
    await store.close()

    clock.advance(60)
    store = opened(path, clock, journal=JournalRetention(age=1))
    assert (await store.apply([])).lapsed == 2
    used = {row.budget.id: row.used for row in (await store.standing()).budgets}
    assert used[DAY.id] == 2 + 1 + 5  # settled with two, lapsed, and lapsed with five
    assert store._database._one("SELECT COUNT(*) FROM journal") == 1  # older lines are folded into the windows
    assert await store.verify() == []
    await store.close()


async def test_definitions_get_a_higher_version_when_they_change_and_holds_keep_theirs(path, clock):
    """I14."""
    store = opened(path, clock)
    held = (await store.apply([reserve("a", GROQ)])).answers[0]
    await store.close()
    for fingerprint, version in ((1, 1), (77, 2), (77, 2), (1, 3)):
        changed = definitions(terms(GROQ, DAY), fingerprint=fingerprint)
        store = SqliteStore.open(path, changed, clock)
        assert (await store.standing()).version == version
        assert (await store.apply([reserve("a", GROQ)])).answers == [held]
        await store.close()


async def test_a_failed_write_is_not_acknowledged_and_leaves_no_trace(path, clock):
    """I7: the disk alone is true."""
    store = opened(path, clock)
    await store.apply([reserve("a", GROQ)])
    store._database._connection.execute("PRAGMA query_only = 1")
    for _ in range(2):
        with pytest.raises(MeshError) as caught:
            await store.apply([settle("a"), reserve("b", GROQ)])
        assert caught.value.reason == Reason.QUOTA_UNAVAILABLE
        assert store.problem is not None
        assert "readonly" in store.problem
    standing = await store.standing()
    assert (standing.open_holds, standing.budgets[0].used, standing.budgets[0].held) == (1, 0, 1)

    store._database._connection.execute("PRAGMA query_only = 0")
    answers = (await store.apply([settle("a"), reserve("b", GROQ)])).answers
    assert [type(answer) for answer in answers] == [Done, Held]
    assert store.problem is None
    assert await store.verify() == []
    await store.close()


async def test_a_commit_that_fails_after_it_reached_the_disk_has_one_effect_when_repeated(path, clock, monkeypatch):
    """I6, I7, I13."""
    store = opened(path, clock)
    write = Database.write

    def write_and_fail(self, changes):
        write(self, changes)
        monkeypatch.setattr(Database, "write", write)
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Database, "write", write_and_fail)
    with pytest.raises(MeshError):
        await store.apply([reserve("a", GROQ)])
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Held)
    assert (await store.standing()).open_holds == 1
    assert await store.verify() == []
    await store.close()


async def test_a_full_disk_is_survived(path, clock):
    store = opened(path, clock)
    run = store._database._connection.execute
    run(f"PRAGMA max_page_count = {run('PRAGMA page_count').fetchone()[0]}")
    admitted = refused = 0
    for number in range(200):
        try:
            await store.apply([reserve(f"a{number}", GROQ)])
            admitted += 1
        except MeshError:
            refused += 1
    assert refused > 0
    assert (await store.standing()).open_holds == admitted
    run("PRAGMA max_page_count = 100000")
    await store.apply([reserve("after", GROQ)])
    assert (await store.standing()).open_holds == admitted + 1
    assert await store.verify() == []
    await store.close()


async def test_journal_and_holds_are_bounded_and_everything_can_still_be_recomputed(path, clock):
    store = opened(path, clock, retention=Retention(1_000, 1_000, 20), journal=JournalRetention(60_000, 50, 5_000))
    for number in range(300):
        await store.apply([reserve(f"a{number}", GROQ)])
        await store.apply([settle(f"a{number}", output=number)])
        clock.advance(1)
    clock.advance(120)
    await store.apply([reserve("last", GROQ)])

    def count(table: str) -> int:
        return store._database._one(f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - names of this test

    assert count("hold") <= 21
    assert count("ending") == count("hold") - 1
    assert count("journal") <= 50
    assert count("budget_window") <= 70
    assert (await store.standing()).budgets[0].used == 300
    assert await store.verify() == []
    await store.close()


async def test_the_journal_is_let_go_of_as_fast_as_it_grows(path, clock):
    """However many holds end within a minute, the file stays within its bounds."""
    store = opened(path, clock, journal=JournalRetention(most=200, at_once=100))
    for number in range(100):
        names = [f"a{number}-{n}" for n in range(10)]
        await store.apply([reserve(name, GROQ) for name in names])
        await store.apply([settle(name, Outcome.RELEASED) for name in names])
    assert store._database._one("SELECT COUNT(*) FROM journal") <= 200 + 100
    assert await store.verify() == []
    await store.close()


async def test_verify_finds_a_figure_that_somebody_changed(path, clock):
    """I2."""
    store = opened(path, clock)
    await store.apply([reserve("a", GROQ)])
    store._database._connection.execute("UPDATE budget_window SET used = 5 WHERE budget = ?", (DAY.id,))
    wrong = await store.verify()
    assert len(wrong) == 2
    assert all(DAY.id in line for line in wrong)
    await store.close()


async def test_the_file_is_written_with_full_sync_through_a_write_ahead_log(path, clock):
    store = opened(path, clock)
    database = store._database
    assert (database._one("PRAGMA journal_mode"), database._one("PRAGMA synchronous")) == ("wal", 2)
    await store.close()
