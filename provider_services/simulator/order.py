"""Holds one admitted request with all that its delivery needs."""

from dataclasses import dataclass

from aiohttp import web

from provider_services.simulator.arrivals import Arrival
from provider_services.simulator.ask import Answer, Ask, Stamp, Wire
from provider_services.simulator.fault_words import FaultWords
from provider_services.simulator.faults import Fault
from provider_services.simulator.pace import Pace


@dataclass(frozen=True, slots=True)
class Order:
    """Who asked, what is answered, in whose words, how fast, and what is to go wrong."""

    request: web.Request
    ask: Ask
    answer: Answer
    stamp: Stamp
    headers: dict[str, str]
    fault: Fault | None
    arrival: Arrival
    wire: Wire
    pace: Pace

    @property
    def words(self) -> FaultWords:
        """Return what can word this request's faults."""
        return FaultWords(self.wire, self.ask.model.id, self.stamp.request_id)
