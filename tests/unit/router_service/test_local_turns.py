"""A local model never refuses: who finds no room waits for a turn, in the order of arrival, until the own deadline."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.fake_provider import answers, fails
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, timeouts, vendor
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Limit, Plan
from catalog.window import parse_window
from meshkit.errors import MeshError, Reason

ONE_AT_A_TIME = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1, "model"),))}
NONE_LEFT = {"paid": Plan("paid", (Limit("requests", parse_window("day"), 0),))}
PLENTY = {"paid": Plan("paid")}
LLAMA = "home/llama#1"


def home(**row: Any) -> Any:
    return vendor("home", model("llama"), plan="local", local=True, plans=ONE_AT_A_TIME, **row)


@pytest.fixture
async def only_home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(catalog(home()), limits=patient(), ledger=tmp_path / "ledger.db") as made:
        yield made


def patient() -> Any:
    return timeouts(first_token=dict.fromkeys(("chat", "reasoning", "local", "embedding"), 30.0))


def occupied(running: House) -> asyncio.Event:
    """Let the next call to the local server last until the gate opens."""
    gate = asyncio.Event()
    running.provider("home").script.append(answers(gate=gate))
    return gate


async def begun(running: House, **asked: Any) -> asyncio.Task[router_pb2.GenerateResponse]:
    """Send a request and wait until the local server has it."""
    calls = running.provider("home").calls
    before = len(calls)
    task = asyncio.create_task(running.generate(timeout=30, **asked))
    await eventually(lambda: len(calls) > before)
    return task


async def later(running: House, text: str, **asked: Any) -> asyncio.Task[router_pb2.GenerateResponse]:
    """Send a request that will have to wait, and wait until the ledger has parked it."""
    before = parked(running)
    task = asyncio.create_task(running.generate(text, timeout=asked.pop("timeout", 30.0), **asked))
    await eventually(lambda: task.done() or parked(running) > before)
    return task


def parked(running: House) -> int:
    return running.parked()


def texts(running: House, name: str = "home") -> list[str]:
    return [call.request.prompt.messages[0].parts[0].text.text for call in running.provider(name).calls]


async def test_callers_of_a_busy_local_model_are_served_one_after_the_other_in_the_order_they_came(only_home):
    gate = occupied(only_home)
    first = await begun(only_home, text="first")
    others = [await later(only_home, f"caller {number}") for number in range(12)]
    assert texts(only_home) == ["first"]
    gate.set()
    replies = await asyncio.gather(first, *others)
    assert {reply.route.offer for reply in replies} == {LLAMA}
    assert [reply.route.skipped for reply in replies] == [{}] * 13
    assert not any(reply.route.fallback_used for reply in replies)
    assert texts(only_home) == ["first", *(f"caller {number}" for number in range(12))]


async def test_streams_wait_their_turn_too(only_home):
    gate = occupied(only_home)
    first = await begun(only_home)
    stream = asyncio.create_task(only_home.stream(timeout=30))
    await eventually(lambda: parked(only_home) == 1)
    gate.set()
    await first
    told = await stream
    assert (told.error, told.text) == (None, "Hello, world")


async def test_only_the_deadline_ends_a_wait_and_the_error_says_for_what_it_was(only_home):
    for _ in range(8):
        only_home.tools.estimator.answered("home/llama", 1.0)  # the rest, for a slow machine to say so in
    gate = occupied(only_home)
    first = await begun(only_home)
    began = asyncio.get_running_loop().time()
    error = await only_home.failure(timeout=2.0)
    waited = asyncio.get_running_loop().time() - began
    gate.set()
    await first
    assert 0.7 < waited < 2.0
    assert (error.reason, error.code) == (Reason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert re.match(r"waited [01]\.\d s for a turn at home/llama", error.message)
    route = error.detail(router_pb2.RouteFailure).route
    assert (len(route.attempts), route.skipped) == (0, {"budget": 1})
    assert len(only_home.provider("home").calls) == 1


async def test_a_wait_leaves_the_time_an_answer_usually_takes(only_home):
    for _ in range(8):
        only_home.tools.estimator.answered("home/llama", 2.0)
    gate = occupied(only_home)
    first = await begun(only_home)
    began = asyncio.get_running_loop().time()
    assert (await only_home.failure(timeout=4.0)).reason is Reason.DEADLINE_EXCEEDED
    assert asyncio.get_running_loop().time() - began < 3.5
    gate.set()
    await first


async def test_a_caller_that_goes_away_gives_its_turn_to_the_next(only_home):
    gate = occupied(only_home)
    first = await begun(only_home)
    gone, last = await later(only_home, "gone"), await later(only_home, "last")
    gone.cancel()
    await eventually(gone.cancelled)
    gate.set()
    await asyncio.gather(first, last)
    assert texts(only_home)[1:] == ["last"]


async def test_a_server_that_is_busy_for_others_is_asked_again_when_it_may_have_room(only_home):
    busy = [fails(Reason.VENDOR_THROTTLED, retry_after=0.2), fails(Reason.VENDOR_OVERLOAD)]
    only_home.provider("home").script.extend(busy)
    began = asyncio.get_running_loop().time()
    route = (await only_home.generate(timeout=30)).route
    assert [(attempt.outcome, attempt.reason) for attempt in route.attempts] == [
        ("failed", "VENDOR_THROTTLED"),
        ("failed", "VENDOR_OVERLOAD"),
        ("served", ""),
    ]
    assert asyncio.get_running_loop().time() - began > 1.2  # the pause it asked for, and a second for the other


async def test_a_server_that_stays_busy_is_asked_once_a_second_until_the_deadline(only_home):
    only_home.provider("home").script.extend([fails(Reason.VENDOR_OVERLOAD)] * 100)
    error = await only_home.failure(timeout=2.9)
    assert (error.reason, error.retry_after) == (Reason.ROUTE_EXHAUSTED, pytest.approx(1, abs=0.1))
    assert len(error.detail(router_pb2.RouteFailure).route.attempts) == 3
    assert "VENDOR_OVERLOAD" in error.message


async def test_the_error_of_a_server_that_is_down_comes_at_once(only_home):
    only_home.provider("home").script.append(fails(Reason.VENDOR_SERVER))
    assert (await only_home.failure(timeout=30)).reason is Reason.VENDOR_SERVER


async def test_a_local_model_before_others_is_waited_for_when_these_have_no_room(tmp_path):
    known = catalog(home(), vendor("alpha", model("one"), plans=NONE_LEFT))
    async with house(known, limits=patient(), ledger=tmp_path / "ledger.db") as running:
        gate = occupied(running)
        first = await begun(running)
        waiting = await later(running, "second")
        gate.set()
        await first
        route = (await waiting).route
    assert (route.offer, route.skipped) == (LLAMA, {"too_large": 1})


async def test_while_another_can_serve_nobody_waits(tmp_path):
    known = catalog(home(), vendor("alpha", model("one"), plans=PLENTY))
    async with house(known, limits=patient(), ledger=tmp_path / "ledger.db") as running:
        gate = occupied(running)
        first = await begun(running)
        route = (await running.generate(timeout=5)).route
        assert (route.offer, route.skipped) == ("alpha/one#1", {"budget": 1})
        gate.set()
        await first


async def test_a_local_model_that_was_passed_over_is_waited_for_when_all_others_have_failed(tmp_path):
    known = catalog(home(), vendor("alpha", model("one"), plans=PLENTY))
    async with house(known, limits=patient(), ledger=tmp_path / "ledger.db") as running:
        gate = occupied(running)
        first = await begun(running)
        running.provider("alpha").script.append(fails(Reason.VENDOR_SERVER))
        waiting = await later(running, "second")
        gate.set()
        await first
        route = (await waiting).route
    assert [(a.offer, a.outcome) for a in route.attempts] == [("alpha/one#1", "failed"), (LLAMA, "served")]
    assert route.skipped == {}


async def test_a_local_model_of_an_earlier_batch_is_waited_for_too(tmp_path):
    others = [vendor(f"v{number}", model(f"m{number}"), plans=NONE_LEFT) for number in range(10)]
    async with house(catalog(home(), *others), limits=patient(), ledger=tmp_path / "ledger.db") as running:
        gate = occupied(running)
        first = await begun(running)
        waiting = await later(running, "second")
        gate.set()
        await first
        route = (await waiting).route
    assert (route.offer, route.skipped) == (LLAMA, {"too_large": 10})


async def test_a_budget_of_days_is_not_waited_for(tmp_path):
    spent = {"local": Plan("local", (Limit("requests", parse_window("day"), 0),))}
    known = catalog(vendor("home", model("llama"), plan="local", local=True, plans=spent))
    async with house(known, ledger=tmp_path / "ledger.db") as running:
        error = await running.failure(timeout=5)
    assert error.reason is Reason.BUDGET_EXHAUSTED


async def test_two_hundred_callers_at_once_are_all_served(only_home):
    async def served(number: int) -> str:
        try:
            return (await only_home.generate(f"caller {number}", timeout=60)).route.offer
        except MeshError as error:
            return str(error)

    assert set(await asyncio.gather(*map(served, range(200)))) == {LLAMA}
    budgets = await only_home.ledger.GetBudgets(quota_pb2.GetBudgetsRequest(), timeout=5)
    assert [budget.limit for budget in budgets.budgets] == [1]
