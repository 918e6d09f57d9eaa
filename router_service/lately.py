"""Remembers what the last request was for, who lately served in another's place, and since when machines of ours do."""

from collections import deque
from collections.abc import Sequence

from llmmesh.router.v1 import router_pb2

from meshkit.clock import Clock
from router_service.demand import Demand
from router_service.interface import Fallback
from router_service.journey import TIER_NUMBERS, Journey

# So many fallbacks are remembered.
MOST_FALLBACKS = 20


class Lately:
    """What one router has seen of late; another router, or this one started anew, knows nothing of it."""

    def __init__(self, clock: Clock) -> None:
        self.intent = router_pb2.Intent()
        self.local_since: float | None = None
        self.fallbacks: deque[Fallback] = deque(maxlen=MOST_FALLBACKS)
        self._clock = clock

    def served(self, journey: Journey) -> None:
        """Note a request that has ended: if another served it, and what for if the choice was the mesh's."""
        if journey.fell_back:
            self.fallbacks.append(_fallback(journey, self._clock.now()))
        if journey.serving is None or not _left_the_choice(journey.demand):
            return
        self.intent = router_pb2.Intent(use_case=journey.demand.use_case.name, tier=TIER_NUMBERS[journey.demand.tier])
        planned = [offer.offer for offer in journey.plan.offers]
        serving = journey.serving.planned.offer
        before = planned[: planned.index(serving)] if serving in planned else planned
        out_of_order = any(left.reason == "breaker_open" for left in journey.plan.excluded)
        self.stands_in(serving.vendor.local, [offer.vendor.local for offer in before], out_of_order=out_of_order)

    def stands_in(self, local: bool, before: Sequence[bool], *, out_of_order: bool) -> bool:
        """Note who serves, and tell whether a machine of ours stands in for vendors.

        Args:
            local: it is a machine of ours.
            before: whether each offer that is preferred to it is on a machine of ours.
            out_of_order: another was left out because its vendor is out of order.
        """
        standing = local and (out_of_order or not all(before))
        if standing and self.local_since is None:
            self.local_since = self._clock.now()
        elif not local:
            self.local_since = None
        return standing


def _fallback(journey: Journey, now: float) -> Fallback:
    """Tell of a fallback in words of ours alone: what a vendor said may hold what it was asked."""
    return Fallback(
        at=now,
        use_case=journey.demand.use_case.name,
        tier=journey.demand.tier,
        wanted=f"{journey.plan.first or ''}",
        offer=journey.serving.offer_text if journey.serving else "",
        reason=journey.fallback_reason(),
    )


def _left_the_choice(demand: Demand) -> bool:
    """Tell whether another request for the same use case and tier would be planned alike."""
    restricted = demand.allow_vendors or demand.deny_vendors or demand.max_cost is not None
    own_policy = demand.data_policy == demand.use_case.data_policy
    return not (demand.pinned or demand.leading or demand.embeds or restricted) and own_policy
