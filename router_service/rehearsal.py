"""Rehearses requests: real plans and real reserves, but the calls are left out and every vendor serves at once."""

import datetime as dt
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from llmmesh.chat.v1 import chat_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from router_service import demand
from router_service.attempt import Attempt
from router_service.breaker import Gate
from router_service.demand import Demand
from router_service.estimate import BYTES_PER_TOKEN, TOKENS_PER_MESSAGE, TOKENS_PER_PROMPT, Estimator
from router_service.journey import Journey
from router_service.offers import Signals, VendorState
from router_service.offers_left import Batch, OffersLeft, Way
from router_service.planner import Planner
from router_service.prompt_facts import PromptFacts
from router_service.turns import Turns

__all__ = ["LEAST_INPUT", "Journey", "Rehearsal", "Sizes"]
TENANT = "rehearsal"
# Nobody fails: no breaker is open.
ALL_WELL = Way(lambda _planned: Gate.PASS, lambda _planned: 0.0)
DAY = 86_400
# No prompt is estimated at less.
LEAST_INPUT = TOKENS_PER_PROMPT + TOKENS_PER_MESSAGE
Apply = Callable[[quota_pb2.ApplyRequest, float], quota_pb2.ApplyResponse]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Tokens of every request: what it is estimated to need, and what its vendor counts."""

    estimated_input: int
    estimated_output: int
    input: int
    output: int


class Rehearsal:
    """A router for requests that are all alike, each at a moment that is told (Unix seconds).

    Estimates stay as they are: what vendors count teaches nothing here.

    Args:
        mesh: the configuration; every vendor that is not switched off has a key for each of its slots.
        apply: the ledger.
        intent: what is asked for.
        sizes: of each request.
        callers: how many requests are under way at one time; so many holds are open.
    """

    def __init__(self, mesh: Mesh, apply: Apply, intent: router_pb2.Intent, sizes: Sizes, *, callers: int) -> None:
        self._mesh = mesh
        self._apply = apply
        self._intent = intent
        self._facts = _facts(sizes)
        self._usage = chat_pb2.Usage(input_tokens=sizes.input, output_tokens=sizes.output)
        self._callers = callers
        self._planner = Planner(mesh, Estimator())
        self._states = MappingProxyType(_states(mesh))
        self._turns = Turns()
        self._under_way: deque[Attempt] = deque()
        self._ended: list[quota_pb2.Operation] = []
        self._today = dt.date.min
        self._read: tuple[int, Demand] | None = None
        self._number = 0

    def demand(self, moment: float) -> Demand:
        """Return what is asked for, as it is read on that day; models end with the days.

        Raises:
            MeshError: there is no such use case, or it cannot do what is asked for.
        """
        day = int(moment // DAY)
        if self._read is None or self._read[0] != day:
            self._today = dt.datetime.fromtimestamp(moment, dt.UTC).date()
            catalog, caps = self._mesh.catalog, self._mesh.tiers
            self._read = day, demand.read(self._intent, self._facts, catalog, caps, self._today)
        return self._read[1]

    def request(self, moment: float) -> Journey:
        """Serve one request, or find that nobody can; the journey tells."""
        asked = self.demand(moment)
        self._number += 1
        signals = Signals(self._today, self._states, turns=self._turns.now(), chance=self._number)
        plan = self._planner.plan(asked, signals)
        self._turns.take(plan.shared)
        journey = Journey(f"{self._number}", asked, plan)
        left = OffersLeft(plan.offers, ALL_WELL, journey.skip, spreads=asked.spreads)
        while (batch := left.next_batch(replacing=False)) and not self._holds(journey, left, batch, moment):
            pass
        if len(self._under_way) >= self._callers:
            self._end_oldest()
        return journey

    def finish(self, moment: float) -> None:
        """End what is under way."""
        while self._under_way:
            self._end_oldest()
        self._tell([], moment)

    def _holds(self, journey: Journey, left: OffersLeft, batch: Batch, moment: float) -> bool:
        """Hold what has room of a batch and serve; who waits for a turn waits for what is under way to end."""
        answer = self._ask(journey, batch, moment)
        while batch.patient and answer.HasField("denied") and self._under_way:
            self._end_oldest()
            answer = self._ask(journey, batch, moment)
        if answer.HasField("denied"):
            journey.passed_over(answer.denied.denials)
            left.denied(batch, answer.denied.denials)
            return False
        journey.passed_over(answer.held.passed_over)
        attempt = Attempt(f"{self._number}", left.held(batch, answer.held.offer, answer.held.passed_over), moment)
        journey.begin(attempt)
        attempt.serve(self._usage, moment)
        self._under_way.append(attempt)
        return True

    def _ask(self, journey: Journey, batch: Batch, moment: float) -> quota_pb2.Answer:
        self._number += 1
        reserve = quota_pb2.Reserve(
            attempt_id=f"{self._number}",
            tenant=TENANT,
            use_case=journey.demand.use_case.name,
            offers=[planned.amounts() for planned in batch.offers],
            tier=journey.demand.tier,
            beyond_share=journey.demand.use_case.spread_share > 0 and not batch.within_share,
        )
        return self._tell([quota_pb2.Operation(reserve=reserve)], moment).answers[-1]

    def _tell(self, operations: list[quota_pb2.Operation], moment: float) -> quota_pb2.ApplyResponse:
        """Have the ledger do something; what has ended meanwhile travels with it."""
        told = self._apply(quota_pb2.ApplyRequest(operations=[*self._ended, *operations]), moment)
        self._ended.clear()
        return told

    def _end_oldest(self) -> None:
        self._ended.append(quota_pb2.Operation(settle=self._under_way.popleft().settle()))


def _facts(sizes: Sizes) -> PromptFacts:
    """Return the facts of a prompt that is estimated at so many tokens."""
    text = int((sizes.estimated_input - LEAST_INPUT) * BYTES_PER_TOKEN)
    return PromptFacts(text_bytes=text, messages=1, max_output_tokens=sizes.estimated_output)


def _states(mesh: Mesh) -> dict[str, VendorState]:
    """Return every vendor as if all its keys were there."""
    return {
        vendor: VendorState(slots=tuple(sorted({1, *settings.slots})))
        if settings.enabled
        else VendorState(reason="disabled", detail=f"{vendor} is disabled by {settings.disabled_by}")
        for vendor, settings in mesh.vendors.items()
    }
