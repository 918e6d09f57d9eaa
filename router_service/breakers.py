"""The breakers of one router: one for each vendor's endpoint, one for each offer that fails, with their metrics."""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2
from prometheus_client import Counter, Gauge

from meshkit import durations, logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service.breaker import FORCED, Breaker, Gate, Settings, State

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
# Faults of one model at an endpoint that is well.
OFFER_FAULTS = frozenset({Reason.VENDOR_NOT_FOUND, Reason.VENDOR_RETIRED})
# In the metadata of faults between processes of the mesh: they say nothing of the vendor's endpoint.
OWN_HOP = "own_hop"
# In the metadata of faults that are of the model: it answers, but too slowly.
TOO_SLOW = "too_slow"
# An opening is told so much longer than it lasts: who closes it in this time is heard by all.
AFTERLIFE = 30.0
# What an operator forces holds as long as the ledger keeps anything closed.
FORCED_SECONDS = 32 * 86_400
FAILING = "failing"
STATE = Gauge("mesh_breaker_state", "1 for the state a breaker is in.", ["subject", "state"])
TRANSITIONS = Counter("mesh_breaker_transitions_total", "Times a breaker entered a state.", ["subject", "state"])
log = logs.get("breakers")


class Ledger(Protocol):
    """Where openings and closings are told, for the other routers."""

    def observe(self, observe: quota_pb2.Observe) -> None:
        """Pass on what was seen."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A call that may go out to an offer, "vendor/model"; `probes` are the breakers that wait for its end."""

    vendor: str
    model: str
    probes: frozenset[str] = frozenset()


