"""Has vendors asked whether they accept our keys, all at once, and tells of each slot when its answer is there."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping

from llmmesh.provider.v1 import provider_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, Vendor
from meshkit.errors import MeshError, Reason
from router_service.demand import vendor_named
from router_service.rejections import Rejections
from router_service.vendors import Vendors

Told = router_pb2.CheckVendorsResponse
STATES = provider_pb2.DescribeResponse
# What each state of a slot is called; a provider service of a newer contract may know more.
WORDS: Mapping[int, str] = {
    **{number: name.removeprefix("STATE_").lower() for name, number in STATES.State.items()},
    STATES.STATE_UNSPECIFIED: "missing",
    STATES.STATE_CONFIGURED: "well_formed",
}


def named(catalog: Catalog, names: Iterable[str]) -> tuple[Vendor, ...]:
    """Return the vendors of these names, all without a name; raises MeshError UNKNOWN_VENDOR."""
    found = [vendor_named(name, "vendors", catalog) for name in names]
    return tuple({vendor.id: vendor for vendor in found}.values()) or tuple(catalog.vendors.values())


async def check(vendors: Iterable[Vendor], connected: Vendors, rejections: Rejections) -> AsyncGenerator[Told]:
    """Ask about every slot of these vendors; a provider service that is gone is told of, never raised.

    What a vendor says of a key holds at once: an accepted one is used again, a rejected one no longer.
    """
    checks = [asyncio.create_task(_vendor(vendor, connected, rejections)) for vendor in vendors]
    try:
        for done in asyncio.as_completed(checks):
            for told in await done:
                yield told
    finally:
        for each in checks:
            each.cancel()


async def _vendor(vendor: Vendor, connected: Vendors, rejections: Rejections) -> list[Told]:
    try:
        described = await connected.describe(vendor.id)
    except MeshError as error:
        key = "disabled" if error.reason is Reason.VENDOR_NOT_CONFIGURED else "unreachable"
        return [Told(vendor=vendor.id, key=key, reason=error.reason.value, message=error.message)]
    told = await asyncio.gather(*(_slot(vendor, slot, connected) for slot in described.slots))
    for slot in told:
        if slot.accepted or slot.reason == Reason.VENDOR_AUTH.value:
            rejections.checked(vendor.id, slot.slot, accepted=slot.accepted)
    return told


async def _slot(vendor: Vendor, slot: provider_pb2.DescribeResponse.Slot, connected: Vendors) -> Told:
    told = Told(vendor=vendor.id, slot=slot.slot, key=WORDS.get(slot.state, "missing"), message=slot.reason)
    if slot.state != STATES.STATE_CONFIGURED:
        gone = slot.state == STATES.STATE_UNREACHABLE
        told.reason = (Reason.VENDOR_UNREACHABLE if gone else Reason.VENDOR_NOT_CONFIGURED).value
        return told
    if vendor.auth.kind == "none":
        told.key = "not_needed"
    try:
        result = await connected.check(vendor.id, slot.slot)
    except MeshError as error:
        told.reason, told.message = error.reason.value, error.message
        return told
    told.accepted, told.reason, told.message = result.accepted, result.reason, result.message
    told.latency.CopyFrom(result.latency)
    return told
