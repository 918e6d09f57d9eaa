"""What is called a second time, what as the last resort, what is waited for; over real sockets."""

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from fixtures import small_mesh
from fixtures.fake_provider import SENT, Behaviour, answers, breaks, fails, hangs
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, timeouts, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.plan import Limit, Plan
from catalog.window import Window
from meshkit.clock import SystemClock
from meshkit.errors import MeshError, Reason
from router_service import demand, prompt_facts
from router_service.breaker import Settings, State
from router_service.breakers import Breakers
from router_service.estimate import Estimator
from router_service.offers import Signals
from router_service.planner import Planned, Planner
from router_service.probes import Probes
from router_service.retries import RetryBudget

TWO = catalog(vendor("alpha", model("one")), vendor("beta", model("two")))
FIRST, SECOND = "alpha/one#1", "beta/two#1"
ONCE = Settings(failures_in_a_row=1, first_open=60.0, longest_open=60.0)


def hiccup() -> Behaviour:
    return fails(Reason.VENDOR_SERVER, http_status=500)


def reset() -> Behaviour:
    return fails(Reason.VENDOR_INCOMPLETE, SENT.SENT_UNKNOWN, unanswered=True)


def script(running: House, vendor: str, *behaviours: Behaviour) -> None:
    running.provider(vendor).script.extend(behaviours)


def told(route: router_pb2.Route) -> list[tuple[str, str]]:
    return [(attempt.offer, attempt.reason) for attempt in route.attempts]


@pytest.fixture
async def two():
    async with house(TWO) as running:
        yield running


@pytest.mark.parametrize("fault", [hiccup, reset])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_one_500_or_a_reset_before_an_answer_is_tried_once_more_at_the_same_offer(two, fault, streamed):
    script(two, "alpha", fault())
    route = (await two.stream()).finish.route if streamed else (await two.generate()).route
    reason = "VENDOR_SERVER" if fault is hiccup else "VENDOR_INCOMPLETE"
    assert told(route) == [(FIRST, reason), (FIRST, "")]
    assert not route.fallback_used
    assert sorted((await two.settled()).values()) == sorted(["failed" if fault is hiccup else "unknown", "served"])


async def test_a_second_500_is_enough(two):
    script(two, "alpha", hiccup(), hiccup())
    assert told((await two.generate()).route) == [(FIRST, "VENDOR_SERVER"), (FIRST, "VENDOR_SERVER"), (SECOND, "")]


@pytest.mark.parametrize(
    "fault",
    [
        fails(Reason.VENDOR_SERVER, http_status=503),
        fails(Reason.VENDOR_OVERLOAD, http_status=503),
        fails(Reason.VENDOR_THROTTLED, http_status=429),
        fails(Reason.VENDOR_SERVER, http_status=500, retry_after=5.0),
        breaks(),
        breaks("some", http_status=500, reason=Reason.VENDOR_SERVER),
        fails(Reason.VENDOR_UNREACHABLE, SENT.SENT_NOTHING),
    ],
    ids=["502", "overload", "throttled", "asks for time", "cut", "500 in the stream", "unreachable"],
)
async def test_no_other_fault_is_tried_again_at_the_same_offer(two, fault):
    script(two, "alpha", fault)
    stream = await two.stream(stream_guarantee=router_pb2.STREAM_GUARANTEE_WHOLE)
    assert [offer for offer, _ in told(stream.finish.route)] == [FIRST, SECOND]


async def test_when_all_fails_hardly_anybody_calls_twice():
    async with house(TWO, settings=Settings(failures_in_a_row=1000, least_calls=1000)) as running:
        script(running, "alpha", *(hiccup() for _ in range(200)))
        script(running, "beta", *(hiccup() for _ in range(200)))
        for _ in range(40):
            await running.failure()
        calls = sum(len(provider.calls) for provider in running.providers.values())
    assert 80 < calls <= 80 + 10


def test_in_the_long_run_a_tenth_of_what_is_served_may_be_called_twice():
    budget = RetryBudget()
    taken = 0
    for _ in range(10_000):
        budget.served()
        taken += budget.take()
    assert 1_000 <= taken <= 1_010


async def test_a_silent_route_is_not_tried_again_with_another_key():
    async with house(TWO, slots={"alpha": (1, 2)}) as running:
        script(running, "alpha", hangs(), hangs())
        assert told((await running.stream()).finish.route) == [(FIRST, "VENDOR_SILENT"), (SECOND, "")]


