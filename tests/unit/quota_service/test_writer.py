"""The writer: batches, patience, cancelled callers, a store in trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from prometheus_client import CollectorRegistry

from meshkit.errors import MeshError, Reason
from quota_service.metrics import Metrics
from quota_service.operations import Cause, Denied, Done, Held, OfferAmounts, Operation, Outcome, Settle
from quota_service.parking import ParkingLot
from quota_service.stores.memory import MemoryStore
from quota_service.stores.protocol import Applied
from quota_service.writer import Writer

ONE, THREE, MINUTE, LOCAL, BUSY = "one/m#1", "three/m#1", "minute/m#1", "local/x#1", "busy/m#1"
DEFINITIONS = definitions(
    terms(ONE, limit("one/default", "concurrency", 1)),
    terms(THREE, limit("three/default", "concurrency", 3)),
    terms(MINUTE, limit("minute/default", "requests", 1, "minute")),
    terms(LOCAL),
    terms(BUSY, limit("busy/default", "tokens", 10_000, "minute")),
    payers=(limit("tenant/poor", "requests", 1, "minute"),),
)


class SlowStore(MemoryStore):
    """A memory store whose writes can be held up or made to fail, and which notes its batches."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(DEFINITIONS, clock)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[Operation]] = []
        self.failing = False
        self.on_batch: Callable[[], object] = lambda: None

    async def apply(self, operations: Sequence[Operation]) -> Applied:
        await self.gate.wait()
        if self.failing:
            raise MeshError(Reason.QUOTA_UNAVAILABLE, "no disk")
        if operations:
            self.batches.append(list(operations))
            self.on_batch()
            await asyncio.sleep(0)
        return await super().apply(operations)


