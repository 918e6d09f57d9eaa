"""Reads what a provider service says of itself: which slots can be used, and why the others cannot."""

from collections.abc import Mapping

from llmmesh.provider.v1 import provider_pb2

from catalog.model import Vendor
from router_service.offers import DescribedSlot, VendorState

STATES = provider_pb2.DescribeResponse
SLOT_STATES: Mapping[int, str] = {
    STATES.STATE_CONFIGURED: "active",
    STATES.STATE_MISSING: "missing",
    STATES.STATE_MALFORMED: "malformed",
    STATES.STATE_DISABLED: "disabled",
    STATES.STATE_UNREACHABLE: "unreachable",
    STATES.STATE_NO_ENDPOINT: "no_endpoint",
}
REASONS: Mapping[int, tuple[str, str]] = {
    STATES.STATE_MISSING: ("not_configured", "no API key for {vendor}"),
    STATES.STATE_MALFORMED: ("key_malformed", "the key of {vendor} is malformed: {reason}"),
    STATES.STATE_DISABLED: ("disabled", "{vendor} is disabled: {reason}"),
    STATES.STATE_UNREACHABLE: ("unreachable", "{vendor} is unreachable: {reason}"),
    STATES.STATE_NO_ENDPOINT: ("no_endpoint", "{vendor} has {reason}"),
}


def vendor_state(vendor: Vendor, described: provider_pb2.DescribeResponse) -> VendorState:
    """Read a description: the usable slots, or the reason why there are none."""
    usable = tuple(slot.slot for slot in described.slots if slot.state == STATES.STATE_CONFIGURED)
    slots = tuple(DescribedSlot(s.slot, SLOT_STATES.get(s.state, "missing"), s.reason) for s in described.slots)
    warnings = tuple(described.warnings)
    if usable:
        known = vendor.models if vendor.local and described.models else ()
        lacks = frozenset(known).difference(model.id for model in described.models)
        return VendorState(slots=usable, lacks=lacks, described=slots, warnings=warnings)
    worst = max(described.slots, key=lambda slot: slot.state, default=STATES.Slot(state=STATES.STATE_MISSING))
    reason, detail = REASONS.get(worst.state, REASONS[STATES.STATE_MISSING])
    told = detail.format(vendor=vendor.id, reason=worst.reason)
    return VendorState(reason=reason, detail=told, described=slots, warnings=warnings)
