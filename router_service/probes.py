"""Sends one probe at a time to a subject that keeps failing: one in the whole mesh, by a hold in the ledger."""

import itertools
from dataclasses import dataclass

from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from meshkit.errors import MeshError
from router_service.breakers import Breakers, Passage
from router_service.planner import Planned
from router_service.quota_client import QuotaClient

# Who pays for a hold that costs nothing; no budget is declared for it.
TENANT, USE_CASE = "mesh", "probe"
# How long the ledger may take to say who probes, in seconds; while it is silent each router probes for itself.
ANSWERED_WITHIN = 1.0
# A hold lives so long unless it is extended, and who was refused one asks again after about as long, in seconds.
LIVES, ASKED_AGAIN = 10.0, 1.0
FULL = frozenset({quota_pb2.Denial.CAUSE_BUDGET, quota_pb2.Denial.CAUSE_RECOVERING, quota_pb2.Denial.CAUSE_COOLING})


@dataclass(frozen=True, slots=True)
class Probe:
    """A call that may go out, and what is held for it in the ledger; `lease` is how long that lives, in seconds."""

    passage: Passage
    holds: tuple[str, ...] = ()
    lease: float = 0.0


class Probes:
    """Who may probe. `incarnation` makes the names of holds unique for ever."""

    def __init__(self, quota: QuotaClient, breakers: Breakers, incarnation: str) -> None:
        self._quota = quota
        self._breakers = breakers
        self._names = (f"probe/{incarnation}/{number}" for number in itertools.count(1))

    async def take(self, planned: Planned, *, last_resort: bool) -> Probe | None:
        """Return the probe of an offer whose breaker is open, None when this call may not be it."""
        offer = planned.offer
        passage = self._breakers.claim(offer.ref.vendor, offer.model_text, last_resort=last_resort)
        if passage is None:
            return None
        probe = Probe(passage)
        try:
            for subject in sorted(passage.probes):
                held = await self._hold(subject)
                if held is None:
                    self._breakers.refuse(passage, ASKED_AGAIN)
                    self.ended(probe)
                    return None
                probe = Probe(passage, (*probe.holds, *held.holds), held.lease or probe.lease)
        except BaseException:  # cancelled, or a ledger that refuses: it goes on
            self.dropped(probe)
            raise
        return probe

    def ended(self, probe: Probe) -> None:
        """Let others probe."""
        for attempt_id in probe.holds:
            self._quota.settle(quota_pb2.Settle(attempt_id=attempt_id, outcome=quota_pb2.OUTCOME_RELEASED))

    def dropped(self, probe: Probe) -> None:
        """Give up a probe that did not go out."""
        self._breakers.abandoned(probe.passage)
        self.ended(probe)

    async def _hold(self, subject: str) -> Probe | None:
        """Hold the one probe of a subject, None when another router does."""
        reserve = quota_pb2.Reserve(
            attempt_id=next(self._names),
            tenant=TENANT,
            use_case=USE_CASE,
            offers=[quota_pb2.OfferAmounts(offer=f"probe/{subject}#1")],
            ttl=durations.to_proto(LIVES),
        )
        nobody = Passage("", "")
        try:
            answer = await self._quota.reserve(reserve, ANSWERED_WITHIN, goes_on=True)
        except MeshError:
            return Probe(nobody)
        if isinstance(answer, quota_pb2.Held):
            return Probe(nobody, (reserve.attempt_id,), durations.to_seconds(answer.lease))
        return None if answer.denials[0].cause in FULL else Probe(nobody)
