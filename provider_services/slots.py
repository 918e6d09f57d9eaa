"""Holds a vendor's keys and the connections they are used on; nothing else ever sees a key."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.keys import EnvironmentKeys, check_key, read_keys, variable_of
from catalog.model import Vendor
from catalog.settings import Mesh
from meshkit import logs
from meshkit.errors import Reason
from meshkit.secret import Secret
from provider_services import failures
from provider_services.proxies import proxy_for
from provider_services.upstream import Upstream

STATES: Mapping[str, DescribeResponse.State.ValueType] = {
    "ok": DescribeResponse.STATE_CONFIGURED,
    "missing": DescribeResponse.STATE_MISSING,
    "malformed": DescribeResponse.STATE_MALFORMED,
}
log = logs.get("slots")


@dataclass(frozen=True, slots=True)
class Line:
    """What it takes to call the vendor with one slot: a connection to its endpoint, and a key unless none is needed."""

    upstream: Upstream
    key: Secret | None

    def scrub(self, text: str) -> str:
        """Return a text of the vendor's without the key, should the vendor have repeated it."""
        return text if self.key is None else self.key.scrub(text)


@dataclass(frozen=True, slots=True)
class SlotState:
    """One slot: where it calls, and whether and why it can be used."""

    number: int
    state: DescribeResponse.State.ValueType
    reason: str
    endpoint: str
    key: Secret | None


@dataclass(frozen=True, slots=True)
class ReadSlots:
    """Every slot of a vendor, and what is odd about the variables the keys were read from."""

    states: tuple[SlotState, ...]
    warnings: tuple[str, ...] = ()


def read_slots(vendor: Vendor, mesh: Mesh, env: Mapping[str, str]) -> ReadSlots:
    """Return every slot the environment or mesh.yaml speaks of; slot 1 always."""
    found = read_keys(vendor, env)
    for warning in found.warnings:
        log.warning("keys", vendor=vendor.id, what=warning)
    numbers = sorted({1, *found.slots, *mesh.vendors[vendor.id].slots})
    return ReadSlots(tuple(_slot(vendor, mesh, number, found) for number in numbers), found.warnings)


def _slot(vendor: Vendor, mesh: Mesh, number: int, found: EnvironmentKeys) -> SlotState:
    endpoint = mesh.endpoint(vendor.id, number)
    state, reason = _key_state(vendor, mesh, number, found)
    if not mesh.vendors[vendor.id].enabled:
        state, reason = DescribeResponse.STATE_DISABLED, f"switched off by {mesh.vendors[vendor.id].disabled_by}"
    elif state == DescribeResponse.STATE_CONFIGURED and not endpoint.url:
        state, reason = DescribeResponse.STATE_NO_ENDPOINT, f"no endpoint: set {' or '.join(endpoint.missing)}"
    keyed = vendor.auth.kind != "none" and number in found.slots
    return SlotState(number, state, reason, endpoint.url, found.slots[number].key if keyed else None)


def _key_state(
    vendor: Vendor, mesh: Mesh, number: int, found: EnvironmentKeys
) -> tuple[DescribeResponse.State.ValueType, str]:
    """Judge the key of a slot, and name the variable it stands in or should stand in."""
    at = found.slots.get(number)
    checked = check_key(vendor, at.key.reveal() if at else "")
    if at is None and checked.state == "missing":
        where = f"; get one at {vendor.key_page}" if vendor.key_page else ""
        return DescribeResponse.STATE_MISSING, f"{checked.reason}: set {variable_of(vendor, number)}{where}"
    if at is not None and checked.state == "malformed":
        return DescribeResponse.STATE_MALFORMED, f"{at.place} {checked.reason}"
    if at is not None and (twin := _under_another_account(vendor, mesh, number, found)):
        return DescribeResponse.STATE_MALFORMED, f"{at.place} holds the same key as {twin}"
    return STATES[checked.state], ""


def _under_another_account(vendor: Vendor, mesh: Mesh, number: int, found: EnvironmentKeys) -> str:
    """Find an earlier slot with the same key under another account: one key would have the quotas of two."""
    key, account = found.slots[number].key.reveal(), mesh.slot(vendor.id, number).account
    for other, at in found.slots.items():
        theirs = mesh.slot(vendor.id, other).account
        if other < number and at.key.reveal() == key and theirs != account:
            place = f"mesh.yaml: vendors.{vendor.id}.slots"
            return (
                f"{at.place}, and a key has one account; {place} says {theirs} for {other} and {account} for {number}"
            )
    return ""


class Slots:
    """The slots of one vendor, with one pool of connections for each endpoint they call.

    Args:
        vendor: its row.
        read: its slots.
        env: where the proxy variables are; a local vendor is always called directly.
    """

    def __init__(self, vendor: Vendor, read: ReadSlots, env: Mapping[str, str]) -> None:
        self._vendor = vendor
        self._env = env
        self._lines: dict[int, Line] = {}
        self.states = read.states
        self.warnings = read.warnings

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        upstreams: dict[str, Upstream] = {}
        for slot in self.states:
            if slot.state != DescribeResponse.STATE_CONFIGURED:
                continue
            if slot.endpoint not in upstreams:
                upstreams[slot.endpoint] = await self._stack.enter_async_context(self._upstream(slot.endpoint))
            self._lines[slot.number] = Line(upstreams[slot.endpoint], slot.key)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def usable(self) -> list[int]:
        """The numbers of the slots that can be used."""
        return list(self._lines)

    def line(self, number: int) -> Line:
        """Return a slot's connection and key; raises MeshError VENDOR_NOT_CONFIGURED. Zero means slot 1."""
        line = self._lines.get(number or 1)
        if line is None:
            slot = next((slot for slot in self.states if slot.number == (number or 1)), None)
            why = slot.reason if slot else "no such slot"
            message = f"{self._vendor.id}: slot {number or 1} cannot be used: {why}"
            raise failures.failure(Reason.VENDOR_NOT_CONFIGURED, message, failures.NOTHING)
        return line

    def _upstream(self, endpoint: str) -> Upstream:
        auth = self._vendor.auth
        return Upstream(
            endpoint,
            headers=self._vendor.headers,
            key_header=auth.header.lower() if auth.kind == "header" else "authorization",
            proxy=None if self._vendor.local else proxy_for(endpoint, self._env),
        )
