"""Says of every slot of a vendor whether it can be used now, and of the vendor what follows from that."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from catalog.mesh import Mesh
from catalog.model import Vendor
from router_service.offers import DescribedSlot, VendorState

USABLE = ("active", "cooling")
# What a closure makes of a slot, the one that lasts first.
CLOSED = {"auth": "rejected", "quota": "exhausted", "throttled": "cooling"}


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a vendor closed a subject, and until when, Unix seconds."""

    reason: str
    until: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of vendors beside their own words.

    `closures` are in the ledger, by subject; `rejected` are slots whose keys were rejected, by vendor.
    """

    today: dt.date
    closures: Mapping[str, Closed] = field(default_factory=dict)
    rejected: Mapping[str, Collection[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot; `state` and `reason` as in the contract's VendorSlot, `until` Unix seconds."""

    number: int
    account: str
    plan: str
    state: str
    reason: str = ""
    until: float | None = None

    @property
    def usable(self) -> bool:
        """Tell whether requests use it."""
        return self.state in USABLE


@dataclass(frozen=True, slots=True)
class Status:
    """What a vendor is, in the words of the contract: status, the reason in one word, the reason for people."""

    word: str
    code: str = ""
    reason: str = ""


def slot_states(vendor: Vendor, state: VendorState, mesh: Mesh, findings: Findings) -> tuple[SlotState, ...]:
    """Return every slot of a vendor: as described, unless its vendor has ended or has closed it since."""
    found = []
    for described in _described(vendor, state, mesh):
        row = mesh.slot(vendor.id, described.number)
        slot = SlotState(described.number, row.account, row.plan, described.state, described.reason)
        if vendor.retired_by(findings.today):
            slot = replace(slot, state="retired", reason=_ended(vendor))
        elif described.state == "active":
            slot = _as_left_by(vendor, slot, findings)
        found.append(slot)
    return tuple(found)


def status(vendor: Vendor, state: VendorState, slots: Iterable[SlotState], today: dt.date) -> Status:
    """Return what a vendor is: retired for good, active while one slot can be used, else rejected or inactive."""
    if vendor.retired_by(today):
        return Status("retired", "retired", _ended(vendor))
    if any(slot.usable for slot in slots):
        return Status("active")
    closed = [slot for slot in slots if slot.state in CLOSED.values()]
    if not closed:
        return Status("inactive", state.reason, state.detail)
    if any(slot.state == "rejected" for slot in closed):
        return Status("rejected", "key_rejected", _together(closed))
    return Status("inactive", "quota", _together(closed))


def _together(slots: Sequence[SlotState]) -> str:
    """Say why none of these slots can be used: once, when it is the same for all."""
    told = {slot.reason for slot in slots}
    return told.pop() if len(told) == 1 else "; ".join(f"slot {slot.number}: {slot.reason}" for slot in slots)


def _described(vendor: Vendor, state: VendorState, mesh: Mesh) -> Iterable[DescribedSlot]:
    """Return what the provider service says; while it says nothing, what is known without it."""
    if state.described:
        return state.described
    numbers = sorted({1, *mesh.vendors[vendor.id].slots})
    return (DescribedSlot(number, state.reason or "unreachable", state.detail) for number in numbers)


def _as_left_by(vendor: Vendor, slot: SlotState, findings: Findings) -> SlotState:
    """Return a slot as what its vendor said of it left it."""
    subjects = (f"{vendor.id}#{slot.number}", f"{vendor.id}/{slot.account}")
    found = [findings.closures[subject] for subject in subjects if subject in findings.closures]
    closed = sorted(found, key=lambda closure: list(CLOSED).index(closure.reason))
    if closed:
        state, until = CLOSED[closed[0].reason], closed[0].until
        return replace(slot, state=state, reason=_why(vendor, state, until), until=until)
    if slot.number in findings.rejected.get(vendor.id, ()):
        return replace(slot, state="rejected", reason=_REJECTED.format(vendor.id, "with the next request"))
    return slot


_REJECTED = "{} rejected the key; it is tried again {}"


def _why(vendor: Vendor, state: str, until: float) -> str:
    moment = f"{dt.datetime.fromtimestamp(until, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    match state:
        case "rejected":
            return _REJECTED.format(vendor.id, f"at {moment}")
        case "exhausted":
            return f"out of credit or quota, says {vendor.id}; it is asked again at {moment}"
    return f"{vendor.id} asks for a pause until {moment}"


def _ended(vendor: Vendor) -> str:
    return f"ended on {vendor.retired_on}"
