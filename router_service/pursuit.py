"""Serves one request: reserve, attempt, settle, and again until one attempt serves."""

from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from meshkit.errors import MeshError, Reason
from router_service import observations
from router_service.attempt import SERVED, Attempt
from router_service.journey import FINAL, Journey
from router_service.leases import Lease
from router_service.offers_left import Batch, OffersLeft
from router_service.order import Order, Tools
from router_service.planner import Planned
from router_service.stops import incomplete, no_turn, too_late
from router_service.vendors import Event, Limits

# Kept for the way back to the caller.
MARGIN = 0.05
# A hold outlives its request by this, so that a settle that waits for a restarting quota service still finds it.
HOLD_AFTERLIFE = 30.0
# The share of the remaining time one attempt may be silent for while others could still be tried.
SHARE = 0.6
# The ledger's word that patience has ended must be back before the deadline.
LAST_WORD = 0.15
# The part of the remaining time in which a local offer may serve within its share before others serve beyond theirs.
WITHIN_SHARE = 0.5
# Patience travels in whole milliseconds.
ROUNDING = 0.005
# Faults of a server of ours that has too much to do: its callers wait for their turn once more.
BUSY = frozenset({Reason.VENDOR_THROTTLED, Reason.VENDOR_OVERLOAD})
# Seconds of silence that say something of an endpoint, whatever the caller's deadline.
PATIENT = 5.0