class Breakers:
    """Every breaker of this router, by subject: a vendor for its endpoint, "vendor/model" for an offer.

    Args:
        vendors: whose endpoints.
        settings: of each breaker.
        clock: monotonic.
        ledger: is told of openings and closings; without one nobody is.
    """

    def __init__(self, vendors: Iterable[str], settings: Settings, clock: Clock, ledger: Ledger | None = None) -> None:
        self._clock = clock
        self._settings = settings
        self._ledger = ledger
        self._breakers: dict[str, Breaker] = {}
        self.watch(vendors)

    def watch(self, vendors: Iterable[str]) -> None:
        """Have a breaker for each of these endpoints too; those there are stay as they are."""
        for vendor in vendors:
            self._breaker(vendor)

    def open_until(self) -> Mapping[str, float]:
        """Return the subjects no call may go to now, with the monotonic moment of their next probe."""
        now = self._clock.monotonic()
        return {name: self._until(b, now) for name, b in self._breakers.items() if not b.admits(now)}

    def standing(self) -> Mapping[str, tuple[State, float]]:
        """Return every breaker: its state, and in how many seconds its probe is due."""
        now = self._clock.monotonic()
        return {name: (b.state, max(0.0, b.probe_at - now)) for name, b in self._breakers.items()}

    def not_closed(self) -> Mapping[str, tuple[State, float]]:
        """Return every breaker that is not closed."""
        return {name: told for name, told in self.standing().items() if told[0] is not State.CLOSED}

    def gate(self, vendor: str, model: str) -> Gate:
        """Say what the breakers of an offer have to say to a call, the strictest of them."""
        now = self._clock.monotonic()
        return max((breaker.gate(now) for _, breaker in self._of(vendor, model)), key=lambda gate: gate.value)

    def admits(self, vendor: str, model: str = "") -> bool:
        """Say whether a call may go out that has others to fall back on."""
        return self.gate(vendor, model) in (Gate.PASS, Gate.PROBE)

    def probe_at(self, vendor: str, model: str) -> float:
        """Return the monotonic moment when an offer may be probed, infinite if an operator closed the way."""
        now = self._clock.monotonic()
        return max((self._until(breaker, now) for _, breaker in self._of(vendor, model)), default=0.0)

    def claim(self, vendor: str, model: str, *, last_resort: bool = False) -> Passage | None:
        """Make the next call to an offer the probe of those of its breakers that are not closed, None if it may not."""
        gate, now = self.gate(vendor, model), self._clock.monotonic()
        if gate is not Gate.PROBE and not (last_resort and gate in (Gate.WAIT, Gate.LAST, Gate.PASS)):
            return None
        probes = set()
        for name, breaker in self._of(vendor, model):
            before = breaker.state
            if breaker.claim(now, last_resort=last_resort):
                probes.add(name)
            self._changed(name, before)
        return self._enter(Passage(vendor, model, frozenset(probes)))

    def enter(self, vendor: str, model: str) -> Passage:
        """A call goes out that is no probe; its end is to be told."""
        return self._enter(Passage(vendor, model))

    def refuse(self, passage: Passage, seconds: float) -> None:
        """A claimed call does not go out: another router is probing, and may be asked again after so long."""
        now = self._clock.monotonic()
        for name in passage.probes:
            self._breakers[name].refuse(now, seconds)
        self.abandoned(passage)

    def served(self, passage: Passage, *, slow: bool = False) -> None:
        """The endpoint answered well; `slow` says that the model took too long to begin."""
        self._record(passage, endpoint=True, offer=not slow)

    def failed(self, passage: Passage, fault: MeshError) -> None:
        """A call failed: a fault counts against what it is of, an answered refusal shows that the endpoint is well."""
        failure = fault.detail(provider_pb2.AttemptFailure)
        answered = failure is not None and failure.sent == provider_pb2.AttemptFailure.SENT_ANSWERED
        if OWN_HOP in fault.metadata:
            self._record(passage, endpoint=None, offer=None)
        elif TOO_SLOW in fault.metadata:
            self._record(passage, endpoint=True, offer=False)
        elif fault.reason in ENDPOINT_FAULTS:
            self._record(passage, endpoint=False, offer=None)
        else:
            offer = False if fault.reason in OFFER_FAULTS else None
            self._record(passage, endpoint=True if answered else None, offer=offer)

    def abandoned(self, passage: Passage) -> None:
        """The caller went away; nothing was learned."""
        self._record(passage, endpoint=None, offer=None)

    def heard_open(self, subject: str, seconds: float) -> None:
        """Another router has opened a breaker, for so long from now."""
        breaker, now = self._breaker(subject), self._clock.monotonic()
        before = breaker.state
        breaker.heard_open(now + seconds, now)
        self._show_change(subject, before)

    def heard_closed(self, subject: str) -> None:
        """Another router has closed a breaker."""
        breaker = self._breaker(subject)
        before = breaker.state
        breaker.heard_closed()
        self._show_change(subject, before)

    def heard_forced(self, subject: str, state: State | None) -> None:
        """An operator has forced a breaker, or with None left it to itself again."""
        breaker = self._breaker(subject)
        before = breaker.state
        breaker.force(state, self._clock.monotonic())
        self._show_change(subject, before)

    def force(self, subject: str, state: State | None) -> None:
        """Force a breaker in the whole mesh, or with None leave it to itself again."""
        self.heard_forced(subject, state)
        for reason in (FAILING, State.FORCED_OPEN, State.FORCED_CLOSED):
            self._tell(subject, reason, 0)
        if state is not None:
            self._tell(subject, state, FORCED_SECONDS)

    def reset(self, subject: str) -> None:
        """Forget every failure of a subject; other routers close its breaker."""
        breaker = self._breaker(subject)
        before = breaker.state
        breaker.reset()
        for reason in (FAILING, State.FORCED_OPEN, State.FORCED_CLOSED):
            self._tell(subject, reason, 0)
        self._show_change(subject, before)

    def _enter(self, passage: Passage) -> Passage:
        for _, breaker in self._of(passage.vendor, passage.model):
            breaker.enter()
        return passage

    def _record(self, passage: Passage, *, endpoint: bool | None, offer: bool | None) -> None:
        if offer is False:
            self._breaker(passage.model)
        for name, breaker in self._of(passage.vendor, passage.model):
            before = breaker.state
            succeeded = endpoint if name == passage.vendor else offer
            breaker.record(succeeded, self._clock.monotonic(), probe=name in passage.probes)
            self._changed(name, before)

    def _of(self, vendor: str, model: str) -> Iterator[tuple[str, Breaker]]:
        yield vendor, self._breakers[vendor]
        if model in self._breakers and model != vendor:
            yield model, self._breakers[model]

    def _breaker(self, subject: str) -> Breaker:
        if subject not in self._breakers:
            self._breakers[subject] = Breaker(self._settings, random.random)
            _show(subject, State.CLOSED)
        return self._breakers[subject]

    def _until(self, breaker: Breaker, now: float) -> float:
        if breaker.state is State.FORCED_OPEN:
            return float("inf")
        return now if breaker.state in (State.CLOSED, *FORCED) else breaker.probe_at

    def _changed(self, subject: str, before: State) -> None:
        """Tell everybody of a change that this router has seen itself."""
        breaker = self._breakers[subject]
        reopened = breaker.state is State.OPEN and before is not State.OPEN
        if reopened:
            self._tell(subject, FAILING, breaker.probe_at - self._clock.monotonic() + AFTERLIFE)
        elif breaker.state is State.CLOSED and before is not State.CLOSED:
            self._tell(subject, FAILING, 0)
        self._show_change(subject, before)

    def _show_change(self, subject: str, before: State) -> None:
        state = self._breakers[subject].state
        if state is before:
            return
        _show(subject, state)
        TRANSITIONS.labels(subject, state.value).inc()
        log.warning("breaker", subject=subject, before=before.value, state=state.value)

    def _tell(self, subject: str, reason: str, seconds: float) -> None:
        if self._ledger is None:
            return
        observe = quota_pb2.Observe(offer=f"breaker/{subject}#1", scope="slot", reason=reason, opened=not seconds)
        if seconds:
            observe.closed_for.CopyFrom(durations.to_proto(seconds))
        self._ledger.observe(observe)


def _show(subject: str, state: State) -> None:
    for each in State:
        STATE.labels(subject, each.value).set(each is state)
