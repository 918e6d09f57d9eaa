"""The breakers of one router: one for each vendor's endpoint, with their metrics."""

import random
from collections.abc import Mapping

from llmmesh.provider.v1 import provider_pb2
from prometheus_client import Counter, Gauge

from meshkit import logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service.breaker import Breaker, Settings, State

# Faults of the endpoint itself. A 429 or a 400 comes from an endpoint that is well.
ENDPOINT_FAULTS = frozenset(
    {
        Reason.VENDOR_UNREACHABLE,
        Reason.VENDOR_SILENT,
        Reason.VENDOR_SERVER,
        Reason.VENDOR_OVERLOAD,
        Reason.VENDOR_INCOMPLETE,
    }
)
# In the metadata of faults between processes of the mesh: they say nothing of the vendor's endpoint.
OWN_HOP = "own_hop"
STATE = Gauge("mesh_breaker_state", "1 for the state a breaker is in.", ["subject", "state"])
TRANSITIONS = Counter("mesh_breaker_transitions_total", "Times a breaker entered a state.", ["subject", "state"])
log = logs.get("breakers")


class Breakers:
    """Every vendor's breaker; vendors are named by id."""

    def __init__(self, vendors: Mapping[str, object], settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._breakers = {vendor: Breaker(settings, random.random) for vendor in vendors}
        for vendor in vendors:
            _show(vendor, State.CLOSED)

    def open_until(self) -> Mapping[str, float]:
        """Return the vendors no call may go to now, with the monotonic moment of their next probe."""
        now = self._clock.monotonic()
        return {v: b.probe_at for v, b in self._breakers.items() if not b.admits(now)}

    def not_closed(self) -> Mapping[str, tuple[State, float]]:
        """Return every breaker that is not closed: its state, and in how many seconds its probe is due."""
        now = self._clock.monotonic()
        return {
            vendor: (breaker.state, max(0.0, breaker.probe_at - now))
            for vendor, breaker in self._breakers.items()
            if breaker.state is not State.CLOSED
        }

    def admits(self, vendor: str) -> bool:
        """Say whether a call may go out to the vendor now."""
        return self._breakers[vendor].admits(self._clock.monotonic())

    def enter(self, vendor: str) -> bool:
        """A call goes out; return whether it is the vendor's probe, to be told when it has ended."""
        breaker = self._breakers[vendor]
        before = breaker.state
        probe = breaker.enter(self._clock.monotonic())
        self._changed(vendor, before)
        return probe

    def served(self, vendor: str, *, probe: bool) -> None:
        """The endpoint answered well."""
        self._record(vendor, probe=probe, succeeded=True)

    def failed(self, vendor: str, fault: MeshError, *, probe: bool) -> None:
        """A call failed: faults of the endpoint count against it, an answered refusal shows that it is well."""
        failure = fault.detail(provider_pb2.AttemptFailure)
        answered = failure is not None and failure.sent == provider_pb2.AttemptFailure.SENT_ANSWERED
        succeeded = False if fault.reason in ENDPOINT_FAULTS else True if answered else None
        self._record(vendor, probe=probe, succeeded=None if OWN_HOP in fault.metadata else succeeded)

    def abandoned(self, vendor: str, *, probe: bool) -> None:
        """The caller went away; nothing was learned."""
        self._record(vendor, probe=probe, succeeded=None)

    def _record(self, vendor: str, *, probe: bool, succeeded: bool | None) -> None:
        breaker = self._breakers[vendor]
        before = breaker.state
        breaker.record(succeeded, self._clock.monotonic(), probe=probe)
        self._changed(vendor, before)

    def _changed(self, vendor: str, before: State) -> None:
        state = self._breakers[vendor].state
        if state is before:
            return
        _show(vendor, state)
        TRANSITIONS.labels(vendor, state.value).inc()
        log.warning("breaker", subject=vendor, before=before.value, state=state.value)


def _show(vendor: str, state: State) -> None:
    for each in State:
        STATE.labels(vendor, each.value).set(each is state)
