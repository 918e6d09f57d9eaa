"""What the router tells of the vendors' keys."""

import grpc
import pytest
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, mesh, model, vendor
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2_grpc
from llmmesh.router.v1 import router_pb2

from catalog.model import Auth
from meshkit import durations, status
from meshkit.channel import open_channel
from meshkit.clock import SystemClock
from meshkit.errors import MeshError, Reason
from router_service import key_checks
from router_service.quota_client import QuotaClient
from router_service.rejections import Rejections
from router_service.vendors import Vendors

STATES = provider_pb2.DescribeResponse
KNOWN = catalog(
    vendor("alpha", model("one"), aliases=("first",)),
    vendor("beta", model("two")),
    vendor("home", model("three"), auth=Auth("none")),
)


async def checked(running: House, *vendors: str) -> list[router_pb2.CheckVendorsResponse]:
    """Ask as a command does; raises MeshError."""
    call = running.stub.CheckVendors(router_pb2.CheckVendorsRequest(vendors=vendors), timeout=10)
    try:
        return [told async for told in call]
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from None


def by_slot(told: list[router_pb2.CheckVendorsResponse]) -> dict[tuple[str, int], router_pb2.CheckVendorsResponse]:
    found = {(each.vendor, each.slot): each for each in told}
    assert len(found) == len(told), "each slot is told once"
    return found


async def test_every_key_of_every_vendor_is_asked_about_on_its_own():
    async with house(KNOWN, slots={"alpha": (1, 2)}) as running:
        running.provider("alpha").rejected.add(2)
        told = by_slot(await checked(running))
    assert set(told) == {("alpha", 1), ("alpha", 2), ("beta", 1), ("home", 1)}
    good, bad = told["alpha", 1], told["alpha", 2]
    assert (good.key, good.accepted, good.reason) == ("well_formed", True, "")
    assert (bad.key, bad.accepted, bad.reason, bad.message) == ("well_formed", False, "VENDOR_AUTH", "no such key")
    assert durations.to_seconds(good.latency) == pytest.approx(0.02)
    assert (told["home", 1].key, told["home", 1].accepted) == ("not_needed", True)
    assert sorted(running.provider("alpha").checked) == [1, 2]


@pytest.mark.parametrize(
    ("state", "key", "reason"),
    [
        (STATES.STATE_MISSING, "missing", "VENDOR_NOT_CONFIGURED"),
        (STATES.STATE_MALFORMED, "malformed", "VENDOR_NOT_CONFIGURED"),
        (STATES.STATE_DISABLED, "disabled", "VENDOR_NOT_CONFIGURED"),
        (STATES.STATE_UNREACHABLE, "unreachable", "VENDOR_UNREACHABLE"),
        (STATES.STATE_UNSPECIFIED, "missing", "VENDOR_NOT_CONFIGURED"),
    ],
)
async def test_a_slot_that_cannot_be_used_is_told_with_its_reason_and_its_vendor_is_not_asked(state, key, reason):
    async with house(KNOWN, slots={"alpha": ()}) as running:
        running.provider("alpha").unusable = [STATES.Slot(slot=1, state=state, reason="why")]
        (told,) = await checked(running, "alpha")
    assert (told.key, told.accepted, told.reason, told.message) == (key, False, reason, "why")
    assert not told.HasField("latency")
    assert running.provider("alpha").checked == []


async def test_only_the_vendors_named_are_asked_and_aliases_are_names():
    async with house(KNOWN) as running:
        told = await checked(running, "First", "alpha")
    assert [(each.vendor, each.slot) for each in told] == [("alpha", 1)]
    assert running.provider("beta").checked == []


async def test_a_vendor_nobody_knows_is_refused_by_its_field():
    async with house(KNOWN) as running:
        with pytest.raises(MeshError) as caught:
            await checked(running, "alpha", "gamma")
    assert caught.value.reason is Reason.UNKNOWN_VENDOR
    assert [field.field for field in caught.value.fields] == ["vendors"]
    assert "alpha, beta, home" in caught.value.message


async def test_a_provider_service_that_is_gone_keeps_the_others_from_nothing():
    async with house(KNOWN) as running:
        await running.stop("alpha")
        told = by_slot(await checked(running))
    gone = told["alpha", 0]
    assert (gone.key, gone.accepted, gone.reason) == ("unreachable", False, "VENDOR_UNREACHABLE")
    assert told["beta", 1].accepted


async def test_a_key_is_told_of_while_a_slower_vendor_is_still_thinking():
    async with house(KNOWN) as running:
        running.provider("alpha").answering.clear()
        call = running.stub.CheckVendors(router_pb2.CheckVendorsRequest(), timeout=10)
        first = {(await call.read()).vendor, (await call.read()).vendor}
        assert first == {"beta", "home"}
        running.provider("alpha").answering.set()
        assert (await call.read()).vendor == "alpha"


async def test_a_vendor_that_is_switched_off_is_told_without_being_dialled():
    configured = mesh(KNOWN, addresses=dict.fromkeys(KNOWN.vendors, "127.0.0.1:1"), switched_off=("beta",))
    async with Vendors(configured, SystemClock()) as vendors:
        ledger = quota_pb2_grpc.QuotaServiceStub(open_channel("127.0.0.1:1"))
        rejections = Rejections(configured, QuotaClient(ledger, ledger))
        (told,) = [each async for each in key_checks.check(key_checks.named(KNOWN, ["beta"]), vendors, rejections)]
    assert (told.slot, told.key, told.message) == (0, "disabled", "beta is disabled by mesh.yaml")
