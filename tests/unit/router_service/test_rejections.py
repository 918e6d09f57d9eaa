"""A rejected key is remembered until it works, was checked, or may be another one."""

import asyncio

import pytest
from fixtures.fake_provider import answers, fails
from fixtures.router_house import eventually, house
from fixtures.small_mesh import catalog, mesh, model, price, vendor
from llmmesh.router.v1 import router_pb2

from catalog.settings import Slot
from meshkit import durations
from meshkit.errors import Reason
from router_service.rejections import Rejections

KNOWN = catalog(vendor("alpha", model("one", price=price(1))), vendor("beta", model("two")))


class Told:
    """A quota client that remembers what it was told."""

    def __init__(self):
        self.said = []

    def observe(self, said):
        closed = durations.to_seconds(said.closed_for)
        self.said.append((said.offer, said.scope, said.reason, "opened" if said.opened else closed))


@pytest.fixture
def quota():
    return Told()


@pytest.fixture
def rejections(quota):
    return Rejections(mesh(KNOWN), quota)


def test_a_rejected_key_is_remembered_until_a_call_with_it_is_answered(rejections, quota):
    rejections.served("alpha", 1)
    assert quota.said == []
    rejections.rejected("alpha", 2)
    rejections.rejected("alpha", 1)
    assert sorted(rejections.slots["alpha"]) == [1, 2]
    assert quota.said == []  # the fault itself has closed them
    rejections.served("alpha", 1)
    assert sorted(rejections.slots["alpha"]) == [2]
    assert quota.said == [("alpha/one#1", "slot", "auth", "opened")]


def test_a_check_opens_an_accepted_key_and_closes_a_rejected_one(rejections, quota):
    rejections.checked("alpha", 1, accepted=True)
    rejections.checked("alpha", 2, accepted=False)
    assert quota.said == [("alpha/one#1", "slot", "auth", "opened"), ("alpha/one#2", "slot", "auth", 300)]
    assert sorted(rejections.slots["alpha"]) == [2]


def test_a_provider_service_that_starts_anew_gets_every_key_and_account_another_chance(quota):
    configured = mesh(KNOWN)
    configured.vendors["alpha"].slots[3] = Slot(3, "second", "paid")
    rejections = Rejections(configured, quota)
    rejections.rejected("alpha", 1)
    rejections.rejected("beta", 1)
    rejections.renewed("alpha", (1, 2, 3))
    assert dict(rejections.slots) == {"beta": {1}}
    accounts = [said for said in quota.said if said[1] == "account"]
    assert accounts == [
        ("alpha/one#2", "account", "quota", "opened"),
        ("alpha/one#3", "account", "quota", "opened"),
    ]
    assert [said for said in quota.said if said[1] == "slot"] == [
        (f"alpha/one#{slot}", "slot", "auth", "opened") for slot in (1, 2, 3)
    ]


async def states(running):
    """Return the words for alpha and its slots."""
    listed = await running.stub.ListVendors(router_pb2.ListVendorsRequest(), timeout=5)
    alpha = next(row for row in listed.vendors if row.id == "alpha")
    return alpha.status, [slot.state for slot in alpha.slots]


async def become(running, *expected):
    """Wait until the ledger has heard of it."""
    for _ in range(300):
        if await states(running) == expected:
            return
        await asyncio.sleep(0.01)
    assert await states(running) == expected


async def test_a_key_is_listed_as_rejected_until_its_provider_service_starts_anew(tmp_path):
    async with house(KNOWN, ledger=tmp_path / "ledger.db") as running:
        alpha = running.provider("alpha")
        alpha.script.append(fails(Reason.VENDOR_AUTH))
        assert (await running.failure(model="alpha/one")).reason is Reason.VENDOR_AUTH
        again = await running.failure(model="alpha/one")
        assert (again.reason, again.message) == (Reason.VENDOR_AUTH, "the vendor rejected the key of alpha#1")
        assert again.retry_after > 200
        assert len(alpha.calls) == 1
        assert await states(running) == ("rejected", ["rejected"])
        alpha.incarnation = "another"
        await running.vendors._describe(running.vendors._connections["alpha"])
        assert (await running.generate(model="alpha/one")).route.offer == "alpha/one#1"
        assert await states(running) == ("active", ["active"])


async def test_what_a_check_finds_holds_at_once(tmp_path):
    async def check():
        request = router_pb2.CheckVendorsRequest(vendors=["alpha"])
        return [(told.slot, told.accepted) async for told in running.stub.CheckVendors(request, timeout=5)]

    async with house(KNOWN, slots={"alpha": (1, 2)}, ledger=tmp_path / "ledger.db") as running:
        running.provider("alpha").rejected = {1}
        assert await check() == [(1, False), (2, True)]
        await become(running, "active", ["rejected", "active"])
        routes = [(await running.generate(model="alpha/one")).route.offer for _ in range(4)]
        assert routes == ["alpha/one#2"] * 4
        running.provider("alpha").rejected = set()
        assert await check() == [(1, True), (2, True)]
        await become(running, "active", ["active", "active"])
        routes = [(await running.generate(model="alpha/one")).route.offer for _ in range(4)]
        assert routes == ["alpha/one#1", "alpha/one#2"] * 2


async def test_a_rejected_key_of_several_is_skipped_and_told_of(tmp_path):
    async with house(KNOWN, slots={"alpha": (1, 2)}, ledger=tmp_path / "ledger.db") as running:
        running.provider("alpha").script.extend([fails(Reason.VENDOR_AUTH), answers()])
        first = (await running.generate(model="alpha/one")).route
        assert [(attempt.offer, attempt.outcome) for attempt in first.attempts] == [
            ("alpha/one#1", "failed"),
            ("alpha/one#2", "served"),
        ]
        routes = [(await running.generate(model="alpha/one")).route for _ in range(4)]
        assert {route.offer for route in routes} == {"alpha/one#2"}
        assert {route.fallback_used for route in routes} == {False}
        assert [dict(route.skipped) for route in routes].count({"key_rejected": 1}) == 2  # when it was its turn
        assert await states(running) == ("active", ["rejected", "active"])


async def test_keys_are_used_in_turns():
    async with house(KNOWN, slots={"alpha": (1, 2, 3)}) as running:
        for _ in range(6):
            await running.generate(model="alpha/one")
        assert [call.request.target.slot for call in running.provider("alpha").calls] == [1, 2, 3, 1, 2, 3]


async def test_explaining_takes_nobodys_turn():
    request = router_pb2.ExplainRouteRequest(intent=router_pb2.Intent(model="alpha/one"))
    async with house(KNOWN, slots={"alpha": (1, 2)}) as running:
        for _ in range(3):
            told = await running.stub.ExplainRoute(request, timeout=5)
            assert [offer.offer for offer in told.offers] == ["alpha/one#1", "alpha/one#2"]
        await running.generate(model="alpha/one")
        told = await running.stub.ExplainRoute(request, timeout=5)
        assert [offer.offer for offer in told.offers] == ["alpha/one#2", "alpha/one#1"]


async def test_a_key_whose_closing_has_ended_is_still_listed_as_rejected_until_it_serves():
    async with house(KNOWN) as running:
        running.provider("alpha").script.append(fails(Reason.VENDOR_AUTH))
        await running.failure(model="alpha/one")
        await eventually(lambda: running.quota.closed)
        running.quota.closed.clear()  # its time is over
        assert await states(running) == ("rejected", ["rejected"])
        await running.generate(model="alpha/one")
        assert await states(running) == ("active", ["active"])
