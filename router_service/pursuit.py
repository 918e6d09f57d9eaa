"""Serves one request: reserve, attempt, settle, and again until one attempt serves."""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing

from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from meshkit.errors import MeshError, Reason
from router_service import retries, spans
from router_service.attempt import SERVED, Attempt
from router_service.books import Books
from router_service.breaker import Gate
from router_service.journey import FINAL, Journey
from router_service.leases import Lease
from router_service.offers_left import Batch, OffersLeft, Way
from router_service.order import Order, Tools
from router_service.planner import Planned
from router_service.probes import Probe
from router_service.stops import incomplete, no_turn, too_late
from router_service.vendors import Event, Limits

# Kept for the way back to the caller.
MARGIN = 0.05
# A hold outlives its request by this, so that a settle that waits for a restarting quota service still finds it.
HOLD_AFTERLIFE = 30.0
# Patience travels in whole milliseconds.
ROUNDING = 0.005
# Faults of a server of ours that has too much to do: its callers wait for their turn once more.
BUSY = frozenset({Reason.VENDOR_THROTTLED, Reason.VENDOR_OVERLOAD})
# A second call to the same offer goes out after so many seconds at most: not all at the same moment.
RETRY_PAUSE = 0.05


class Pursuit:
    """One request on its way; `events()` may be iterated once."""

    def __init__(self, tools: Tools, order: Order, journey: Journey) -> None:
        self._tools = tools
        self._order = order
        self._journey = journey
        self._left = OffersLeft(
            journey.plan.offers,
            Way(self._gate, self._probe_at),
            journey.skip,
            spreads=journey.demand.spreads,
            shut=journey.plan.shut,
            short_wait=tools.timeouts.short_wait,
        )
        self._unsettled: Attempt | None = None
        self._probe: Probe | None = None
        self._retried = False
        self._books = Books(tools, journey.demand.facts)

    async def events(self) -> AsyncGenerator[tuple[Attempt, Event]]:
        """Yield what the serving attempt says; an attempt that fails before it committed leaves no trace here.

        Raises:
            MeshError: nobody served, or the answer broke off; its RouteFailure tells the journey.
        """
        fault: MeshError | None = None
        try:
            while attempt := await self._next_attempt():
                try:
                    async with aclosing(self._answer(attempt)) as events:
                        async for event in events:
                            yield attempt, event
                except MeshError as error:
                    fault = error
                    if not await self._goes_on(attempt, error):
                        break
                else:
                    return
        finally:
            self._settle()
            self._drop_probe()
        raise self._failure(fault)

    def _failure(self, fault: MeshError | None) -> MeshError:
        """Make the error for a request nobody served; silence until the caller's own deadline is no vendor's fault."""
        silent = fault is not None and fault.reason is Reason.VENDOR_SILENT and self._journey.broken is None
        if silent and self._remaining() < MARGIN:
            return self._journey.stopped(too_late())
        return self._journey.failure(fault)

    async def _next_attempt(self) -> Attempt | None:
        try:
            return await self._reserve()
        except MeshError as error:
            raise self._journey.stopped(error) from None

    async def _reserve(self) -> Attempt | None:
        """Hold the budgets of the next offer that has room; None when no offer is left.

        A failed attempt keeps what it holds for its successor, but not a place that was lent: others wait for it.
        """
        if self._unsettled is not None and self._unsettled.lease:
            self._settle()
        while batch := self._left.next_batch(replacing=self._unsettled is not None):
            if batch.probe and not await self._may_probe(batch):
                continue
            try:
                attempt_id, answer = await self._ask(batch)
            except MeshError as error:
                if attempt := self._unmetered(batch, error):
                    return attempt
                continue
            if isinstance(answer, quota_pb2.Denied):
                self._journey.passed_over(answer.denials)
                self._left.denied(batch, answer.denials)
                self._drop_probe()
                continue
            self._journey.passed_over(answer.passed_over)
            planned = self._left.held(batch, answer.offer, answer.passed_over)
            attempt = Attempt(attempt_id, planned, self._tools.clock.monotonic())
            attempt.labels = self._journey.demand.labels
            attempt.lease = durations.to_seconds(answer.lease)
            return self._begin(attempt)
        return None

    def _begin(self, attempt: Attempt) -> Attempt:
        attempt.probe, self._probe = self._probe, None
        self._journey.begin(attempt)
        return attempt

    async def _may_probe(self, batch: Batch) -> bool:
        """Tell whether this request is the one whose call is the probe."""
        (planned,) = batch.offers
        self._probe = await self._tools.probes.take(planned, last_resort=batch.last_resort)
        if self._probe is None:
            self._left.refused(batch)
        return self._probe is not None

    def _drop_probe(self) -> None:
        """Give up a probe that did not go out."""
        if self._probe is not None:
            self._tools.probes.dropped(self._probe)
        self._probe = None

    def _gate(self, planned: Planned) -> Gate:
        return self._tools.breakers.gate(planned.offer.ref.vendor, planned.offer.model_text)

    def _probe_at(self, planned: Planned) -> float:
        return self._tools.breakers.probe_at(planned.offer.ref.vendor, planned.offer.model_text)

    def _unmetered(self, batch: Batch, error: MeshError) -> Attempt | None:
        """Begin an attempt that nothing holds, for the ledger is silent; None when a later batch may have one.

        Raises:
            MeshError: the ledger's, when every offer that is left needs it.
        """
        planned = next(filter(self._goes_on_alone, batch.offers), None)
        if error.reason is not Reason.QUOTA_UNAVAILABLE or not (planned or self._left.any(self._goes_on_alone)):
            raise error
        if planned is None:
            self._journey.skip("ledger_silent", len(batch.offers))
            self._left.denied(batch)
            self._drop_probe()
            return None
        self._settle()
        if before := batch.offers.index(planned):
            self._journey.skip("ledger_silent", before)
        number = next(self._tools.numbers)
        attempt = Attempt(f"{number}", self._left.held(batch, planned.offer.text), self._tools.clock.monotonic())
        attempt.unmetered = True
        return self._begin(attempt)

    def _goes_on_alone(self, planned: Planned) -> bool:
        return self._tools.without_ledger.allows(planned, self._order.tenant, self._journey.demand.use_case.name)

    def _settle(self) -> None:
        """Tell the ledger what became of the last attempt, if it was held."""
        if self._unsettled is not None and not self._unsettled.unmetered:
            self._tools.quota.settle(self._unsettled.settle())
        self._unsettled = None

    async def _ask(self, batch: Batch) -> tuple[str, quota_pb2.Held | quota_pb2.Denied]:
        """Ask the ledger which offer has room; return the id that was asked under, and the answer."""
        # Never used again, not even when a failed request comes back under its own id.
        number, order = next(self._tools.numbers), self._order
        attempt_id = f"{order.tenant}/{order.request_id}/{self._tools.incarnation}/{number}"
        began, remaining = self._tools.clock.monotonic(), self._remaining()
        if remaining <= 0:
            raise too_late()
        operation = self._operation(attempt_id, batch, remaining)
        usual = max(self._tools.estimator.seconds(planned.offer.model_text) for planned in batch.offers)
        if patience := spans.patience(batch, remaining, usual):
            operation.patience.CopyFrom(durations.to_proto(patience))
        goes_on = any(map(self._goes_on_alone, batch.offers))
        answer = await self._tools.quota.reserve(operation, remaining, goes_on=goes_on)
        self._unsettled = None
        waited = self._tools.clock.monotonic() - began
        waits_no_longer = batch.patient and waited > patience - ROUNDING and not batch.within_share
        if waits_no_longer and isinstance(answer, quota_pb2.Denied):
            self._journey.passed_over(answer.denials)
            raise no_turn(batch, waited)
        return attempt_id, answer

    async def _answer(self, attempt: Attempt) -> AsyncGenerator[Event]:
        """Make the call and keep the attempt's books; a broken call raises, a finished one is settled."""
        offer, probe, tools = attempt.planned.offer, attempt.probe, self._tools
        passage = tools.breakers.enter(offer.ref.vendor, offer.model_text) if probe is None else probe.passage
        attempt.passage = passage
        self._unsettled = attempt
        try:
            with ExitStack() as stack:
                stack.enter_context(tools.speeds.following(attempt, tools.clock, streamed=self._order.streamed))
                for attempt_id, seconds in attempt.leases():
                    stack.enter_context(Lease(tools.quota, attempt_id, seconds))
                async with aclosing(self._call(attempt)) as events:
                    async for event in events:
                        yield event
            if attempt.outcome == "":
                raise incomplete()
        except MeshError as error:
            if attempt.outcome == SERVED:
                return  # the answer is whole; how its call ends is nobody's business
            self._books.failed(attempt, passage, error)
            raise
        finally:
            if attempt.outcome == "":  # the caller went away
                attempt.cancel(tools.clock.monotonic())
                tools.breakers.abandoned(passage)
            if probe is not None:
                tools.probes.ended(probe)

    async def _call(self, attempt: Attempt) -> AsyncGenerator[Event]:
        """Forward a vendor's events, or hold them back until the last one; note what they tell."""
        held_back: deque[Event] = deque()
        async with aclosing(self._order.ask(attempt.planned.offer, self._limits(attempt.planned))) as events:
            async for event in events:
                if attempt.outcome == SERVED:
                    continue  # nothing counts after the finish
                finished = self._books.note(attempt, event)
                held_back.append(event)
                if not finished and (self._order.held_back or attempt.first_token_at is None):
                    continue
                attempt.committed = True
                while held_back:
                    yield held_back.popleft()

    async def _goes_on(self, attempt: Attempt, error: MeshError) -> bool:
        """Decide whether another offer may still serve after this fault."""
        if attempt.committed and not self._order.restarts:
            return False
        offer = attempt.planned.offer
        if error.reason is Reason.VENDOR_CONTEXT:
            self._left.keep(lambda planned: planned.offer.model.context_window > offer.model.context_window)
        if error.reason is Reason.VENDOR_SILENT:  # its other keys open the same door
            self._left.keep(lambda planned: planned.offer.model_text != offer.model_text)
        if await self._once_more(attempt, error):
            self._left.again(attempt.planned)
        if error.reason in BUSY and offer.vendor.local:
            self._left.wait_for(attempt.planned)
        return error.reason not in FINAL and self._remaining() > 0

    def _operation(self, attempt_id: str, batch: Batch, remaining: float) -> quota_pb2.Reserve:
        operation = quota_pb2.Reserve(
            attempt_id=attempt_id,
            tenant=self._order.tenant,
            use_case=self._journey.demand.use_case.name,
            offers=[planned.amounts() for planned in batch.offers],
            ttl=durations.to_proto(min(remaining, self._tools.timeouts.total) + HOLD_AFTERLIFE),
            tier=self._journey.demand.tier,
            beyond_share=self._journey.demand.use_case.spread_share > 0 and not batch.within_share,
        )
        if self._unsettled is not None and not self._unsettled.unmetered:
            operation.instead_of.CopyFrom(self._unsettled.settle())
        return operation

    async def _once_more(self, attempt: Attempt, error: MeshError) -> bool:
        """Decide whether the same offer is called a second time, and wait a moment if so."""
        if self._retried or attempt.received_bytes or not retries.deserves(error) or self._remaining() <= 0:
            return False
        if self._gate(attempt.planned) is not Gate.PASS or not self._tools.retries.take():
            return False
        self._retried = True
        jitter = random.random()  # noqa: S311 - no secret
        await asyncio.sleep(min(RETRY_PAUSE, self._remaining()) * jitter)
        return True

    def _limits(self, planned: Planned) -> Limits:
        remaining = self._remaining()
        if remaining <= 0:
            raise too_late()
        timeouts, others = self._tools.timeouts, bool(self._left)
        if self._order.streamed:
            return spans.limits(timeouts, planned.offer, remaining, others=others)
        most = self._journey.demand.most_output
        return spans.whole_limits(timeouts, planned.offer, remaining, most, others=others)

    def _remaining(self) -> float:
        return self._order.deadline - self._tools.clock.monotonic() - MARGIN
