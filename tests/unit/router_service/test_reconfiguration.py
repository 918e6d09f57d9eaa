"""Another configuration under a running router: what counts from then on, and what does not notice."""

import asyncio
import gc
import weakref
from dataclasses import dataclass, field, replace

import pytest
from fixtures import fake_provider
from fixtures.fake_provider import FakeProvider, answers, fails
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, mesh, model, timeouts, use_case, vendor

from catalog.mesh import Mesh
from catalog.model import Catalog, ModelRef
from meshkit import identity
from meshkit.errors import MeshError, Reason, StartError
from meshkit.reload import Watcher
from meshkit.server import GrpcServer
from router_service.breaker import State
from router_service.entrance import Entrance
from router_service.offers import Offer
from router_service.reconfiguration import Reconfiguration

ALPHA, BETA = vendor("alpha", model("one")), vendor("beta", model("two"))
BOTH = catalog(ALPHA, BETA)


@dataclass
class Faces:
    """What callers meet first, as far as it goes by a configuration."""

    taken: list[Mesh] = field(default_factory=list)

    def take(self, mesh: Mesh) -> None:
        self.taken.append(mesh)


def reconfiguration(running: House, faces: Faces | None = None, watcher: Watcher | None = None) -> Reconfiguration:
    return Reconfiguration(
        running.router.mesh,
        tools=running.tools,
        router=running.router,
        entrance=Entrance(identity.development),
        faces=faces or Faces(),
        watcher=watcher or Watcher(),
    )


def addresses(running: House) -> dict[str, str]:
    return {name: f"127.0.0.1:{running.servers[name].port}" for name in running.providers}


def configured(running: House, known: Catalog, **more) -> Mesh:
    return mesh(known, addresses={**addresses(running), **more.pop("addresses", {})}, **more)


async def test_models_use_cases_and_time_limits_count_for_what_begins_from_then_on():
    async with house(BOTH) as running:
        faces = Faces()
        before = await running.failure(use_case="fresh")
        known = catalog(
            vendor("alpha", model("one"), model("new")),
            BETA,
            use_cases=(use_case(), use_case("fresh", candidates={"premium": ("alpha/new",)}, default_tier="premium")),
        )
        said = configured(running, known, limits=timeouts(total=7.0, request=3.0))
        await reconfiguration(running, faces).take_mesh(said)
        served = await running.generate(use_case="fresh")
        assert (before.reason, served.route.offer) == (Reason.UNKNOWN_USE_CASE, "alpha/new#1")
        assert running.router.mesh == said
        assert faces.taken == [said]
        assert running.router._tools.timeouts.total == 7.0


async def test_breakers_speeds_estimates_and_connections_outlast_it():
    async with house(BOTH) as running:
        await running.generate(model="alpha/one")
        running.tools.breakers.force("beta", State.FORCED_OPEN)
        connections, described = dict(running.vendors._connections), running.vendors.described_at("alpha")
        kept = {
            name: getattr(running.tools, name) for name in ("breakers", "speeds", "estimator", "retries", "numbers")
        }
        known = catalog(vendor("alpha", model("one"), model("new")), BETA)
        await reconfiguration(running).take_mesh(configured(running, known))
        assert running.vendors._connections == connections
        assert described is not None
        assert running.vendors.described_at("alpha") >= described
        assert all(getattr(running.router._tools, name) is tool for name, tool in kept.items())
        assert running.tools.breakers.standing()["beta"][0] is State.FORCED_OPEN
        assert running.tools.speeds._peaks
        assert (await running.failure(model="beta/two")).reason is Reason.NO_OFFER


async def test_a_conversation_stays_with_who_has_served_it():
    known = catalog(vendor("alpha", model("one"), plan="free"), vendor("beta", model("two"), plan="free"))
    async with house(known) as running:
        first = await running.generate(conversation_id="talk", model="beta/two")
        await reconfiguration(running).take_mesh(configured(running, known))
        again = await running.generate(conversation_id="talk")
        assert (first.route.offer, again.route.offer) == ("beta/two#1", "beta/two#1")


async def test_a_stream_ends_as_it_began_though_its_vendor_is_taken_out_meanwhile():
    async with house(BOTH) as running:
        gate = asyncio.Event()
        running.provider("alpha").script.append(answers(gate=gate))
        streaming = asyncio.create_task(running.stream(model="alpha/one", timeout=30))
        await eventually(lambda: running.provider("alpha").calls)
        await reconfiguration(running).take_mesh(configured(running, catalog(BETA)))
        assert list(running.vendors.states()) == ["beta"]
        assert (await running.failure(model="alpha/one")).reason is Reason.UNKNOWN_MODEL
        gate.set()
        told = await streaming
        assert (told.text, told.error) == ("Hello, world", None)
        assert (await running.settled()) == dict.fromkeys(running.quota.holds, "served")


