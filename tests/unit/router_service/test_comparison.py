"""Several models are asked the same at once: each serves or fails for itself, on its own hold."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import grpc
import pytest
from fixtures.fake_provider import answers, breaks, fails, hangs
from fixtures.router_house import House, asked, eventually, house
from fixtures.small_mesh import catalog, model, price, vendor
from llmmesh.router.v1 import router_pb2

from meshkit import status
from meshkit.errors import MeshError, Reason
from router_service.comparison import MOST_MODELS

KNOWN = catalog(
    vendor("alpha", model("one")),
    vendor("beta", model("two", price=price(2))),
    vendor("gamma", model("three", family="open"), model("four")),
    vendor("delta", model("three", family="open")),
)
Events = dict[int, list[router_pb2.CompareResponse]]


@pytest.fixture
async def four():
    async with house(KNOWN) as running:
        yield running


def call(running: House, *models: str, text: str = "Hi", timeout: float = 5.0, **more: Any) -> Any:
    fields = asked(text, **more)
    return running.stub.Compare(router_pb2.CompareRequest(models=models, **fields), timeout=timeout)


async def compare(running: House, *models: str, **more: Any) -> Events:
    """Read all events, by place."""
    told: Events = defaultdict(list)
    async for event in call(running, *models, **more):
        told[event.place].append(event)
    return told


async def refused(running: House, *models: str, **more: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await compare(running, *models, **more)
    return status.from_rpc_error(caught.value)


def text(events: list[router_pb2.CompareResponse]) -> str:
    return "".join(delta.text for event in events for delta in event.deltas.deltas)


async def test_each_model_answers_in_its_place_on_its_own_hold_with_its_own_cost(four):
    four.provider("alpha").script.append(answers("A", "a"))
    four.provider("beta").script.append(answers("B"))
    told = await compare(four, "alpha/one", "beta/two", request_id="r")
    assert [text(told[place]) for place in (0, 1)] == ["Aa", "B"]
    for place, offer, cost in ((0, "alpha/one#1", 120_000), (1, "beta/two#1", 240_000)):
        first, last = told[place][0], told[place][-1]
        assert (first.start.offer, first.start.request_id) == (offer, f"r.{place}")
        assert (last.finish.route.offer, last.finish.usage.cost_nanos) == (offer, cost)
        moments = [event.elapsed.ToNanoseconds() for event in told[place]]
        assert moments == sorted(moments)
        assert moments[0] > 0
    assert sorted((await four.settled()).values()) == ["served", "served"]


async def test_one_that_fails_says_so_and_the_others_go_on(four):
    four.provider("alpha").script.append(fails(Reason.VENDOR_BAD_REQUEST))
    four.provider("gamma").script.append(breaks("half"))
    told = await compare(four, "alpha/one", "beta/two", "gamma/three", "nobody/knows")
    assert text(told[1]) == "Hello, world"
    failures = {place: told[place][-1].failure for place in (0, 2, 3)}
    assert [failures[place].reason for place in (0, 2, 3)] == [
        "VENDOR_BAD_REQUEST",
        "STREAM_INCOMPLETE",
        "UNKNOWN_MODEL",
    ]
    assert [attempt.outcome for attempt in failures[0].route_failure.route.attempts] == ["failed"]
    assert (text(told[2]), failures[2].route_failure.partial_usage.output_tokens) == ("half", 2)
    assert "nobody/knows" in failures[3].message
    assert not failures[3].HasField("route_failure")


async def test_no_other_host_takes_a_model_s_place(four):
    four.provider("gamma").script.append(fails(Reason.VENDOR_SERVER))
    told = await compare(four, "gamma/three")
    assert told[0][-1].failure.reason == "VENDOR_SERVER"
    assert four.provider("delta").calls == []


async def test_a_model_that_hangs_keeps_nobody_waiting(four):
    four.provider("alpha").script.append(hangs())
    told = call(four, "alpha/one", "beta/two")
    async for event in told:
        if event.HasField("finish"):
            break
    assert event.place == 1
    told.cancel()


async def test_a_caller_who_goes_away_cancels_all_and_each_settles(four):
    for name in ("alpha", "beta", "gamma"):
        four.provider(name).script.append(hangs("a piece"))
    running = call(four, "alpha/one", "beta/two", "gamma/three", timeout=60)
    begun = set()
    async for event in running:
        if event.HasField("deltas"):
            begun.add(event.place)
        if len(begun) == 3:
            break
    running.cancel()
    assert sorted((await four.settled()).values()) == ["cancelled"] * 3
    for name in ("alpha", "beta", "gamma"):
        (heard,) = four.provider(name).calls
        await eventually(lambda heard=heard: heard.cancelled is not None)


async def test_a_caller_who_reads_slowly_gets_everything(four):
    pieces = [f"{number:05}" * 200 for number in range(2_000)]
    four.provider("alpha").script.append(answers(*pieces))
    running = call(four, "alpha/one", "beta/two", timeout=60)
    await eventually(lambda: four.provider("alpha").calls)
    told: Events = defaultdict(list)
    async for event in running:
        told[event.place].append(event)
        await asyncio.sleep(0)
    assert text(told[0]) == "".join(pieces)
    assert told[1][-1].HasField("finish")


@pytest.mark.parametrize(
    ("models", "more", "field"),
    [
        ([], {}, "models"),
        ([f"alpha/{number}" for number in range(MOST_MODELS + 1)], {}, "models"),
        (["alpha/one", ""], {}, "models[1]"),
        (["auto"], {}, "models[0]"),
        (["alpha/one", "beta/two", "Alpha/One"], {}, "models[2]"),
        (["alpha/one"], {"model": "beta/two"}, "intent.model"),
        (["alpha/one"], {"preferred_model": "beta/two"}, "intent.preferred_model"),
        (["alpha/one"], {"candidates": ["beta/two"]}, "intent.candidates"),
        (["alpha/one"], {"request_id": "r" * 99}, "request_id"),
        (["alpha/one"], {"request_id": "a b"}, "request_id"),
        (["alpha/one"], {"use_case": "nobody's"}, "intent.use_case"),
        (["alpha/one"], {"labels": {"UPPER": "x"}}, "intent.labels.UPPER"),
    ],
)
async def test_what_is_wrong_whoever_answers_is_refused_before_anybody_is_asked(four, models, more, field):
    error = await refused(four, *models, **more)
    assert [violation.field for violation in error.fields] == [field]
    assert all(provider.calls == [] for provider in four.providers.values())
    assert four.quota.holds == {}
