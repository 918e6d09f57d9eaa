"""Witnesses what really arrived at one vendor; its counts end only on command."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from provider_services.simulator.quotas import Denial, Entry, Gauge, Quotas, Subject, settle
from provider_services.simulator.rows import LimitRow
from provider_services.simulator.windows import Rolling

KEPT_ARRIVALS = 100_000
SHOWN_CLOSINGS = 100
COUNTS = (
    "arrivals", "admitted", "refused", "rejected", "faulted", "client_closed",
    "tokens_in", "tokens_out", "in_flight", "max_in_flight", "minute_max", "minute_max_admitted",
)  # fmt: skip


@dataclass(slots=True)
class Tally:
    """The counts of one vendor or of one of its models."""

    arrivals: int = 0
    admitted: int = 0
    refused: int = 0
    rejected: int = 0
    faulted: int = 0
    client_closed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    minute_max: int = 0
    minute_max_admitted: int = 0
    _minute: Rolling = field(default_factory=lambda: Rolling(60))
    _minute_admitted: Rolling = field(default_factory=lambda: Rolling(60))

    def arrive(self, now: float) -> None:
        """Count an arrival and the busiest sixty seconds so far."""
        self.arrivals += 1
        self._minute.add(now, 1)
        self.minute_max = max(self.minute_max, self._minute.used(now))

    def enter(self, now: float) -> None:
        """Count an admitted request as being served."""
        self.admitted += 1
        self._minute_admitted.add(now, 1)
        self.minute_max_admitted = max(self.minute_max_admitted, self._minute_admitted.used(now))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def shown(self) -> dict[str, int]:
        """Return the counts for the control interface."""
        return {name: getattr(self, name) for name in COUNTS}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who knocked: the account a key belongs to and the last four characters of the key."""

    account: str
    key_last4: str = ""


@dataclass(slots=True)
class Arrival:
    """One request as the vendor saw it, from its arrival to its end."""

    number: int
    at: float
    received_at: float
    operation: str
    model: str
    visitor: Visitor
    stream: bool
    tallies: tuple[Tally, ...]
    outcome: str = "open"
    status: int = 0
    fault: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    planned: int = 0
    closed_at: float | None = None
    entries: tuple[Entry, ...] | None = None

    @property
    def tokens(self) -> int:
        """Return what counts towards token quotas: the plan while it runs, the truth afterwards."""
        return self.tokens_in + (self.planned if self.outcome == "open" else self.tokens_out)

    def shown(self) -> dict[str, Any]:
        """Return the row for the control interface; of the key only its last four characters."""
        return {
            "number": self.number,
            "at": self.at,
            "received_at": self.received_at,
            "operation": self.operation,
            "model": self.model,
            "account": self.visitor.account,
            "key_last4": self.visitor.key_last4,
            "stream": self.stream,
            "admitted": self.entries is not None,
            "outcome": self.outcome,
            "status": self.status,
            "fault": self.fault,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "closed_at": self.closed_at,
        }


class Witness:
    """Counts the arrivals at one vendor and says which of them its quotas let in."""

    def __init__(self, limits: tuple[LimitRow, ...], *, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._row_limits = limits
        self._clock = clock
        self._wall = wall
        self._number = 0
        self._start()

    def _start(self) -> None:
        self._quotas = Quotas(self._row_limits)
        self._total = Tally()
        self._models: dict[str, Tally] = {}
        self._closings: deque[Arrival] = deque(maxlen=SHOWN_CLOSINGS)
        self.arrivals: deque[Arrival] = deque(maxlen=KEPT_ARRIVALS)
        self.other_calls = 0

    def reset(self) -> None:
        """Forget all counts and go back to the limits of the row."""
        self._start()

    @property
    def limits(self) -> tuple[LimitRow, ...]:
        """Return the limits in force."""
        return self._quotas.limits

    def replace_limits(self, limits: tuple[LimitRow, ...]) -> None:
        """Enforce other limits from now on; what has already arrived counts against them."""
        self._quotas = Quotas(limits)
        for arrival in self.arrivals:
            if arrival.entries is not None:
                subject = Subject(arrival.visitor.account, arrival.model)
                arrival.entries = self._quotas.charge(subject, arrival.tokens, arrival.at)
                if arrival.outcome != "open":
                    settle(arrival.entries, arrival.tokens)

    def record(self, operation: str, model: str, visitor: Visitor, *, hosted: bool, stream: bool) -> Arrival:
        """Count a request that has arrived; only hosted models get counts of their own."""
        self._number += 1
        now = self._clock()
        tallies = (self._total, self._models.setdefault(model, Tally())) if hosted else (self._total,)
        for tally in tallies:
            tally.arrive(now)
        arrival = Arrival(self._number, now, self._wall(), operation, model, visitor, stream, tallies)
        self.arrivals.append(arrival)
        return arrival

    def reject(self, arrival: Arrival, status: int) -> None:
        """End a request that was never a candidate: a bad key, an unknown model, a malformed body."""
        arrival.outcome, arrival.status = "rejected", status
        for tally in arrival.tallies:
            tally.rejected += 1

    def admit(self, arrival: Arrival, tokens_in: int, planned: int) -> Denial | None:
        """Let a request in and charge every window that covers it, or name the limit that forbids it."""
        subject = Subject(arrival.visitor.account, arrival.model)
        now = self._clock()
        denial = self._quotas.deny(subject, tokens_in + planned, now)
        if denial is not None:
            arrival.outcome = "refused"
            for tally in arrival.tallies:
                tally.refused += 1
            return denial
        arrival.tokens_in, arrival.planned = tokens_in, planned
        arrival.entries = self._quotas.charge(subject, arrival.tokens, now)
        for tally in arrival.tallies:
            tally.enter(now)
        return None

    def finish(self, arrival: Arrival, outcome: str) -> None:
        """End an admitted request; later calls for the same request change nothing."""
        if arrival.outcome != "open" or arrival.entries is None:
            return
        arrival.outcome = outcome
        if outcome == "client_closed":
            arrival.closed_at = self._wall()
            self._closings.append(arrival)
        settle(arrival.entries, arrival.tokens)
        for tally in arrival.tallies:
            tally.in_flight -= 1
            tally.tokens_in += arrival.tokens_in
            tally.tokens_out += arrival.tokens_out
            tally.faulted += bool(arrival.fault)
            tally.client_closed += outcome == "client_closed"

    def gauge(self, arrival: Arrival, unit: str, per: str) -> Gauge | None:
        """Tell the tightest limit of a unit and period for the one who asked."""
        subject = Subject(arrival.visitor.account, arrival.model)
        return self._quotas.gauge(subject, unit, per, self._clock())

    def state(self) -> dict[str, Any]:
        """Return all counts for the control interface."""
        wall = self._wall()
        return {
            **self._total.shown(),
            "other_calls": self.other_calls,
            "models": {name: tally.shown() for name, tally in self._models.items()},
            "closings": [
                {**arrival.shown(), "ago_s": wall - (arrival.closed_at or wall)} for arrival in self._closings
            ],
        }