async def test_a_request_falls_back_to_whom_it_was_planned_with_though_they_were_taken_out_meanwhile():
    async with house(BOTH) as running:
        gate = asyncio.Event()
        running.provider("alpha").script.append(replace(fails(Reason.VENDOR_SERVER), gate=gate))
        asking = asyncio.create_task(running.generate(timeout=30))
        await eventually(lambda: running.provider("alpha").calls)
        await reconfiguration(running).take_mesh(configured(running, catalog(ALPHA)))
        assert (await running.failure(model="beta/two")).reason is Reason.UNKNOWN_MODEL
        running.provider("alpha").script.append(fails(Reason.VENDOR_SERVER))  # should it be asked once more
        gate.set()
        assert (await asking).route.offer == "beta/two#1"


async def test_a_vendor_that_has_been_gone_for_long_is_an_offer_that_cannot_serve():
    async with house(BOTH) as running:
        await reconfiguration(running).take_mesh(configured(running, catalog(ALPHA)))
        running.vendors._leaving.clear()  # as after ten minutes
        offer = Offer("beta/two#1", ModelRef("beta", "two"), 1, BETA, model("two"), "paid", None)
        with pytest.raises(MeshError, match="beta is configured no longer"):
            running.vendors._way(offer)
        with pytest.raises(MeshError, match="beta is configured no longer"):
            await running.vendors.check("beta", 1)


async def test_a_key_that_turns_out_to_work_after_its_vendor_was_taken_out_is_told_all_the_same():
    async with house(BOTH) as running:
        running.tools.rejections.rejected("beta", 1)
        await reconfiguration(running).take_mesh(configured(running, catalog(ALPHA)))
        running.tools.rejections.served("beta", 1)
        assert running.tools.rejections.slots["beta"] == set()


async def test_a_vendor_that_comes_is_known_before_anything_is_planned_with_it():
    async with house(BOTH) as running:
        gamma = FakeProvider("gamma")
        async with GrpcServer("127.0.0.1:0", [gamma.register], [fake_provider.NAME]) as server:
            known = catalog(ALPHA, BETA, vendor("gamma", model("three")))
            said = configured(running, known, addresses={"gamma": f"127.0.0.1:{server.port}"})
            await reconfiguration(running).take_mesh(said)
            assert running.vendors.states()["gamma"].slots == (1,)
            assert (await running.generate(model="gamma/three")).route.offer == "gamma/three#1"
            assert running.tools.breakers.standing()["gamma"][0] is State.CLOSED


async def test_a_vendor_that_is_switched_off_and_on_again_serves_again():
    async with house(BOTH) as running:
        change = reconfiguration(running)
        await change.take_mesh(configured(running, BOTH, switched_off=("alpha",)))
        assert running.vendors.states()["alpha"].reason == "disabled"
        assert (await running.failure(model="alpha/one")).reason is Reason.NO_OFFER
        await change.take_mesh(configured(running, BOTH))
        assert (await running.generate(model="alpha/one")).route.offer == "alpha/one#1"


async def test_a_configuration_that_cannot_be_served_by_changes_nothing():
    async with house(BOTH) as running:
        before, faces = running.router.mesh, Faces()
        strange = catalog(ALPHA, BETA, use_cases=(use_case(), use_case("odd", strategy="astrology")))
        with pytest.raises(StartError, match="asks for the strategy astrology"):
            await reconfiguration(running, faces).take_mesh(configured(running, strange))
        assert running.router.mesh is before
        assert faces.taken == []
        assert (await running.generate(model="alpha/one")).route.offer == "alpha/one#1"


async def test_health_asks_for_what_there_is_when_the_last_use_case_has_gone():
    known = catalog(ALPHA, BETA, use_cases=(use_case(), use_case("going")))
    async with house(known) as running:
        await running.generate(use_case="going")
        await reconfiguration(running).take_mesh(configured(running, BOTH))
        told = await running.router.health(None, identity.LOCAL)
        assert (told.can_serve, told.use_case) == (True, "default")


async def test_what_waits_for_a_restart_is_told():
    async with house(BOTH) as running:
        watcher = Watcher()
        said = configured(running, BOTH, limits=timeouts(quota_grace=9.0))
        await reconfiguration(running, watcher=watcher).take_mesh(said)
        assert watcher.notes() == {"restart": "changed, needs a restart: timeouts.quota_grace"}


async def test_a_configuration_that_counts_no_longer_is_let_go_of():
    async with house(BOTH) as running:
        faces = Faces()
        change = reconfiguration(running, faces)
        await change.take_mesh(configured(running, BOTH))
        await running.generate(model="alpha/one")
        gone = weakref.ref(running.router.mesh)
        for _ in range(2):
            await change.take_mesh(configured(running, BOTH))
        faces.taken.clear()
        gc.collect()
        assert gone() is None
