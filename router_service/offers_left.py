"""Keeps what a request may still try: offers in the order of the plan, what is worth waiting for, the last resort."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from router_service.breaker import Gate
from router_service.planner import Planned

MAX_OFFERS = 8
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Batch:
    """Offers to ask the ledger for together.

    A patient one waits until one of them has room; others wait so many seconds at most. One within shares wants room in
    each account's share, too. The offer of a probe is alone: its breaker is not closed. The last resort is a probe
    before its time.
    """

    offers: Sequence[Planned]
    patient: bool = False
    within_share: bool = False
    wait: float = 0.0
    probe: bool = False
    last_resort: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """What the breakers say: what to do with a call to an offer, and when it may be probed, a monotonic moment."""

    gate: Callable[[Planned], Gate]
    probe_at: Callable[[Planned], float]


class OffersLeft:
    """The offers nobody has tried yet, and the turns: local offers without room, for a local model never refuses.

    Args:
        offers: in the order of the plan.
        way: asks the breakers.
        skip: is told the reason when offers are left out, and how many; fewer when one of them is tried after all.
        spreads: accounts have shares: an offer that is passed over comes again when all shares are used up.
        shut: offers behind open breakers, for when nothing else is left.
        short_wait: how many seconds a request rather waits than fails, when only a rate is in the way.
    """

    def __init__(
        self,
        offers: Sequence[Planned],
        way: Way,
        skip: Callable[[str, int], None],
        *,
        spreads: bool = False,
        shut: Iterable[Planned] = (),
        short_wait: float = 0.0,
    ) -> None:
        self._within_share = spreads
        self._share_used: list[Planned] = []
        self._taken: dict[str, Planned] = {}
        self._ranks = {planned.offer.text: rank for rank, planned in enumerate(offers)}
        self._untried = deque(offers)
        self._turns: dict[str, Planned] = {}
        self._soon: dict[str, Planned] = {}
        self._shut = list(shut)
        self._denied_last: list[Planned] = []
        self._way = way
        self._skip = skip
        self._short_wait = short_wait

    def __bool__(self) -> bool:
        return bool(self._untried or self._share_used or self._turns)

    def next_batch(self, *, replacing: bool) -> Batch | None:
        """Return what to ask for next, None when nothing is left.

        Only the last batch is patient, and only when it has been asked in vain: who waits cannot share a call with
        others. But an attempt that is replaced keeps its room for its successor only while that one waits.
        """
        if self._within_share and (batch := self._next_within_share()):
            return batch
        offers, probe = self._next_untried()
        if self._untried or probe:
            return Batch(offers, probe=probe)
        turns = {**self._turns, **_local(offers)}
        if turns and (replacing or not offers):
            return self._patient(turns, offers)
        if offers:
            return Batch(offers)
        return self._short() or self._last_resort()

    def held(self, batch: Batch, offer: str, passed_over: Iterable[quota_pb2.Denial] = ()) -> Planned:
        """Note that one of a batch had room and return it: those before it had none, those behind it are not tried."""
        place = next(place for place, planned in enumerate(batch.offers) if planned.offer.text == offer)
        self._passed_over(batch, batch.offers[:place])
        self._note_soon(batch, passed_over)
        self._untried.extendleft(reversed(batch.offers[place + 1 :]))
        return batch.offers[place]

    def denied(self, batch: Batch, denials: Iterable[quota_pb2.Denial] = ()) -> None:
        """Note that none of a batch had room, and why; who has waited for its turn in vain does not wait again."""
        denials = list(denials)
        if batch.within_share:
            self._passed_over(batch, batch.offers)
            places = {denial.offer for denial in denials if denial.unit == "concurrency" and not batch.patient}
            self._taken |= {text: planned for text, planned in _local(batch.offers).items() if text in places}
        elif not batch.patient:
            self._passed_over(batch, batch.offers)
            self._denied_last = [planned for planned in batch.offers if not planned.offer.vendor.local]
            self._note_soon(batch, denials)

    def refused(self, batch: Batch) -> None:
        """Note that somebody else is probing; who was the last resort has none any more."""
        if batch.last_resort:
            self._skip("breaker_open", len(batch.offers))
        for planned in () if batch.last_resort else batch.offers:
            self._put_aside(planned)

    def wait_for(self, planned: Planned) -> None:
        """Try an offer again when everything else has been tried and it is this request's turn."""
        self._turns[planned.offer.text] = planned

    def again(self, planned: Planned) -> None:
        """Try an offer a second time, before any other."""
        self._untried.appendleft(planned)

    def any(self, fits: Callable[[Planned], bool]) -> bool:
        """Tell whether anything is left that fits."""
        return any(map(fits, (*self._untried, *self._share_used, *self._turns.values())))

    def keep(self, fits: Callable[[Planned], bool]) -> None:
        """Leave out every offer that does not fit."""
        self._untried = deque(filter(fits, self._untried))
        self._share_used = list(filter(fits, self._share_used))
        for known in (self._turns, self._soon, self._taken):
            for text in [text for text, planned in known.items() if not fits(planned)]:
                del known[text]
        self._shut = list(filter(fits, self._shut))

    def _next_within_share(self) -> Batch | None:
        """Return offers to ask for within their shares, and then those whose place is waited for; then go beyond."""
        offers, probe = self._next_untried()
        if offers:
            return Batch(offers, within_share=True, probe=probe)
        taken, self._taken = list(self._taken.values()), {}
        if taken:
            self._share_used = [planned for planned in self._share_used if planned not in taken]
            return Batch(taken, patient=True, within_share=True)
        # Begin again with those who were passed over; who was tried, or left out, is not.
        self._within_share = False
        self._untried, self._share_used = deque(sorted(self._share_used, key=self._rank)), []
        return None

    def _passed_over(self, batch: Batch, offers: Sequence[Planned]) -> None:
        """Note who had no room: within shares that may be for the share alone, so everybody is asked again."""
        if batch.within_share:
            self._share_used += offers
        else:
            self._turns.update(_local(offers))

    def _next_untried(self) -> tuple[list[Planned], bool]:
        """Take the next offers that breakers let pass, or one that would be a probe."""
        offers: list[Planned] = []
        while self._untried and len(offers) < MAX_OFFERS:
            gate = self._way.gate(self._untried[0])
            if gate is Gate.PROBE and offers:
                break
            planned = self._untried.popleft()
            if gate is Gate.PROBE:
                return [planned], True
            if gate is Gate.PASS:
                offers.append(planned)
            else:
                self._put_aside(planned)
        return offers, False

    def _put_aside(self, planned: Planned) -> None:
        """Leave an offer for the end: its breaker lets nothing through now."""
        self._shut.append(planned)
        self._skip("breaker_open", 1)

    def _patient(self, turns: dict[str, Planned], offers: Sequence[Planned]) -> Batch:
        others = [planned for planned in (*self._denied_last, *offers) if planned.offer.text not in turns]
        self._turns, self._denied_last = {}, []
        chosen = [*turns.values(), *others][:MAX_OFFERS]
        return Batch(sorted(chosen, key=self._rank), patient=True)

    def _short(self) -> Batch | None:
        """Return what will have room in a moment, all together, once."""
        chosen, self._soon = list(self._soon.values())[:MAX_OFFERS], {}
        return Batch(sorted(chosen, key=self._rank), wait=self._short_wait) if chosen else None

    def _last_resort(self) -> Batch | None:
        """Return the least bad of what is behind open breakers, once; what an operator has shut is not among it."""
        shut, self._shut = [planned for planned in self._shut if self._way.probe_at(planned) < NEVER], []
        if not shut:
            return None
        self._skip("breaker_open", -1)
        return Batch([min(shut, key=self._way.probe_at)], probe=True, last_resort=True)

    def _note_soon(self, batch: Batch, denials: Iterable[quota_pb2.Denial]) -> None:
        if batch.wait or batch.within_share:
            return
        offers = {planned.offer.text: planned for planned in batch.offers}
        for denial in denials:
            if denial.HasField("fits_in") and durations.to_seconds(denial.fits_in) <= self._short_wait:
                self._soon[denial.offer] = offers[denial.offer]

    def _rank(self, planned: Planned) -> int:
        return self._ranks[planned.offer.text]


def _local(offers: Sequence[Planned]) -> dict[str, Planned]:
    return {planned.offer.text: planned for planned in offers if planned.offer.vendor.local}