async def test_an_offer_behind_an_open_breaker_is_the_last_resort():
    async with house(TWO, settings=ONCE) as running:
        script(running, "alpha", breaks())
        await running.generate()
        script(running, "beta", fails(Reason.VENDOR_SERVER))
        route = (await running.generate()).route
        assert told(route) == [(SECOND, "VENDOR_SERVER"), (FIRST, "")]
        assert route.skipped["breaker_open"] == 0
        assert running.tools.breakers.standing()["alpha"][0] is State.CLOSED


async def test_with_all_open_one_request_probes_and_the_others_fail_fast_with_the_reasons():
    async with house(TWO, settings=ONCE) as running:
        for name in ("alpha", "beta"):
            script(running, name, breaks())
        assert (await running.failure()).reason is Reason.ROUTE_EXHAUSTED
        gate = asyncio.Event()
        script(running, "alpha", answers(gate=gate))
        script(running, "beta", answers(gate=gate))
        began = [len(provider.calls) for provider in running.providers.values()]
        probe = asyncio.create_task(running.generate(timeout=20.0))
        calls = lambda: sum(len(provider.calls) for provider in running.providers.values())  # noqa: E731
        await eventually(lambda: calls() == sum(began) + 1)
        errors = [await running.failure(timeout=20.0) for _ in range(3)]
        gate.set()
        assert (await probe).route.attempts[-1].outcome == "served"
        # The first of them may probe the other vendor; nobody waits for anything.
        assert calls() <= sum(began) + 2
        assert {error.reason for error in errors[1:]} == {Reason.ROUTE_EXHAUSTED}
        assert "its breaker is open" in errors[-1].message


async def test_what_an_operator_has_shut_is_not_called_even_when_nothing_else_is_left(two):
    two.tools.breakers.force("alpha", State.FORCED_OPEN)
    assert told((await two.generate()).route) == [(SECOND, "")]
    error = await two.failure(allow_vendors=["alpha"])
    assert (error.reason, error.code) == (Reason.NO_OFFER, "UNAVAILABLE")
    assert error.message.startswith("an operator has forced the breaker of alpha open")
    assert two.provider("alpha").calls == []


async def test_an_operator_lists_and_forces_breakers(two):
    mode = router_pb2.BREAKER_MODE_OPEN
    told = (await two.stub.SetBreaker(router_pb2.SetBreakerRequest(subject="alpha/one", mode=mode))).breaker
    assert (told.subject, told.state) == ("alpha/one", "forced_open")
    listed = (await two.stub.ListBreakers(router_pb2.ListBreakersRequest())).breakers
    assert [(b.subject, b.state) for b in listed] == [
        ("alpha", "closed"),
        ("alpha/one", "forced_open"),
        ("beta", "closed"),
    ]
    asked = router_pb2.ExplainRouteRequest(intent=router_pb2.Intent())
    (excluded,) = (await two.stub.ExplainRoute(asked)).excluded
    assert (excluded.reason, excluded.detail) == (
        "breaker_open",
        "an operator has forced the breaker of alpha/one open",
    )


@pytest.mark.parametrize(
    ("subject", "mode", "reason"),
    [
        ("gamma", router_pb2.BREAKER_MODE_OPEN, "UNKNOWN_VENDOR"),
        ("alpha/nine", router_pb2.BREAKER_MODE_OPEN, "UNKNOWN_MODEL"),
        ("alpha", router_pb2.BREAKER_MODE_UNSPECIFIED, "INVALID_REQUEST"),
    ],
)
async def test_what_cannot_be_forced_is_refused_with_what_can(two, subject, mode, reason):
    with pytest.raises(Exception, match=r"allowed|lists them") as caught:
        await two.stub.SetBreaker(router_pb2.SetBreakerRequest(subject=subject, mode=mode))
    assert reason in str(caught.value.trailing_metadata())


async def test_a_probe_is_held_in_the_ledger_and_given_back():
    async with house(TWO, settings=ONCE) as running:
        script(running, "alpha", breaks())
        await running.failure(allow_vendors=["alpha"])
        await running.generate(allow_vendors=["alpha"])
        names = [offer.offer for reserve in running.quota.reserves for offer in reserve.offers]
        assert names == [FIRST, "probe/alpha#1", FIRST]
        await eventually(lambda: not running.quota.open_holds)
        assert sorted(running.quota.holds.values()) == ["released", "served", "unknown"]


async def test_an_operator_has_the_failures_of_a_vendor_forgotten():
    async with house(TWO, settings=ONCE) as running:
        script(running, "alpha", breaks())
        assert (await running.generate()).route.offer == SECOND
        assert (await running.generate()).route.skipped["breaker_open"] == 1
        asked = router_pb2.SetBreakerRequest(subject="alpha", mode=router_pb2.BREAKER_MODE_RESET)
        assert (await running.stub.SetBreaker(asked)).breaker.state == "closed"
        assert (await running.generate()).route.offer == FIRST


