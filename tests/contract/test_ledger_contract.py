"""What every store of the ledger promises; a new store adds one row to STORES."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import PATIENCE, fresh_prefix, shared

from catalog.limit_rows import headroom_of
from catalog.plan import Grant
from quota_service.operations import (
    Amounts,
    Cause,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    OfferAmounts,
    Outcome,
    Redefine,
    Refused,
    Release,
    RemoveOverride,
    SetOverride,
    Settle,
)
from quota_service.overrides import Override
from quota_service.spend import LABEL, SpendQuery, SpendRetention, labels_text
from quota_service.stores.memory import MemoryStore
from quota_service.stores.protocol import Store
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore
from quota_service.windows import FOREVER

GROQ, LOCAL, KEPT, CREDIT, SOFTLY = "groq/m#1", "local/x#1", "kept/m#1", "credit/m#1", "soft/m#1"
SOFT = limit("soft/default", "nanodollars", 10**6, hard=False)
DAY = limit("groq/default", "requests", 10)
TOKENS = limit("groq/default", "tokens", 100_000, "minute")
TEAM = limit("tenant/team", "nanodollars", 1_000_000, "month")
SHARE = limit("use_case/spread/share/groq/default", "requests", 3)
SHARED = limit("kept/default", "requests", 10, "minute", headroom=headroom_of({"free": 0.6, "economy": 0.25}))
GRANTS = (
    Grant("welcome", 5_000, datetime.fromtimestamp(NOON / 1_000, UTC).date() + timedelta(days=2)),
    Grant("more", 4_000),
)
BALANCE = limit("credit/default", "nanodollars", 9_000, "once", grants=GRANTS)
DEFINITIONS = definitions(
    terms(GROQ, DAY, TOKENS, plan="paid"),
    terms(LOCAL, plan="local"),
    terms(KEPT, SHARED),
    terms(CREDIT, BALANCE, plan="credit"),
    terms(SOFTLY, SOFT),
    payers=(TEAM, SHARE),
)

SPENDING = SpendRetention(days=3, labels=4)


async def _memory(_path: Path, clock: ManualClock) -> Store:
    return MemoryStore(DEFINITIONS, clock, spending=SPENDING)


async def _sqlite(path: Path, clock: ManualClock) -> Store:
    return SqliteStore.open(path / "ledger.db", DEFINITIONS, clock, spending=SPENDING)


async def _redis(_path: Path, clock: ManualClock) -> Store:
    at_once = Recovery(short=0, long=0)
    return await RedisStore.open(
        shared().url,
        DEFINITIONS,
        prefix=fresh_prefix(),
        recovery=at_once,
        spending=SPENDING,
        clock=clock,
        silence=PATIENCE,
    )


STORES: dict[str, Callable[[Path, ManualClock], Awaitable[Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "redis": _redis,
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON / 1_000)


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    made = await STORES[request.param](tmp_path, clock)
    yield made
    assert await made.verify() == []
    await made.close()


async def budget(store: Store, budget_id: str) -> tuple[int, int, int, int]:
    standing = await store.standing()
    (found,) = [row for row in standing.budgets if row.budget.id == budget_id]
    return found.used, found.held, found.external, found.left


async def test_answers_come_in_the_order_of_the_operations(store):
    applied = await store.apply([reserve("a", GROQ), Release("never"), reserve("b", GROQ)])
    assert [type(answer) for answer in applied.answers] == [Held, Refused, Held]
    assert applied.now == NOON


async def test_two_different_reserves_of_an_attempt_that_was_denied_are_denied_in_one_batch_too(store):
    """I6: only the last denial of an id is remembered."""
    ours, other = reserve("late", GROQ), reserve("late", GROQ, ttl=5_000)
    applied = await store.apply([*(reserve(f"a{n}", GROQ) for n in range(10)), ours])
    assert isinstance(applied.answers[-1], Denied)
    for batch in ([other, ours], [ours, other, ours]):
        applied = await store.apply(batch)
        assert [type(answer) for answer in applied.answers] == [Denied] * len(batch)


async def test_fifty_reserves_on_a_limit_of_ten_hold_exactly_ten_and_pass_the_rest_on(store):
    """I1."""
    applied = await store.apply([reserve(f"a{n}", GROQ, LOCAL) for n in range(50)])
    offers = [answer.offer for answer in applied.answers]
    assert (offers.count(GROQ), offers.count(LOCAL)) == (10, 40)
    assert await budget(store, DAY.id) == (0, 10, 0, 0)


async def test_an_account_serves_its_share_of_a_use_case_and_more_only_to_who_asks_beyond_shares(store):
    spread = {"use_case": "spread"}
    applied = await store.apply([reserve(f"a{n}", GROQ, LOCAL, **spread) for n in range(5)])
    assert [answer.offer for answer in applied.answers] == [GROQ] * 3 + [LOCAL] * 2
    assert applied.answers[-1].passed_over[0].budget == SHARE.id
    assert applied.answers[-1].passed_over[0].cause == Cause.TENANT
    more = [reserve("b", GROQ, beyond_share=True, **spread), reserve("c", GROQ), reserve("b", GROQ, **spread)]
    held, other, repeated = (await store.apply(more)).answers
    assert (held.offer, other.offer, repeated.reason) == (GROQ, GROQ, "ATTEMPT_CONFLICT")
    await store.apply([settle("a0"), Release("a1"), settle("b")])
    assert await budget(store, SHARE.id) == (1, 1, 0, 1)
    assert await budget(store, DAY.id) == (2, 2, 0, 6)


async def test_settle_release_and_lapse_move_the_levels_as_they_must(store, clock):
    """I2, I5."""
    await store.apply([reserve(name, GROQ, ttl=5_000) for name in ("served", "given back", "lost")])
    applied = await store.apply([settle("served", output=100, cost=40), Release("given back")])
    assert list(applied.answers) == [Done(), Done()]
    assert applied.freed == {DAY.id, TOKENS.id, TEAM.id}
    assert await budget(store, DAY.id) == (1, 1, 0, 8)
    assert await budget(store, TEAM.id) == (40, 1_000, 0, 998_960)
    clock.advance(5)
    applied = await store.apply([])
    assert applied.lapsed == 1
    assert await budget(store, DAY.id) == (2, 0, 0, 8)
    assert await budget(store, TEAM.id) == (1_040, 0, 0, 998_960)
    applied = await store.apply([settle("lost", cost=7)])
    assert list(applied.answers) == [Done(corrected=True)]
    assert applied.late == 1
    assert await budget(store, TEAM.id) == (47, 0, 0, 999_953)


async def test_every_operation_may_be_repeated_and_has_one_effect(store):
    """I6."""
    reserved = [await store.apply([reserve("a", GROQ)]) for _ in range(3)]
    assert len({applied.answers[0].expires_at for applied in reserved}) == 1
    assert await budget(store, DAY.id) == (0, 1, 0, 9)
    answers = [(await store.apply([settle("a")])).answers[0] for _ in range(3)]
    assert answers == [Done(), Done(already=True), Done(already=True)]
    assert await budget(store, DAY.id) == (1, 0, 0, 9)
    assert isinstance((await store.apply([settle("a", output=1)])).answers[0], Refused)
    assert isinstance((await store.apply([reserve("a", LOCAL)])).answers[0], Refused)


async def test_the_last_part_of_a_budget_is_kept_from_lower_tiers(store):
    """I16."""
    names = [f"{tier} {n}" for tier in ("free", "economy", "premium") for n in range(10)]
    applied = await store.apply([reserve(name, KEPT, tier=name.split()[0]) for name in names])
    held = [name.split()[0] for name, answer in zip(names, applied.answers, strict=True) if isinstance(answer, Held)]
    assert held == ["free"] * 4 + ["economy"] * 3 + ["premium"] * 3
    (denial,) = applied.answers[4].denials
    assert (denial.budget, denial.cause) == (SHARED.id, Cause.HEADROOM)
    assert (denial.limit, denial.left, denial.by_holds) == (10, 6, True)
    assert [answer.denials[0].cause for answer in applied.answers[-7:]] == [Cause.BUDGET] * 7


async def test_what_is_kept_from_a_tier_altogether_is_said_so(store):
    applied = await store.apply([reserve("a", OfferAmounts(KEPT, requests=5), tier="free")])
    (denial,) = applied.answers[0].denials
    assert (denial.cause, denial.retry_after, denial.fits_in) == (Cause.HEADROOM, None, None)
    applied = await store.apply([reserve("b", OfferAmounts(KEPT, requests=5))])
    assert isinstance(applied.answers[0], Held)


async def test_a_credit_is_its_grants_and_what_is_left_of_one_when_it_ends_is_lost(store, clock):
    """Of 5000 that end on the third day 2000 are taken, so 3000 are lost; the other 4000 last."""
    await store.apply([reserve(f"a{n}", CREDIT) for n in range(2)])
    assert await budget(store, BALANCE.id) == (0, 2_000, 0, 7_000)
    clock.set((BALANCE.grants[0].until - 1) / 1_000)
    await store.apply([reserve("in time", OfferAmounts(CREDIT, cost_nanos=1_000), ttl=60_000)])
    assert await budget(store, BALANCE.id) == (2_000, 1_000, 0, 6_000)
    clock.set(BALANCE.grants[0].until / 1_000)
    assert await budget(store, BALANCE.id) == (2_000, 1_000, 0, 4_000)
    applied = await store.apply([settle("in time", cost=1_500), reserve("b", OfferAmounts(CREDIT, cost_nanos=4_001))])
    (denial,) = applied.answers[1].denials
    assert (denial.cause, denial.limit, denial.left) == (Cause.EXPIRED, 7_500, 4_000)
    assert (denial.retry_after, denial.fits_in) == (None, None)
    assert await budget(store, BALANCE.id) == (3_500, 0, 0, 4_000)
    applied = await store.apply([reserve("c", OfferAmounts(CREDIT, cost_nanos=4_000))])
    assert isinstance(applied.answers[0], Held)
    applied = await store.apply([reserve("d", OfferAmounts(CREDIT, cost_nanos=2_000))])
    assert applied.answers[0].denials[0].cause == Cause.BUDGET


async def test_a_hold_that_outlives_its_credit_is_settled_as_any_other(store, clock):
    clock.set((BALANCE.grants[0].until - 1) / 1_000)
    await store.apply([reserve("a", OfferAmounts(CREDIT, cost_nanos=9_000), ttl=60_000)])
    clock.advance(1)
    assert await budget(store, BALANCE.id) == (0, 9_000, 0, 0)
    assert list((await store.apply([settle("a", cost=1_000)])).answers) == [Done()]
    assert await budget(store, BALANCE.id) == (1_000, 0, 0, 4_000)


async def test_amounts_that_take_a_budget_beyond_what_is_exact_are_refused(store):
    """I15."""
    large = OfferAmounts(SOFTLY, cost_nanos=1)
    await store.apply([reserve("a", large), reserve("b", large)])
    spent = Amounts(1, 0, 0, 2**53 - 10)
    assert list((await store.apply([Settle("a", Outcome.SERVED, spent)])).answers) == [Done()]
    (answer,) = (await store.apply([Settle("b", Outcome.SERVED, spent)])).answers
    assert isinstance(answer, Refused)
    assert "beyond 2^53" in answer.message
    assert list((await store.apply([settle("b", cost=1)])).answers) == [Done()]


async def test_a_soft_budget_admits_anything_until_it_is_used_up(store):
    large = OfferAmounts(SOFTLY, cost_nanos=10**15)
    held = [await store.apply([reserve(name, large, tenant="others")]) for name in ("a", "b")]
    assert [type(applied.answers[0]) for applied in held] == [Held, Held]
    await store.apply([settle("a", cost=10**6)])
    (denied,) = (await store.apply([reserve("c", OfferAmounts(SOFTLY, cost_nanos=1), tenant="others")])).answers
    assert (denied.denials[0].budget, denied.denials[0].left) == (SOFT.id, 0)


async def test_a_denial_says_what_the_levels_say_and_ends_when_there_is_room(store):
    """A settle that costs more than was held may leave less than nothing, and no reason to refuse for ever."""
    wanted = OfferAmounts(GROQ, cost_nanos=400_000)
    await store.apply([reserve("a", wanted), reserve("b", wanted)])
    (denied,) = (await store.apply([reserve("c", wanted)])).answers
    (denial,) = denied.denials
    assert (denial.budget, denial.limit, denial.left) == (TEAM.id, 1_000_000, 200_000)
    assert (await budget(store, TEAM.id))[3] == denial.left < wanted.cost_nanos
    await store.apply([settle("a", cost=700_000)])
    (denied,) = (await store.apply([reserve("d", wanted)])).answers
    assert (denied.denials[0].left, await budget(store, TEAM.id)) == (0, (700_000, 400_000, 0, 0))
    await store.apply([Release("b")])
    fits = OfferAmounts(GROQ, cost_nanos=300_000)
    assert isinstance((await store.apply([reserve("e", fits)])).answers[0], Held)


async def test_a_dry_run_decides_as_a_reserve_would_and_changes_nothing(store):
    asked = [reserve("a", KEPT, tier="free", dry_run=True), reserve("b", OfferAmounts(KEPT, requests=11), dry_run=True)]
    for _ in range(5):
        held, denied = (await store.apply(asked)).answers
        assert (held.offer, denied.denials[0].cause) == (KEPT, Cause.TOO_LARGE)
    assert await budget(store, SHARED.id) == (0, 0, 0, 10)
    assert (await store.standing()).open_holds == 0
    assert isinstance((await store.apply([reserve("a", KEPT)])).answers[0], Held)


async def test_a_replacement_is_one_step(store):
    await store.apply([reserve("a", GROQ)])
    failed = settle("a", Outcome.FAILED, prompt=0, output=0, cost=0)
    applied = await store.apply([reserve("b", LOCAL, instead_of=failed)])
    assert isinstance(applied.answers[0], Held)
    assert await budget(store, DAY.id) == (1, 0, 0, 9)
    assert await budget(store, TEAM.id) == (0, 1_000, 0, 999_000)


async def test_extending_keeps_a_hold_from_lapsing(store, clock):
    await store.apply([reserve("a", GROQ, ttl=5_000)])
    await store.apply([Extend("a", 60_000)])
    assert store.until_next_expiry() is not None
    clock.advance(59)
    assert (await store.apply([])).lapsed == 0
    clock.advance(1)
    assert (await store.apply([])).lapsed == 1


async def test_observations_close_subjects_and_count_others(store, clock):
    said = Observe(GROQ, "account", "requests", "day", limit=10, remaining=4)
    await store.apply([said, Observe(GROQ, "slot", closed_for=30_000, reason="auth")])
    assert await budget(store, DAY.id) == (0, 0, 6, 4)
    assert list((await store.standing()).closures) == ["groq#1"]
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Denied)
    clock.advance(30)
    assert (await store.standing()).closures == {}
    assert isinstance((await store.apply([reserve("b", GROQ)])).answers[0], Held)


async def test_what_a_vendor_closed_can_be_opened_before_its_time(store):
    await store.apply([Observe(GROQ, "slot", closed_for=30_000, reason="auth")])
    await store.apply([Observe(GROQ, "slot", reason="auth", opened=True)])
    assert (await store.standing()).closures == {}
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Held)


async def test_standing_tells_when_a_window_resets_and_filters_by_subject(store):
    await store.apply([reserve("a", GROQ)])
    standing = await store.standing("groq")
    assert {row.budget.id: row.resets_at for row in standing.budgets} == {DAY.id: NOON + 43_200_000, TOKENS.id: None}
    assert (standing.open_holds, standing.now) == (1, NOON)
    assert [row.budget.id for row in (await store.standing("tenant/")).budgets] == [TEAM.id]


async def test_spend_is_summed_by_any_columns_and_corrections_leave_no_trace(store, clock):
    names = ("a", "b", "lost", "released")
    await store.apply([reserve(name, GROQ, ttl=5_000) for name in names])
    await store.apply([reserve("other", LOCAL, tenant="others")])
    await store.apply(
        [settle("a"), settle("b", Outcome.FAILED, prompt=0, output=0, cost=0), Release("released"), settle("other")]
    )
    clock.advance(5)
    await store.apply([])
    (total,) = await store.spend(SpendQuery())
    assert (total.attempts, total.amounts, total.assumed) == (4, Amounts(4, 600, 900, 3_000), 1)
    by_outcome = await store.spend(SpendQuery(group_by=("outcome",), tenant="team"))
    assert [(line.group["outcome"], line.attempts) for line in by_outcome] == [
        ("failed", 1),
        ("lapsed", 1),
        ("served", 1),
    ]
    await store.apply([settle("lost", output=1, cost=3)])
    by_outcome = await store.spend(SpendQuery(group_by=("tenant", "outcome")))
    assert [(*line.group.values(), line.attempts, line.amounts.cost_nanos, line.assumed) for line in by_outcome] == [
        ("others", "served", 1, 1_000, 0),
        ("team", "failed", 1, 0, 0),
        ("team", "served", 2, 1_003, 0),
    ]
    columns = ("day", "vendor", "model", "plan", "use_case")
    first, _ = await store.spend(SpendQuery(group_by=columns))
    assert tuple(first.group.values()) == ("2026-09-21", "groq", "m", "paid", "quick")
    assert await store.spend(SpendQuery(from_day="2026-09-22")) == []
    assert await store.spend(SpendQuery(to_day="2026-09-20", group_by=("day",))) == []
    assert len(await store.spend(SpendQuery(from_day="2026-09-21", to_day="2026-09-21"))) == 1


async def test_the_clock_of_the_store_never_goes_back(store, clock):
    """I10."""
    first = await store.apply([reserve("a", GROQ)])
    clock.set(NOON / 1_000 - 86_400)
    second = await store.apply([reserve("b", GROQ)])
    assert second.now >= first.now
    assert await budget(store, DAY.id) == (0, 2, 0, 8)


async def test_a_thousand_operations_in_batches_keep_every_level_right(store):
    """I2: batches one after the other, as the writer sends them."""
    for number in range(200):
        operations = [reserve(f"{number}-{n}", GROQ, LOCAL) for n in range(5)]
        ends = [settle(f"{number - 1}-{n}", output=n) for n in range(3)] + [
            Release(f"{number - 1}-{n}") for n in (3, 4)
        ]
        await store.apply([*operations, *ends])
        await asyncio.sleep(0)
    assert await store.verify() == []


async def test_an_override_counts_from_the_next_batch_and_undoes_no_hold(store):
    """I1, I14."""
    (held,) = (await store.apply([reserve("a", GROQ)])).answers
    less = SetOverride(DAY.id, 1, "ann", "an incident")
    answers = (await store.apply([less, reserve("b", GROQ)])).answers
    assert answers[0] == Done()
    assert (answers[1].offer, answers[1].version) == (GROQ, held.version)
    assert await budget(store, DAY.id) == (0, 2, 0, 0)
    (denied,) = (await store.apply([reserve("c", GROQ)])).answers
    assert (denied.denials[0].budget, denied.denials[0].limit) == (DAY.id, 1)
    await store.apply([Release("a"), Release("b")])
    (again,) = (await store.apply([reserve("d", GROQ)])).answers
    assert again.version == store.version == held.version + 1
    standing = await store.standing("groq")
    (row,) = [row for row in standing.budgets if row.budget.id == DAY.id]
    assert (row.limit, row.budget.declared, row.left) == (1, 10, 0)
    assert standing.overrides == {DAY.id: Override(1, "ann", "an incident", NOON, FOREVER)}
    assert (await store.standing("tenant/")).overrides == {}


async def test_an_override_ends_by_its_expiry_or_by_hand_and_who_waits_is_told(store, clock):
    soon = NOON + 30_000
    applied = await store.apply([SetOverride(DAY.id, 0, "ann", "a try", soon), SetOverride(TEAM.id, 0, "bob", "broke")])
    assert applied.freed == {DAY.id, TEAM.id}
    assert isinstance((await store.apply([reserve("a", GROQ)])).answers[0], Denied)
    await store.apply([RemoveOverride(TEAM.id, "bob", "paid")])
    assert isinstance((await store.apply([reserve("b", GROQ)])).answers[0], Denied)
    before = store.version
    clock.advance(30)
    standing = await store.standing()
    assert (standing.overrides, await budget(store, DAY.id)) == ({}, (0, 0, 0, 10))
    applied = await store.apply([reserve("c", GROQ)])
    assert (applied.freed, store.version, applied.answers[0].version) == ({DAY.id}, before + 1, before + 1)


def redefined(day: int, *, window: str = "day", fingerprint: int = 2) -> Redefine:
    """Other definitions: as many requests a day, one more offer, no budget of the team."""
    daily = limit("groq/default", "requests", day, window)
    return Redefine(
        definitions(terms(GROQ, daily, plan="paid"), terms("new/m#1", plan="local"), fingerprint=fingerprint)
    )


async def test_other_definitions_count_from_their_batch_on_under_the_next_version_and_undo_no_hold(store):
    """I1, I14."""
    held = (await store.apply([reserve("a", GROQ), reserve("b", GROQ)])).answers
    told, denied, new = (await store.apply([redefined(2), reserve("c", GROQ), reserve("d", "new/m#1")])).answers
    assert told == Done()
    assert (denied.denials[0].budget, denied.denials[0].limit) == (DAY.id, 2)
    assert (new.offer, new.version, store.version) == ("new/m#1", held[0].version + 1, held[0].version + 1)
    assert await budget(store, DAY.id) == (0, 2, 0, 0)
    assert TEAM.id not in {row.budget.id for row in (await store.standing()).budgets}
    await store.apply([Settle("a", Outcome.SERVED, Amounts(1, 200, 300, 1000)), Release("b")])
    assert await budget(store, DAY.id) == (1, 0, 0, 1)
    assert isinstance((await store.apply([reserve("e", GROQ)])).answers[0], Held)
    assert await store.verify() == []


async def test_definitions_that_say_the_same_are_no_other_version(store):
    before = store.version
    await store.apply([redefined(10, fingerprint=DEFINITIONS.fingerprint)])
    assert store.version == before
    await store.apply([redefined(10)])
    await store.apply([redefined(10)])
    assert store.version == before + 1


async def test_overrides_outlast_other_definitions_and_who_waits_for_room_is_told(store):
    await store.apply([reserve("a", GROQ), SetOverride(DAY.id, 1, "ann", "an incident")])
    before = store.version
    applied = await store.apply([redefined(50)])
    assert DAY.id in applied.freed
    assert store.version == before + 1
    assert isinstance((await store.apply([reserve("b", GROQ)])).answers[0], Denied)
    standing = await store.standing("groq")
    (row,) = [row for row in standing.budgets if row.budget.id == DAY.id]
    assert (row.limit, row.budget.declared) == (1, 50)
    assert list(standing.overrides) == [DAY.id]


async def test_a_credit_with_another_grant_has_it_at_once(store):
    await store.apply([reserve("a", CREDIT)])
    await store.apply([settle("a", cost=8_500)])
    more = limit("credit/default", "nanodollars", 12_000, "once", grants=(*GRANTS, Grant("third", 3_000)))
    await store.apply([Redefine(definitions(terms(CREDIT, more, plan="credit"), fingerprint=3))])
    assert await budget(store, BALANCE.id) == (8_500, 0, 0, 3_500)
    assert isinstance((await store.apply([reserve("b", CREDIT)])).answers[0], Held)


async def test_an_override_in_the_place_of_another_is_one(store):
    await store.apply([SetOverride(DAY.id, 0, "ann", "a try", NOON + 30_000)])
    await store.apply([SetOverride(DAY.id, 20, "bob", "more is bought")])
    assert await budget(store, DAY.id) == (0, 0, 0, 20)
    assert (await store.standing()).overrides == {DAY.id: Override(20, "bob", "more is bought", NOON, FOREVER)}
    await store.apply([RemoveOverride(DAY.id, "ann", "no more"), RemoveOverride(TEAM.id, "ann", "there is none")])
    assert await budget(store, DAY.id) == (0, 0, 0, 10)


def labelled(attempt: str, **labels: str):
    return settle(attempt, cost=10, labels=labels_text(labels))


async def sums(store: Store, *group_by: str) -> list[tuple]:
    lines = await store.spend(SpendQuery(group_by=group_by))
    return [(*line.group.values(), line.attempts, line.amounts.cost_nanos) for line in lines]


async def test_spend_is_summed_by_the_labels_of_callers(store):
    await store.apply([reserve(name, GROQ) for name in "abcd"])
    ends = [labelled("a", team="search", project="x"), labelled("b", project="y", team="search")]
    await store.apply([*ends, labelled("c", team='a "quoted" ]name'), settle("d", cost=1)])
    assert await sums(store, LABEL + "team") == [("", 1, 1), ('a "quoted" ]name', 1, 10), ("search", 2, 20)]
    assert await sums(store, LABEL + "project", "outcome") == [
        ("", "served", 2, 11),
        ("x", "served", 1, 10),
        ("y", "served", 1, 10),
    ]
    assert await sums(store, LABEL + "nobody") == [("", 4, 31)]
    assert await sums(store) == [(4, 31)]


async def test_a_replacement_and_a_correction_carry_labels_too(store, clock):
    await store.apply([reserve("a", GROQ), reserve("lost", GROQ, ttl=5_000)])
    await store.apply([reserve("b", LOCAL, instead_of=labelled("a", team="search"))])
    clock.advance(5)
    await store.apply([])
    assert await sums(store, LABEL + "team", "outcome") == [("", "lapsed", 1, 1_000), ("search", "served", 1, 10)]
    await store.apply([labelled("lost", team="late")])
    assert await sums(store, LABEL + "team") == [("late", 1, 10), ("search", 1, 10)]


async def test_a_day_with_too_many_labels_counts_the_rest_as_other_and_the_next_day_begins_anew(store, clock):
    for first in (0, 3):
        await store.apply([reserve(f"a{n}", LOCAL) for n in range(first, first + 3)])
        await store.apply([labelled(f"a{n}", team=f"t{n}") for n in range(first, first + 3)])
    assert await sums(store, LABEL + "team") == [("other", 2, 20), *((f"t{n}", 1, 10) for n in range(4))]
    await store.apply([reserve("again", LOCAL)])
    await store.apply([labelled("again", team="t1")])
    clock.advance(86_400)
    await store.apply([reserve("next", LOCAL)])
    await store.apply([labelled("next", team="t9")])
    told = await sums(store, LABEL + "team")
    assert (told[0], told[2], told[-1]) == (("other", 2, 20), ("t1", 2, 20), ("t9", 1, 10))


async def test_what_those_wait_for_who_came_first_is_kept_from_those_behind_them(store):
    """I16: the budget has 4 of its 10 left and 3 are waited for, so whoever is behind may take one and not two."""
    six = tuple(reserve(f"a{n}", KEPT) for n in range(6))
    await store.apply(six)
    behind = {SHARED.id: 3, "unknown/default/requests/day": 5}
    asked = [
        reserve("two", OfferAmounts(KEPT, requests=2), LOCAL, behind=behind),
        reserve("one", KEPT, behind=behind),
        reserve("free", KEPT, tier="free", behind=behind),
        reserve("whose turn it is", OfferAmounts(KEPT, requests=3)),
    ]
    elsewhere, one, free, first = (await store.apply(asked)).answers
    assert (elsewhere.offer, one.offer, first.offer) == (LOCAL, KEPT, KEPT)
    (queued,) = elsewhere.passed_over
    assert (queued.cause, queued.by_holds, queued.retry_after, queued.fits_in) == (Cause.QUEUED, True, 1_000, 1_000)
    assert (queued.budget, queued.limit, queued.left, queued.unit) == (SHARED.id, 10, 4, "requests")
    assert free.denials[0].cause == Cause.HEADROOM
    assert (await store.apply([reserve("one", KEPT)])).answers[0] == one  # the queue is no part of its identity
