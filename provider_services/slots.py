"""Holds a vendor's keys and the connections they are used on; nothing else ever sees a key."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.keys import check_key, read_keys
from catalog.model import Vendor
from catalog.settings import Mesh
from meshkit import logs
from meshkit.errors import Reason
from meshkit.secret import Secret
from provider_services import failures
from provider_services.proxies import proxy_for
from provider_services.upstream import Upstream

STATES = {
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


def read_slots(vendor: Vendor, mesh: Mesh, env: Mapping[str, str]) -> tuple[SlotState, ...]:
    """Return every slot the environment or mesh.yaml speaks of; slot 1 always."""
    found = read_keys(vendor, env)
    for warning in found.warnings:
        log.warning("keys differ", vendor=vendor.id, what=warning)
    numbers = {1, *found.slots, *mesh.vendors[vendor.id].slots}
    return tuple(_slot(vendor, mesh, number, found.slots.get(number)) for number in sorted(numbers))


def _slot(vendor: Vendor, mesh: Mesh, number: int, key: Secret | None) -> SlotState:
    endpoint = mesh.endpoint(vendor.id, number)
    checked = check_key(vendor, key.reveal() if key else "")
    state, reason = STATES[checked.state], checked.reason
    if not mesh.vendors[vendor.id].enabled:
        state, reason = DescribeResponse.STATE_DISABLED, f"switched off by {mesh.vendors[vendor.id].disabled_by}"
    elif checked.state == "ok" and not endpoint.url:
        state, reason = DescribeResponse.STATE_MISSING, f"no endpoint: set {' or '.join(endpoint.missing)}"
    needed = key if vendor.auth.kind != "none" else None
    return SlotState(number, state, reason, endpoint.url, needed)


class Slots:
    """The slots of one vendor, with one pool of connections for each endpoint they call.

    Args:
        vendor: its row.
        states: its slots.
        env: where the proxy variables are; a local vendor is always called directly.
    """

    def __init__(self, vendor: Vendor, states: tuple[SlotState, ...], env: Mapping[str, str]) -> None:
        self._vendor = vendor
        self._env = env
        self._lines: dict[int, Line] = {}
        self.states = states

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