async def test_who_is_refused_the_probe_leaves_it_to_the_other_router():
    async with house(TWO, settings=ONCE) as running:
        script(running, "alpha", breaks())
        await running.generate()
        running.quota.room["probe/alpha#1"] = 0
        script(running, "beta", fails(Reason.VENDOR_SERVER))
        route = (await running.failure()).detail(router_pb2.RouteFailure).route
        assert told(route) == [(SECOND, "VENDOR_SERVER")]
        assert route.skipped["breaker_open"] == 1
        assert len(running.provider("alpha").calls) == 1


async def test_of_two_routers_over_one_ledger_one_probes(tmp_path: Path):
    async with house(TWO, settings=ONCE, ledger=tmp_path / "ledger.db") as running:
        other = Breakers(TWO.vendors, ONCE, SystemClock())
        probing = Probes(running.tools.quota, other, "another")
        other.heard_open("alpha", 0.0)
        running.tools.breakers.heard_open("alpha", 0.0)
        planned = next(planned for planned in await plan(running) if planned.offer.text == FIRST)
        probe = await probing.take(planned, last_resort=False)
        assert (len(probe.holds), probe.lease > 1.0) == (1, True)
        assert told((await running.generate(timeout=20.0)).route) == [(SECOND, "")]
        assert running.provider("alpha").calls == []
        probing.dropped(probe)
        taken = await running.tools.probes.take(planned, last_resort=True)
        ends = asyncio.get_running_loop().time() + 20.0
        while taken is None:  # it asks again a little later
            assert asyncio.get_running_loop().time() < ends
            await asyncio.sleep(0.05)
            taken = await running.tools.probes.take(planned, last_resort=True)
        assert len(taken.holds) == 1


async def test_while_the_ledger_is_silent_each_router_probes_for_itself(two):
    class Silent:
        async def reserve(self, *_told: object, **_more: object) -> quota_pb2.Held:
            raise MeshError(Reason.QUOTA_UNAVAILABLE, "it does not answer")

    breakers = two.tools.breakers
    breakers.heard_open("alpha", 0.0)
    (planned,) = [planned for planned in await plan(two) if planned.offer.text == FIRST]
    probe = await Probes(Silent(), breakers, "test").take(planned, last_resort=False)
    assert (probe.passage.probes, probe.holds) == ({"alpha"}, ())
    assert await Probes(Silent(), breakers, "test").take(planned, last_resort=True) is None, "one at a time even so"


async def plan(running: House) -> tuple[Planned, ...]:
    mesh = small_mesh.mesh(TWO)
    asked = demand.read(router_pb2.Intent(), prompt_facts.read(chat_pb2.Prompt()), TWO, mesh.tiers, dt.date(2026, 1, 1))
    return Planner(mesh, Estimator()).plan(asked, Signals(dt.date(2026, 1, 1), running.vendors.states())).offers


def one_in(seconds: int) -> Plan:
    window = Window("sliding", seconds=seconds)
    return Plan("paid", limits=(Limit(scope="account", unit="requests", window=window, amount=1),))


async def test_where_only_a_rate_is_in_the_way_a_request_waits_a_moment(tmp_path: Path):
    known = catalog(vendor("alpha", model("one"), plans={"paid": one_in(1)}))
    async with house(known, ledger=tmp_path / "ledger.db") as running:
        routes = [(await running.generate(timeout=20.0)).route for _ in range(3)]
        assert [told(route) for route in routes] == [[(FIRST, "")]] * 3
        assert routes[-1].skipped == {}


@pytest.mark.parametrize(("seconds", "short_wait"), [(60, 2.0), (3, 0.0)])
async def test_what_would_take_longer_than_a_moment_is_refused_with_when(tmp_path: Path, seconds, short_wait):
    known = catalog(vendor("alpha", model("one"), plans={"paid": one_in(seconds)}))
    async with house(known, timeouts(short_wait=short_wait), ledger=tmp_path / "ledger.db") as running:
        await running.generate(timeout=20.0)
        error = await running.failure(timeout=20.0)
        assert error.reason is Reason.BUDGET_EXHAUSTED
        assert 0 < error.retry_after <= seconds * 1.5


async def test_nobody_waits_for_a_rate_while_another_offer_serves(tmp_path: Path):
    known = catalog(vendor("alpha", model("one"), plans={"paid": one_in(30)}), vendor("beta", model("two")))
    async with house(known, timeouts(short_wait=60.0), ledger=tmp_path / "ledger.db") as running:
        routes = [reply.route for reply in await asyncio.gather(*(running.generate(timeout=20.0) for _ in range(5)))]
        assert sorted(route.vendor for route in routes) == ["alpha", *["beta"] * 4]