class World:
    """A writer at work, on a clock moved by hand."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOON / 1_000)
        self.store = SlowStore(self.clock)
        self.registry = CollectorRegistry()
        self.health: list[bool] = []
        self.writer = Writer(self.store, self.clock, Metrics(self.registry), self.hear)

    async def hear(self, serving: bool) -> None:
        self.health.append(serving)

    async def ask(self, *operations: Operation):
        return (await self.writer.submit(operations))[0]

    def later(self, *operations: Operation) -> asyncio.Task:
        return asyncio.create_task(self.ask(*operations))

    async def pass_time(self, seconds: float) -> None:
        """Move the clock, and wake the writer as its own timer would."""
        self.clock.advance(seconds)
        self.writer._arrived.set()
        await settled()

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    running = asyncio.create_task(made.writer.run())
    yield made
    made.writer.close()
    await asyncio.wait_for(running, 5)
    assert await made.store.verify() == []


async def test_what_arrives_while_a_batch_is_written_travels_in_the_next(world):
    world.store.gate.clear()
    first = world.later(reserve("a", LOCAL))
    await settled()
    others = [world.later(reserve(f"b{n}", LOCAL)) for n in range(30)]
    await settled()
    world.store.gate.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in world.store.batches] == [1, 30]


async def test_a_batch_is_bounded_and_order_is_kept(world):
    world.store.gate.clear()
    first = world.later(reserve("a", LOCAL))
    await settled()
    others = [world.later(*(reserve(f"{call}-{n}", LOCAL) for n in range(100))) for call in range(12)]
    await settled()
    world.store.gate.set()
    await asyncio.gather(first, *others)
    assert [len(batch) for batch in world.store.batches] == [1, 512, 512, 176]
    names = [operation.attempt_id for batch in world.store.batches for operation in batch]
    assert names == ["a", *(f"{call}-{n}" for call in range(12) for n in range(100))]


async def test_nothing_waits_when_the_store_is_idle(world):
    assert isinstance(await asyncio.wait_for(world.ask(reserve("a", LOCAL)), 0.5), Held)
    assert await world.writer.submit([]) == []


async def test_a_patient_reserve_is_held_as_soon_as_room_is_freed(world):
    await world.ask(reserve("a", ONE))
    waiting = world.later(reserve("b", ONE, patience=10_000))
    await settled()
    assert not waiting.done()
    assert await world.ask(settle("a")) == Done()
    assert (await asyncio.wait_for(waiting, 1)).offer == ONE


async def test_who_waits_is_served_in_the_order_of_arrival_and_before_newcomers(world):
    await world.ask(reserve("a", ONE))
    waiting = [world.later(reserve(f"w{n}", ONE, patience=60_000)) for n in range(3)]
    await settled()
    for n in range(3):
        previous = "a" if n == 0 else f"w{n - 1}"
        newcomer, ended = world.later(reserve(f"new{n}", ONE)), world.later(settle(previous))
        await asyncio.wait_for(asyncio.gather(newcomer, ended), 1)
        assert isinstance(newcomer.result(), Denied)
        assert [task.done() for task in waiting] == [other <= n for other in range(3)]


async def test_of_those_who_wait_for_a_place_one_more_than_there_are_places_is_tried(world):
    await asyncio.gather(*(world.ask(reserve(f"a{n}", THREE)) for n in range(3)))
    waiting = [world.later(reserve(f"w{n}", THREE, patience=60_000)) for n in range(100)]
    await settled()
    world.store.batches.clear()
    await world.writer.submit([settle(f"a{n}") for n in range(3)])
    await asyncio.wait_for(asyncio.gather(*waiting[:3]), 1)
    await settled()
    assert [task.done() for task in waiting[:5]] == [True, True, True, False, False]
    tried = [operation.attempt_id for batch in world.store.batches[1:] for operation in batch]
    assert tried == ["w0", "w1", "w2", "w3"]
    for task in waiting[3:]:
        task.cancel()


async def test_whoever_cannot_take_the_place_leaves_it_to_the_next(world):
    await world.ask(reserve("a", ONE))
    poor = world.later(reserve("poor", ONE, tenant="poor", patience=90_000))
    rich = world.later(reserve("rich", ONE, patience=90_000))
    await settled()
    await world.ask(reserve("elsewhere", LOCAL, tenant="poor"))  # takes the one request its tenant has
    await world.ask(settle("a"))
    assert isinstance(await asyncio.wait_for(rich, 1), Held)
    assert not poor.done()
    await world.ask(settle("rich"))
    await world.pass_time(63)
    assert isinstance(await asyncio.wait_for(poor, 1), Held)


async def test_whoever_leaves_while_being_tried_passes_the_place_on(world):
    await world.ask(reserve("a", ONE), reserve("b", LOCAL))
    first, second = (world.later(reserve(f"w{n}", ONE, patience=60_000)) for n in range(2))
    await settled()
    world.store.on_batch = lambda: first.cancel() if world.store.batches[-1][0].attempt_id == "w0" else None
    await world.ask(settle("a"))
    await settled()
    assert first.cancelled()
    await world.ask(Settle("w0", Outcome.RELEASED))  # as its caller does who is told too late
    assert isinstance(await asyncio.wait_for(second, 1), Held)


async def test_a_newcomer_in_the_same_call_as_the_ending_does_not_overtake(world):
    await world.ask(reserve("a", ONE))
    waiting = world.later(reserve("w", ONE, patience=60_000))
    await settled()
    denied, done = await world.writer.submit([reserve("new", ONE), settle("a")])
    assert (type(denied), type(done)) == (Denied, Done)
    assert isinstance(await asyncio.wait_for(waiting, 1), Held)


async def test_a_reserve_is_not_put_off_again_and_again_by_endings_while_someone_is_parked(world):
    await world.ask(reserve("a", ONE))
    parked = world.later(reserve("w", ONE, patience=60_000))
    await settled()
    batches = world.store.batches
    endings: list[asyncio.Task] = []
    world.store.on_batch = lambda: endings.append(world.later(settle("unknown"))) if len(endings) < 30 else None
    newcomer = world.later(reserve("new", LOCAL))
    world.store.on_batch()
    before = len(batches)
    await asyncio.wait_for(newcomer, 1)
    (turn,) = [place for place, batch in enumerate(batches) if batch[0].attempt_id == "new"]
    assert turn - before <= 2
    await asyncio.wait_for(asyncio.gather(*endings), 1)
    assert not parked.done()
    parked.cancel()


async def test_patience_ends_with_a_denial(world):
    await world.ask(reserve("a", ONE))
    waiting = world.later(reserve("b", ONE, patience=3_000))
    await settled()
    await world.pass_time(2.9)
    assert not waiting.done()
    await world.pass_time(0.2)
    assert isinstance(await asyncio.wait_for(waiting, 1), Denied)


async def test_a_rolling_window_is_tried_again_when_it_has_room(world):
    await world.ask(reserve("a", MINUTE))
    await world.ask(settle("a"))
    waiting = world.later(reserve("b", MINUTE, patience=90_000))
    await settled()
    await world.pass_time(62)
    assert not waiting.done()
    await world.pass_time(1)
    assert isinstance(await asyncio.wait_for(waiting, 1), Held)


def of(tokens: int) -> OfferAmounts:
    """Return what so many tokens need of the budget of the busy one."""
    return OfferAmounts(BUSY, input_tokens=tokens)


async def crowd(world: World, until: Callable[[], bool]) -> int:
    """Let small requests of 500 tokens arrive, one a second for two minutes at most; return how many were admitted."""
    admitted = 0
    for n in range(120):
        if until():
            break
        answer = await world.ask(reserve(f"small{n}", of(500)))
        admitted += isinstance(answer, Held)
        if isinstance(answer, Held):
            await world.ask(settle(f"small{n}", prompt=500, output=0))
        await world.pass_time(1)
    return admitted


async def test_a_large_request_is_not_starved_by_small_ones(world):
    """I16: small ones fill a rolling window as it empties; whoever waits for much of it is let in all the same."""
    assert await crowd(world, lambda: world.clock.now() > NOON / 1_000 + 30) == 20
    large = world.later(reserve("large", of(8_000), patience=110_000))
    await settled()
    assert not large.done()
    await crowd(world, large.done)
    assert isinstance(large.result(), Held)
    assert world.clock.now() < NOON / 1_000 + 95  # a window after it came


async def test_small_ones_that_wait_do_not_overtake_a_large_one_either(world):
    await world.ask(reserve("all", of(10_000)))
    large, small = (
        world.later(reserve(name, of(size), patience=90_000)) for name, size in (("l", 6_000), ("s", 5_000))
    )
    await settled()
    await world.ask(settle("all", prompt=5_000, output=0))  # room for the small one
    await settled()
    assert not large.done()
    assert not small.done()
    large.cancel()
    assert isinstance(await asyncio.wait_for(small, 5), Held)


async def test_what_the_first_in_line_leaves_is_for_the_others(world):
    await world.ask(reserve("all", of(10_000)))
    large = world.later(reserve("large", of(6_000), patience=90_000))
    await settled()
    await world.ask(settle("all", prompt=4_500, output=0))
    denied, elsewhere, free = await world.writer.submit(
        [reserve("a", of(1_000)), reserve("b", of(1_000), LOCAL), reserve("c", LOCAL)]
    )
    assert (type(denied), elsewhere.offer, free.offer) == (Denied, LOCAL, LOCAL)
    assert denied.denials[0].cause == Cause.QUEUED
    large.cancel()
    await settled()
    assert isinstance(await world.ask(reserve("d", of(1_000))), Held)


async def test_the_timer_fires_by_itself_when_patience_ends(world):
    await world.ask(reserve("a", ONE))
    waiting = world.later(reserve("b", ONE, patience=1))
    await settled()
    world.clock.advance(0.001)
    assert isinstance(await asyncio.wait_for(waiting, 5), Denied)


async def test_a_parked_reserve_whose_caller_left_is_dropped(world):
    await world.ask(reserve("a", ONE))
    waiting = world.later(reserve("gone", ONE, patience=60_000))
    await settled()
    waiting.cancel()
    await settled()
    await world.ask(settle("a"))
    await settled()
    assert isinstance(await world.ask(reserve("c", ONE)), Held)
    assert "gone" not in world.store._ledger.holds


async def test_a_reserve_whose_caller_left_before_it_was_applied_is_not_held_but_a_settle_is_done(world):
    await world.ask(reserve("a", ONE))
    world.store.gate.clear()
    blocker = world.later(reserve("b", LOCAL))
    await settled()
    left = world.later(reserve("gone", LOCAL), settle("a"))
    await settled()
    left.cancel()
    await settled()
    world.store.gate.set()
    await blocker
    await settled()
    holds = world.store._ledger.holds
    assert "gone" not in holds
    assert holds["a"].outcome == Outcome.SERVED


async def test_a_waiting_replacement_that_gives_up_settles_the_old_attempt(world):
    await world.ask(reserve("busy", ONE), reserve("old", LOCAL))
    waiting = world.later(reserve("new", ONE, instead_of=settle("old", Outcome.FAILED), patience=2_000))
    await settled()
    assert world.store._ledger.holds["old"].state == "held"
    await world.pass_time(3)
    assert isinstance(await asyncio.wait_for(waiting, 1), Denied)
    assert world.store._ledger.holds["old"].outcome == Outcome.FAILED


async def test_beyond_the_bound_nobody_more_is_parked(world):
    world.writer._lot = ParkingLot(most=2)
    await world.ask(reserve("a", ONE))
    parked = [world.later(reserve(f"w{n}", ONE, patience=60_000)) for n in range(2)]
    await settled()
    assert isinstance(await asyncio.wait_for(world.ask(reserve("c", ONE, patience=60_000)), 1), Denied)
    for task in parked:
        task.cancel()


async def test_a_store_in_trouble_fails_the_batch_tells_health_and_is_tried_again(world):
    world.store.failing = True
    with pytest.raises(MeshError) as caught:
        await world.ask(reserve("a", LOCAL))
    assert caught.value.reason == Reason.QUOTA_UNAVAILABLE
    assert world.health == [False]
    world.store.failing = False
    world.writer._arrived.set()
    await settled()
    assert world.health == [False, True]
    assert isinstance(await world.ask(reserve("a", LOCAL)), Held)


async def test_holds_lapse_without_anybody_asking(world):
    await world.ask(reserve("a", ONE, ttl=5_000))
    assert world.writer._idle_seconds() == pytest.approx(5, abs=0.01)
    await world.pass_time(5)
    assert world.store._ledger.open_holds == 0
    assert world.count("mesh_holds_lapsed_total") == 1


async def test_stopping_finishes_what_is_queued_and_sends_away_who_is_parked():
    world = World()
    running = asyncio.create_task(world.writer.run())
    await world.ask(reserve("a", ONE))
    parked = world.later(reserve("b", ONE, patience=60_000))
    await settled()
    queued = world.later(reserve("c", LOCAL))
    await asyncio.sleep(0)
    world.writer.close()
    await asyncio.wait_for(running, 5)
    assert isinstance(await queued, Held)
    for refused in (parked, world.later(reserve("d", LOCAL))):
        with pytest.raises(MeshError, match="stopping"):
            await refused


async def test_decisions_and_batches_are_counted(world):
    await world.ask(reserve("a", ONE))
    await world.ask(reserve("b", ONE))
    await world.ask(reserve("b", ONE, dry_run=True))
    await world.ask(reserve("a", LOCAL))
    await world.ask(settle("a", output=900))
    counts = {
        outcome: world.count("mesh_quota_decisions_total", outcome=outcome) for outcome in ("held", "denied", "refused")
    }
    assert counts == {"held": 1, "denied": 1, "refused": 1}
    assert world.count("mesh_quota_batch_operations_count") == 5
    assert world.count("mesh_quota_batch_seconds_count") == 5


async def test_overage_and_late_settles_are_counted():
    world = World()
    world.writer._metrics.batch(1, 0.001, Applied((), 0, frozenset(), 2, 3, Counter(tokens=700)))
    assert world.count("mesh_quota_overage_total", unit="tokens") == 700
    assert world.count("mesh_settles_late_total") == 3
    assert world.count("mesh_holds_lapsed_total") == 2
