"""Says of an offer why it may not serve a demand: by what it is, or by what the prompt at hand would need of it."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence

from catalog.model import Catalog, ModelRef
from catalog.tenants import permitted
from router_service.demand import Demand
from router_service.estimate import least_tokens
from router_service.offers import Offer, Planned

NEVER_PAID = frozenset({"free", "credit", "local"})
# A filter returns None, or the reason code and its particulars.
Verdict = tuple[str, str] | None
Standing = Callable[[Demand, Offer, bool], Verdict]
Sizing = Callable[[Demand, Planned], Verdict]


def ended(catalog: Catalog, ref: ModelRef, today: dt.date, *, embeds: bool) -> str:
    """Say that a model or its vendor has ended; nothing while both live."""
    vendor = catalog.vendors[ref.vendor]
    model = vendor.models[ref.model]
    if vendor.retired_by(today):
        return f"{vendor.id} ended on {vendor.retired_on}"
    if not model.retired_by(today):
        return ""
    successor = catalog.successor(ref) if embeds else None
    heir = f"; its successor {successor} makes other vectors" if successor else ""
    return f"{ref} was retired on {model.retired_on}{heir}"


def _status(_demand: Demand, offer: Offer, named: bool) -> Verdict:
    if named:
        return None
    if offer.model.status == "unknown":
        return "not_candidate", f"nobody knows whether {offer.ref} still serves; it is used only when pinned"
    if offer.model.listed:
        return "not_candidate", f"{offer.ref} is known from its vendor's own list alone; it is used only when pinned"
    if not offer.installed:
        return "not_installed", f"the server of {offer.vendor.id} does not have {offer.model.id}"
    return None


def _vendor_lists(demand: Demand, offer: Offer, _named: bool) -> Verdict:
    vendor = offer.vendor.id
    if vendor in demand.deny_vendors:
        return "denied", f"the request denies {vendor}"
    if demand.allow_vendors and vendor not in demand.allow_vendors:
        return "not_allowed", f"the request allows only {', '.join(sorted(demand.allow_vendors))}"
    if demand.allow_models and not permitted(demand.allow_models, offer.model_text):
        return "not_allowed", f"{offer.model_text} is not among the models that are allowed"
    return None


def _data_policy(demand: Demand, offer: Offer, _named: bool) -> Verdict:
    vendor = offer.vendor
    if demand.data_policy == "local_only" and not vendor.local:
        return "data_policy", f"{vendor.id} is not on a machine of ours"
    if demand.data_policy == "no_training" and vendor.trains_on.get(offer.plan, False):
        return "data_policy", f"{vendor.id} trains on requests of its {offer.plan} plan"
    return None


def _capability(demand: Demand, offer: Offer, _named: bool) -> Verdict:
    model = offer.model
    if model.listed:  # what its list says nothing about, the vendor will say
        missing = demand.needs & model.lacks
        told = f"{offer.ref} has no {', '.join(sorted(missing))}, says its vendor's list"
        return ("capability", told) if missing else None
    if model.embeds is not demand.embeds:
        made = "embeddings, not answers" if model.embeds else "answers, not embeddings"
        return "capability", f"{offer.ref} makes {made}"
    missing = demand.needs - model.capabilities
    return ("capability", f"{offer.ref} has no {', '.join(sorted(missing))}") if missing else None


def _plan_covers(_demand: Demand, offer: Offer, _named: bool) -> Verdict:
    if offer.covered:
        return None
    return "plan", f"the {offer.plan} plan of {offer.vendor.id} does not include {offer.model.id}"


def _price_cap(demand: Demand, offer: Offer, _named: bool) -> Verdict:
    price = offer.blended_price
    if price is None:
        capped = demand.price_cap is not None
        return ("unpriced", f"the price of {offer.ref} is unknown") if capped else None
    told = f"{price / 1e9:g} USD per 1M blended; the cap of tier {demand.tier} is {(demand.price_cap or 0) / 1e9:g}"
    if demand.tier == "free":
        return None if offer.plan in NEVER_PAID else ("price_cap", f"a {offer.plan} slot costs money: {told}")
    return ("price_cap", told) if demand.price_cap is not None and price > demand.price_cap else None


def _context(demand: Demand, planned: Planned) -> Verdict:
    window = planned.offer.model.context_window
    needed, told = planned.input_tokens, "about {} tokens"
    if demand.facts.vectors is not None:
        # A window holds one text, and texts are often cut to fill it: only what surely goes beyond it is left out.
        needed, told = least_tokens(demand.facts.vectors.longest), "a text of at least {} tokens"
    return ("context", f"{told.format(needed)}; {planned.offer.ref} takes {window}") if 0 < window < needed else None


def _vectors(demand: Demand, planned: Planned) -> Verdict:
    asked, model = demand.facts.vectors, planned.offer.model
    if asked is None:
        return None
    if 0 < model.max_texts < asked.texts:
        return "texts", f"{asked.texts} texts; {planned.offer.ref} takes at most {model.max_texts} at once"
    if 0 < model.dimensions < asked.dimensions:
        return "dimensions", f"{asked.dimensions} dimensions; {planned.offer.ref} makes at most {model.dimensions}"
    return None


def _cost_cap(demand: Demand, planned: Planned) -> Verdict:
    if demand.max_cost is None:
        return None
    if planned.offer.price is None:
        return "unpriced", f"the price of {planned.offer.ref} is unknown"
    if planned.cost > demand.max_cost:
        return "cost_cap", f"estimated {planned.cost} nano-dollars; the request allows {demand.max_cost}"
    return None


# In the order in which a reason is worth telling; what has ended is told before all of them. An open breaker is no
# filter: it passes, these do not.
STANDING: tuple[Standing, ...] = (_status, _vendor_lists, _data_policy, _capability, _plan_covers, _price_cap)
UNCAPPED = tuple(check for check in STANDING if check is not _price_cap)
SIZING: tuple[Sizing, ...] = (_context, _vectors, _cost_cap)


def standing(demand: Demand, offer: Offer, rank: int) -> Iterator[tuple[str, str]]:
    """Say everything that keeps out an offer of the candidate at that place, whatever the prompt's size."""
    leads = rank < demand.leading
    checks = UNCAPPED if leads and demand.accepted else STANDING
    return (verdict for check in checks if (verdict := check(demand, offer, demand.pinned and leads)))


def sizing_of(demand: Demand) -> Sequence[Sizing]:
    """Return the filters to which a prompt, or its cost, may be too much."""
    return SIZING if demand.embeds or demand.max_cost is not None else SIZING[:1]
