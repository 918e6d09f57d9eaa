"""How operations travel to the quota service, and what becomes of them when it stumbles; over a real socket."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fixtures import fake_quota
from fixtures.fake_quota import FakeQuota
from fixtures.router_house import eventually
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc

from meshkit import durations
from meshkit.channel import open_channel
from meshkit.errors import MeshError, Reason
from meshkit.server import GrpcServer
from router_service import quota_client
from router_service.quota_client import QuotaClient

RELEASED = quota_pb2.OUTCOME_RELEASED
AWAY = MeshError(Reason.QUOTA_UNAVAILABLE, "restarting")


class Desk:
    """A client, the fake it talks to, and the server between them."""

    def __init__(self, client: QuotaClient, quota: FakeQuota, server: GrpcServer) -> None:
        self.client = client
        self.quota = quota
        self.server = server

    def reserve(self, attempt: str, deadline: float = 5.0, **row: Any) -> asyncio.Task[Any]:
        return asyncio.create_task(self.client.reserve(reserve(attempt, **row), deadline))

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.quota.batches]


def reserve(attempt: str, **row: Any) -> quota_pb2.Reserve:
    usual = {"tenant": "t", "use_case": "default", "offers": [quota_pb2.OfferAmounts(offer="alpha/one#1")]}
    return quota_pb2.Reserve(attempt_id=attempt, **{**usual, **row})


def settle(attempt: str) -> quota_pb2.Settle:
    return quota_pb2.Settle(attempt_id=attempt, outcome=quota_pb2.OUTCOME_SERVED)


@asynccontextmanager
async def a_desk(**limits: float):
    async with AsyncExitStack() as stack:
        quota = FakeQuota()
        server = await stack.enter_async_context(GrpcServer("127.0.0.1:0", [quota.register], [fake_quota.NAME]))
        target = f"127.0.0.1:{server.port}"
        channels = [await stack.enter_async_context(open_channel(target)) for _ in range(2)]
        times = {"grace": 1.0, "silence": 2.0, **limits}
        client = QuotaClient(*map(quota_pb2_grpc.QuotaServiceStub, channels), **times)
        yield Desk(await stack.enter_async_context(client), quota, server)


@pytest.fixture
async def desk():
    async with a_desk() as made:
        yield made


async def unavailable(asking: Any) -> MeshError:
    with pytest.raises(MeshError) as caught:
        await asking
    error = caught.value
    assert (error.reason, error.code, error.retry_after) == (Reason.QUOTA_UNAVAILABLE, "UNAVAILABLE", 1.0)
    return error


async def test_a_reserve_is_held_or_denied(desk):
    desk.quota.room["alpha/one#1"] = 1
    assert (await desk.reserve("a")).offer == "alpha/one#1"
    denied = await desk.reserve("b")
    assert [denial.offer for denial in denied.denials] == ["alpha/one#1"]


async def test_a_refusal_carries_the_ledgers_own_reason(desk):
    desk.quota.refused.add("a")
    with pytest.raises(MeshError) as caught:
        await desk.reserve("a")
    assert (caught.value.reason, caught.value.message) == (Reason.ATTEMPT_CONFLICT, "other contents")


async def test_what_comes_while_a_batch_is_in_flight_travels_in_the_next(desk):
    desk.quota.gate.clear()
    asking = [desk.reserve("first")]
    await desk.quota.arrived.wait()
    asking += [desk.reserve(f"next-{number}") for number in range(5)]
    desk.client.settle(settle("old"))
    await asyncio.sleep(0)
    desk.quota.gate.set()
    await asyncio.gather(*asking)
    assert desk.sizes == [1, 6]


async def test_nothing_waits_when_idle(desk):
    for name in "abc":
        await desk.reserve(name)
    assert desk.sizes == [1, 1, 1]


async def test_settles_travel_with_the_next_reserve_and_by_themselves_when_none_comes(desk):
    desk.client.settle(settle("old"))
    await desk.reserve("a")
    assert desk.sizes == [2]
    desk.client.settle(settle("a"))
    await eventually(lambda: desk.sizes == [2, 1])
    assert desk.quota.open_holds == []


async def test_a_batch_is_never_longer_than_the_service_takes(desk):
    desk.quota.gate.clear()
    asking = [desk.reserve("first")]
    await desk.quota.arrived.wait()
    asking += [desk.reserve(f"next-{number}") for number in range(300)]
    await asyncio.sleep(0)
    desk.quota.gate.set()
    await asyncio.gather(*asking)
    assert desk.sizes == [1, 256, 44]


async def test_the_same_batch_is_sent_again_while_the_service_restarts(desk):
    desk.quota.faults.extend([AWAY, AWAY])
    assert (await desk.reserve("a")).offer == "alpha/one#1"
    assert [batch[0].reserve for batch in desk.quota.batches] == [reserve("a")] * 3


async def test_a_lost_answer_is_asked_for_again_and_has_one_effect(desk):
    desk.quota.room["alpha/one#1"] = 1
    desk.quota.lost = 1
    assert (await desk.reserve("a")).offer == "alpha/one#1"
    assert desk.quota.open_holds == ["a"]


async def test_a_service_that_stays_away_is_waited_for_as_long_as_its_grace(desk):
    await desk.server.stop(0)
    began = time.monotonic()
    await unavailable(desk.reserve("a", deadline=60.0))
    assert 0.9 < time.monotonic() - began < 30


async def test_nobody_waits_longer_than_its_own_deadline():
    async with a_desk(grace=60.0, silence=60.0) as desk:
        desk.quota.gate.clear()
        began = time.monotonic()
        await unavailable(desk.reserve("a", deadline=0.1))
        assert time.monotonic() - began < 30
        desk.quota.gate.set()
        await eventually(lambda: desk.quota.holds == {"a": "released"})


async def test_a_settle_outlives_a_restart(desk):
    await desk.reserve("a")
    desk.quota.faults.extend([AWAY, AWAY, AWAY])
    desk.client.settle(settle("a"))
    await eventually(lambda: desk.quota.holds == {"a": "served"})


async def test_a_reserve_whose_caller_left_before_it_was_sent_is_not_sent(desk):
    desk.quota.gate.clear()
    first = desk.reserve("first")
    await desk.quota.arrived.wait()
    left = desk.reserve("left")
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    desk.quota.gate.set()
    await first
    await desk.reserve("last")
    assert [r.attempt_id for r in desk.quota.reserves] == ["first", "last"]


async def test_a_reserve_granted_after_its_caller_left_is_released(desk):
    desk.quota.gate.clear()
    left = desk.reserve("left")
    await desk.quota.arrived.wait()
    left.cancel()
    desk.quota.gate.set()
    await eventually(lambda: desk.quota.holds == {"left": "released"})


async def test_a_reserve_whose_answer_was_lost_after_its_caller_left_is_released(desk):
    desk.quota.lost = 1
    desk.quota.gate.clear()
    left = desk.reserve("left")
    await desk.quota.arrived.wait()
    left.cancel()
    await asyncio.sleep(0)
    desk.quota.gate.set()
    await eventually(lambda: desk.quota.holds == {"left": "released"})


async def test_a_caller_that_leaves_in_the_moment_of_the_answer_holds_nothing(desk):
    """The answer is there, its reader is woken, and is cancelled before it runs."""
    deliver = desk.client._deliver_answer

    def deliver_and_cancel(waiting: Any, answer: Any) -> None:
        deliver(waiting, answer)
        if waiting.operation.HasField("reserve"):
            left.cancel()

    desk.client._deliver_answer = deliver_and_cancel
    left = desk.reserve("left")
    with pytest.raises(asyncio.CancelledError):
        await left
    await eventually(lambda: desk.quota.holds == {"left": "released"})


async def test_a_dry_run_that_nobody_waits_for_holds_nothing_to_give_back(desk):
    desk.quota.gate.clear()
    left = desk.reserve("left", dry_run=True)
    await desk.quota.arrived.wait()
    left.cancel()
    desk.quota.gate.set()
    await desk.reserve("a")
    assert desk.quota.operations("settle") == []


async def test_one_malformed_operation_does_not_spoil_its_neighbours(desk):
    await desk.reserve("old")
    desk.quota.gate.clear()
    desk.quota.arrived.clear()
    first = desk.reserve("first")
    await desk.quota.arrived.wait()
    bad, good = desk.reserve("bad", tenant=""), desk.reserve("good")
    desk.client.settle(settle("old"))
    await asyncio.sleep(0)
    desk.quota.gate.set()
    await first
    assert (await good).offer == "alpha/one#1"
    await unavailable(bad)
    await eventually(lambda: desk.quota.holds["old"] == "served")


PATIENT = {"patience": durations.to_proto(1.0)}


async def test_a_patient_reserve_makes_no_neighbour_wait(desk):
    desk.quota.gate.clear()
    patient = desk.reserve("patient", **PATIENT)
    await desk.quota.arrived.wait()
    other = desk.reserve("other")
    await eventually(lambda: len(desk.quota.batches) == 2)
    desk.quota.gate.set()
    assert (await patient).offer == (await other).offer == "alpha/one#1"


async def test_a_patient_reserve_outlives_a_restart(desk):
    desk.quota.faults.extend([AWAY, AWAY])
    assert (await desk.reserve("a", **PATIENT)).offer == "alpha/one#1"


async def test_a_patient_reserve_outlives_a_restart_after_a_long_wait_and_has_only_the_rest_of_its_patience():
    async with a_desk(grace=0.3, silence=0.2) as desk:
        desk.quota.turn.clear()
        waiting = desk.reserve("a", patience=durations.to_proto(5.0), deadline=6.0)
        await asyncio.sleep(0.5)  # longer than the grace
        desk.quota.faults.extend([AWAY, AWAY])
        desk.quota.turn.set()
        assert (await waiting).offer == "alpha/one#1"
    first, *_, last = (durations.to_seconds(reserve.patience) for reserve in desk.quota.reserves)
    assert 4.9 < first <= 5
    assert 3.5 < last < 4.5


async def test_while_more_wait_than_a_connection_carries_a_settle_gets_through(desk):
    await desk.reserve("served")
    desk.quota.turn.clear()
    waiting = [desk.reserve(f"w{number}", patience=durations.to_proto(30.0), deadline=30.0) for number in range(1_100)]
    await eventually(lambda: len(desk.quota.batches) >= 1_000, within=20)
    desk.client.settle(settle("served"))
    await eventually(lambda: desk.quota.holds["served"] == "served", within=20)
    desk.quota.turn.set()
    assert {answer.offer for answer in await asyncio.gather(*waiting)} == {"alpha/one#1"}


async def test_what_a_vendor_said_travels_with_the_reserve_that_waits(desk):
    observe = quota_pb2.Observe(offer="alpha/one#1", closed_for=durations.to_proto(1.0), reason="throttled")
    desk.client.observe(observe)
    assert (await desk.reserve("a", **PATIENT)).denials[0].cause == quota_pb2.Denial.CAUSE_COOLING
    assert [[o.WhichOneof("kind") for o in batch] for batch in desk.quota.batches] == [["observe", "reserve"]]


async def test_a_patient_reserve_waits_no_longer_than_its_deadline():
    async with a_desk(grace=60.0, silence=60.0) as desk:
        desk.quota.gate.clear()
        began = time.monotonic()
        await unavailable(desk.reserve("a", deadline=0.2, patience=durations.to_proto(60.0)))
        assert time.monotonic() - began < 30
        desk.quota.gate.set()
        await eventually(lambda: desk.quota.holds == {"a": "released"})


async def test_a_patient_reserve_whose_caller_left_is_released(desk):
    desk.quota.gate.clear()
    left = desk.reserve("left", **PATIENT)
    await desk.quota.arrived.wait()
    left.cancel()
    desk.quota.gate.set()
    await eventually(lambda: desk.quota.holds == {"left": "released"})


async def test_leaving_waits_for_what_is_not_yet_settled():
    async with a_desk() as desk:
        await desk.reserve("a")
        desk.client.settle(settle("a"))
    assert desk.quota.holds == {"a": "served"}


async def test_leaving_waits_no_longer_than_grace():
    async with a_desk(grace=0.2) as desk:
        await desk.reserve("a", deadline=60.0)
        desk.quota.faults.extend([AWAY] * 100_000)
        desk.client.settle(settle("a"))
    assert desk.quota.open_holds == ["a"]


async def test_budgets_are_listed_or_said_to_be_unavailable(desk):
    assert list((await desk.client.read.budgets()).budgets) == []
    await desk.server.stop(0)
    await unavailable(desk.client.read.budgets())


async def test_a_ledger_that_lost_its_state_is_told_what_is_held_before_it_is_told_how_that_ended(desk):
    """I19: an ending that was refused because the hold was lost is told again, after the hold."""
    desk.quota.epoch = "first"
    await desk.reserve("a", offers=[quota_pb2.OfferAmounts(offer=f"{name}/one#1") for name in ("alpha", "beta")])
    await desk.reserve("b")
    desk.quota.forget("second")
    desk.client.settle(settle("a"))
    await eventually(lambda: desk.quota.holds == {"a": "served", "b": "held"})
    declared = [reserve for reserve in desk.quota.reserves if reserve.declared]
    assert [(reserve.attempt_id, len(reserve.offers)) for reserve in declared] == [("a", 1), ("b", 1)]
    await desk.reserve("c")
    assert [reserve.attempt_id for reserve in desk.quota.reserves if reserve.declared] == ["a", "b"]


async def test_what_has_ended_is_not_declared(desk):
    desk.quota.epoch = "first"
    await desk.reserve("a")
    await desk.reserve("b", instead_of=settle("a"))
    await desk.reserve("c")
    desk.client.settle(settle("c"))
    await eventually(lambda: desk.quota.open_holds == ["b"])
    desk.quota.forget("second")
    await desk.reserve("d")
    assert [reserve.attempt_id for reserve in desk.quota.reserves if reserve.declared] == ["b"]


async def test_a_replacement_of_a_hold_that_was_lost_is_asked_again(desk):
    desk.quota.epoch = "first"
    await desk.reserve("a")
    desk.quota.forget("second")
    held = await desk.reserve("b", instead_of=settle("a"))
    assert held.offer == "alpha/one#1"
    assert desk.quota.holds == {"a": "served", "b": "held"}


async def test_a_router_that_holds_something_looks_whether_the_ledger_still_knows(desk, monkeypatch):
    monkeypatch.setattr(quota_client, "LOOK_EVERY", 0.02)
    desk.quota.epoch = "first"
    await desk.reserve("a")
    desk.quota.forget("second")
    await eventually(lambda: desk.quota.holds == {"a": "held"})


async def test_an_ending_that_was_on_its_way_while_another_call_declared_is_told_again(desk):
    """Two calls meet the new epoch; the one that comes back second finds everything declared already."""
    desk.quota.epoch = "first"
    await desk.reserve("a")
    desk.quota.forget("second")
    desk.quota.gate.clear()
    desk.client.settle(settle("a"))
    await eventually(lambda: desk.quota.operations("settle") != [])
    epoch = quota_pb2.ApplyResponse(epoch="second")
    declaring = asyncio.create_task(desk.client._holds.heed(epoch, [], "first"))
    await eventually(lambda: any(reserve.declared for reserve in desk.quota.reserves))
    desk.quota.gate.set()
    await declaring
    await eventually(lambda: desk.quota.holds == {"a": "served"})
