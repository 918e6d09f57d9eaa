"""Keeps what a request may still try: offers in the order of the plan, and local ones it will wait for in the end."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from router_service.planner import Planned

MAX_OFFERS = 8


@dataclass(frozen=True, slots=True)
class Batch:
    """Offers to ask the ledger for together.

    A patient batch waits until one of them has room; one within shares wants room in each account's share, too, and
    when it waits it is not for too long: there is more to try.
    """

    offers: Sequence[Planned]
    patient: bool = False
    within_share: bool = False


class OffersLeft:
    """The offers nobody has tried yet, and the turns: local offers without room, for a local model never refuses.

    Args:
        offers: in the order of the plan.
        admits: tells whether the breaker of a vendor lets a call through.
        skip: is told the reason when an offer is left out.
        spreads: accounts have shares: an offer that is passed over comes again when all shares are used up.
    """

    def __init__(
        self,
        offers: Sequence[Planned],
        admits: Callable[[str], bool],
        skip: Callable[[str], None],
        *,
        spreads: bool = False,
    ) -> None:
        self._within_share = spreads
        self._share_used: list[Planned] = []
        self._waited = False
        self._ranks = {planned.offer.text: rank for rank, planned in enumerate(offers)}
        self._untried = deque(offers)
        self._turns: dict[str, Planned] = {}
        self._denied_last: list[Planned] = []
        self._admits = admits
        self._skip = skip

    def __bool__(self) -> bool:
        return bool(self._untried or self._share_used or self._turns)

    def next_batch(self, *, replacing: bool) -> Batch | None:
        """Return what to ask for next, None when nothing is left.

        Only the last batch is patient, and only when it has been asked in vain: who waits cannot share a call with
        others. But an attempt that is replaced keeps its room for its successor only while that one waits.
        """
        if self._within_share:
            if offers := self._next_untried():
                return Batch(offers, within_share=True)
            if offers := self._local_within_shares():
                return Batch(offers, patient=True, within_share=True)
            self._go_beyond_shares()
        offers = self._next_untried()
        if self._untried:
            return Batch(offers)
        turns = {**self._turns, **_local(offers)}
        if not turns or (offers and not replacing):
            return Batch(offers) if offers else None
        others = [planned for planned in (*self._denied_last, *offers) if planned.offer.text not in turns]
        self._turns, self._denied_last = {}, []
        chosen = [*turns.values(), *others][:MAX_OFFERS]
        return Batch(sorted(chosen, key=lambda planned: self._ranks[planned.offer.text]), patient=True)

    def held(self, batch: Batch, offer: str) -> Planned:
        """Note that one of a batch had room and return it: those before it had none, those behind it are not tried."""
        place = next(place for place, planned in enumerate(batch.offers) if planned.offer.text == offer)
        self._passed_over(batch, batch.offers[:place])
        self._untried.extendleft(reversed(batch.offers[place + 1 :]))
        return batch.offers[place]

    def denied(self, batch: Batch) -> None:
        """Note that none of a batch had room; who has waited for its turn in vain does not wait again."""
        if batch.within_share or not batch.patient:
            self._passed_over(batch, batch.offers)
        if not (batch.patient or batch.within_share):
            self._denied_last = [planned for planned in batch.offers if not planned.offer.vendor.local]

    def wait_for(self, planned: Planned) -> None:
        """Try an offer again when everything else has been tried and it is this request's turn."""
        self._turns[planned.offer.text] = planned

    def any(self, fits: Callable[[Planned], bool]) -> bool:
        """Tell whether anything is left that fits."""
        return any(map(fits, (*self._untried, *self._share_used, *self._turns.values())))

    def keep_longer_contexts(self, than: int) -> None:
        """Leave out every offer whose context window is not longer."""
        self._untried = deque(p for p in self._untried if p.offer.model.context_window > than)
        self._share_used = [p for p in self._share_used if p.offer.model.context_window > than]
        self._turns = {text: p for text, p in self._turns.items() if p.offer.model.context_window > than}

    def _passed_over(self, batch: Batch, offers: Sequence[Planned]) -> None:
        """Note who had no room: within shares that may be for the share alone, so everybody is asked again."""
        if batch.within_share:
            self._share_used += offers
        else:
            self._turns.update(_local(offers))

    def _local_within_shares(self) -> list[Planned]:
        """Return the local offers that were passed over, once: they may be busy, and have some of their share left."""
        if self._waited:
            return []
        self._waited = True
        local = [planned for planned in self._share_used if planned.offer.vendor.local][:MAX_OFFERS]
        self._share_used = [planned for planned in self._share_used if planned not in local]
        return local

    def _go_beyond_shares(self) -> None:
        """Begin again with those who were passed over; who was tried, or left out, is not."""
        self._within_share = False
        self._untried = deque(sorted(self._share_used, key=lambda planned: self._ranks[planned.offer.text]))
        self._share_used = []

    def _next_untried(self) -> list[Planned]:
        offers: list[Planned] = []
        while self._untried and len(offers) < MAX_OFFERS:
            planned = self._untried.popleft()
            alone = not (offers or self._untried or self._share_used or self._turns)
            if alone or self._admits(planned.offer.ref.vendor):
                offers.append(planned)
            else:
                self._skip("breaker_open")
        return offers


def _local(offers: Sequence[Planned]) -> dict[str, Planned]:
    return {planned.offer.text: planned for planned in offers if planned.offer.vendor.local}