class Pursuit:
    """One request on its way; `events()` may be iterated once."""

    def __init__(self, tools: Tools, order: Order, journey: Journey) -> None:
        self._tools = tools
        self._order = order
        self._journey = journey
        spreads = journey.demand.spreads
        self._left = OffersLeft(journey.plan.offers, tools.breakers.admits, journey.skip, spreads=spreads)
        self._unsettled: Attempt | None = None

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
                    if not self._goes_on(attempt, error):
                        break
                else:
                    return
        finally:
            self._settle()
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
            try:
                attempt_id, answer = await self._ask(batch)
            except MeshError as error:
                if attempt := self._unmetered(batch, error):
                    return attempt
                continue
            if isinstance(answer, quota_pb2.Denied):
                self._journey.passed_over(answer.denials)
                self._left.denied(batch)
                continue
            self._journey.passed_over(answer.passed_over)
            attempt = Attempt(attempt_id, self._left.held(batch, answer.offer), self._tools.clock.monotonic())
            attempt.labels = self._journey.demand.labels
            attempt.lease = durations.to_seconds(answer.lease)
            self._journey.begin(attempt)
            return attempt
        return None

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
            return None
        self._settle()
        if before := batch.offers.index(planned):
            self._journey.skip("ledger_silent", before)
        number = next(self._tools.numbers)
        attempt = Attempt(f"{number}", self._left.held(batch, planned.offer.text), self._tools.clock.monotonic())
        attempt.unmetered = True
        self._journey.begin(attempt)
        return attempt

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
        patience = self._patience(batch, remaining)
        if patience:
            operation.patience.CopyFrom(durations.to_proto(patience))
        goes_on = any(map(self._goes_on_alone, batch.offers))
        answer = await self._tools.quota.reserve(operation, remaining, goes_on=goes_on)
        self._unsettled = None
        waited = self._tools.clock.monotonic() - began
        lasting = batch.patient and not batch.within_share and waited > patience - ROUNDING
        if lasting and isinstance(answer, quota_pb2.Denied):
            self._journey.passed_over(answer.denials)
            raise no_turn(batch, waited)
        return attempt_id, answer

    def _patience(self, batch: Batch, remaining: float) -> float:
        """Return how long to wait for a turn: until the rest of the deadline is what an answer usually takes.

        Who were let in later would get no whole answer and only keep the server from those behind. However slow
        answers were lately, half of the time is for waiting.
        """
        if not batch.patient:
            return 0.0
        if batch.within_share:
            return remaining * WITHIN_SHARE
        usual = max(self._tools.estimator.seconds(planned.offer.model_text) for planned in batch.offers)
        return max(remaining - max(usual, LAST_WORD), remaining / 2)

    async def _answer(self, attempt: Attempt) -> AsyncGenerator[Event]:
        """Make the call and keep the attempt's books; a broken call raises, a finished one is settled."""
        vendor, breakers = attempt.planned.offer.ref.vendor, self._tools.breakers
        attempt.probe = breakers.enter(vendor)
        self._unsettled = attempt
        try:
            speeds = self._tools.speeds.following(attempt, self._tools.clock, streamed=self._order.streamed)
            with Lease(self._tools.quota, attempt.id, attempt.lease), speeds:
                async with aclosing(self._call(attempt)) as events:
                    async for event in events:
                        yield event
            if attempt.outcome == "":
                raise incomplete()
        except MeshError as error:
            if attempt.outcome == SERVED:
                return  # the answer is whole; how its call ends is nobody's business
            attempt.fail(error, self._tools.clock.monotonic())
            if self._hurried(attempt, error):
                breakers.abandoned(vendor, probe=attempt.probe)
            else:
                breakers.failed(vendor, error, probe=attempt.probe)
            if error.reason is Reason.VENDOR_AUTH:
                self._tools.rejections.rejected(vendor, attempt.planned.offer.slot)
            local = attempt.planned.offer.vendor.local
            self._observe(observations.from_fault(attempt.offer_text, error, local=local))
            raise
        finally:
            if attempt.outcome == "":  # the caller went away
                attempt.cancel(self._tools.clock.monotonic())
                breakers.abandoned(vendor, probe=attempt.probe)

    def _hurried(self, attempt: Attempt, error: MeshError) -> bool:
        """Tell whether it was the caller's own deadline that made a silence too long: no fault of the endpoint."""
        usual = self._tools.timeouts.first_token[attempt.planned.offer.model.model_class]
        waited = self._tools.clock.monotonic() - attempt.began
        return error.reason is Reason.VENDOR_SILENT and waited < min(usual, PATIENT)

    async def _call(self, attempt: Attempt) -> AsyncGenerator[Event]:
        """Forward a vendor's events, or hold them back until the last one; note what they tell."""
        held_back: deque[Event] = deque()
        async with aclosing(self._order.ask(attempt.planned.offer, self._limits(attempt))) as events:
            async for event in events:
                if attempt.outcome == SERVED:
                    continue  # nothing counts after the finish
                finished = self._note(attempt, event)
                held_back.append(event)
                if not finished and (self._order.held_back or attempt.first_token_at is None):
                    continue
                attempt.committed = True
                while held_back:
                    yield held_back.popleft()

    def _note(self, attempt: Attempt, event: Event) -> bool:
        """Keep the books of one event; tell whether it was the last."""
        now = self._tools.clock.monotonic()
        if isinstance(event, provider_pb2.EmbedResponse):
            self._served(attempt, event.usage, event.observations, now)
            return True
        if isinstance(event, provider_pb2.GenerateResponse):
            attempt.note_whole(event.completion)
            self._served(attempt, event.completion.usage, event.observations, now)
            return True
        if event.HasField("finish"):
            self._served(attempt, event.finish.usage, event.finish.observations, now)
            return True
        attempt.note(event.deltas, now)
        return False

    def _served(
        self, attempt: Attempt, usage: chat_pb2.Usage, learned: Iterable[provider_pb2.Observation], now: float
    ) -> None:
        attempt.serve(usage, now)
        offer = attempt.planned.offer
        if offer.vendor.local:
            self._tools.estimator.answered(offer.model_text, now - attempt.began)
        self._tools.breakers.served(offer.ref.vendor, probe=attempt.probe)
        self._tools.rejections.served(offer.ref.vendor, offer.slot)
        self._observe(observations.from_answer(offer.text, learned))
        if not attempt.usage.estimated:
            counted = attempt.usage.input_tokens, attempt.usage.output_tokens
            self._tools.estimator.learn(self._journey.demand.facts, offer.model_text, *counted)

    def _goes_on(self, attempt: Attempt, error: MeshError) -> bool:
        """Decide whether another offer may still serve after this fault."""
        if attempt.committed and not self._order.restarts:
            return False
        offer = attempt.planned.offer
        if error.reason is Reason.VENDOR_CONTEXT:
            self._left.keep_longer_contexts(offer.model.context_window)
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

    def _limits(self, attempt: Attempt) -> Limits:
        timeouts = self._tools.timeouts
        remaining = self._remaining()
        if remaining <= 0:
            raise too_late()
        share = remaining * SHARE if self._left else remaining
        if not self._order.streamed:
            # The first piece of a whole answer is all of it: only the share of the deadline can be its limit.
            whole = min(share, timeouts.total)
            return Limits(total=whole, first_token=whole, idle=timeouts.idle)
        first_token = min(timeouts.first_token[attempt.planned.offer.model.model_class], share)
        return Limits(total=min(remaining, timeouts.total), first_token=first_token, idle=timeouts.idle)

    def _remaining(self) -> float:
        return self._order.deadline - self._tools.clock.monotonic() - MARGIN

    def _observe(self, learned: Iterable[quota_pb2.Observe]) -> None:
        for observe in learned:
            self._tools.quota.observe(observe)
