"""Says what alone would admit an offer when none may serve: which requirement to drop, which cap to raise."""

from collections.abc import Iterable, Mapping

from router_service import filters
from router_service.demand import Demand
from router_service.filters import NEVER_PAID
from router_service.offers import Planned
from router_service.strategies import Ranked

# What to change for a reason, and for which offer; reasons that are nobody's wish are not here.
REMEDIES: Mapping[str, str] = {
    "denied": "{vendor} not denied",
    "not_allowed": "{vendor} allowed",
    "data_policy": "another data policy",
    "capability": "no requirement of {missing}",
    "price_cap": "tier {tier}",
    "unpriced": "no cap",
    "context": "a prompt of at most {window} tokens",
    "texts": "at most {texts} texts",
    "dimensions": "at most {dimensions} dimensions",
    "cost_cap": "a cost cap of {cost} nano-dollars",
    "not_candidate": "its model pinned",
}


def of(demand: Demand, offers: Iterable[Ranked], caps: Mapping[str, int | None]) -> tuple[str, ...]:
    """Return one remedy for each reason that is all that keeps some offer out: the cheapest such offer's."""
    found: dict[str, Planned] = {}
    for rank, planned in offers:
        verdicts = [*filters.standing(demand, planned.offer, rank)]
        verdicts += [verdict for check in filters.sizing_of(demand) if (verdict := check(demand, planned))]
        reasons = {reason for reason, _ in verdicts}
        if len(reasons) == 1 and reasons <= REMEDIES.keys():
            (reason,) = reasons
            if reason not in found or _price(planned) < _price(found[reason]):
                found[reason] = planned
    return tuple(
        f"{_told(reason, planned, demand, caps)} would admit {planned.offer.text}" for reason, planned in found.items()
    )


def _price(planned: Planned) -> float:
    price = planned.offer.blended_price
    return float("inf") if price is None else float(price)


def _told(reason: str, planned: Planned, demand: Demand, caps: Mapping[str, int | None]) -> str:
    offer = planned.offer
    missing = sorted(demand.needs - offer.model.capabilities) or ["answers" if offer.model.embeds else "vectors"]
    return REMEDIES[reason].format(
        vendor=offer.vendor.id,
        missing=" and ".join(missing),
        tier=_tier(planned, caps),
        window=offer.model.context_window,
        texts=offer.model.max_texts,
        dimensions=offer.model.dimensions,
        cost=planned.cost,
    )


def _tier(planned: Planned, caps: Mapping[str, int | None]) -> str:
    """Return the lowest tier that pays for an offer."""
    price, free = _price(planned), planned.offer.plan in NEVER_PAID
    fits = (tier for tier, cap in caps.items() if (free if tier == "free" else cap is None or price <= cap))
    return next(fits, "premium")
