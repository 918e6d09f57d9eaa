"""Plans one request: which offers may serve it, in which order, and why every other one may not."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from llmmesh.quota.v1 import quota_pb2

from catalog.mesh import Mesh
from catalog.model import Catalog, ModelRef, Price, cost_nanos
from meshkit.errors import StartError
from router_service.demand import Demand
from router_service.estimate import Estimator, least_tokens
from router_service.offers import FORCED_OPEN, UNDESCRIBED, Offer, Signals, offers_of
from router_service.strategies import STRATEGIES
from router_service.turns import of_conversation, rotated

# What is held, and charged, for a model whose price nobody knows: dear on purpose, never nothing.
ASSUMED_PRICE = Price(
    input=10_000_000_000, output=30_000_000_000, cached_input=10_000_000_000, cache_write=10_000_000_000
)
NEVER_PAID = frozenset({"free", "credit", "local"})


@dataclass(frozen=True, slots=True)
class Planned:
    """An offer that will be tried, with what it is expected to need; `requests` are those the vendor will count."""

    offer: Offer
    input_tokens: int
    output_tokens: int
    cost: int
    requests: int = 1

    def amounts(self) -> quota_pb2.OfferAmounts:
        """Return what the ledger must hold for it."""
        return quota_pb2.OfferAmounts(
            offer=self.offer.text,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_nanos=self.cost,
            requests=self.requests,
        )


@dataclass(frozen=True, slots=True)
class Exclusion:
    """An offer, or a model without a usable slot, that will not be tried, and why."""

    text: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of planning.

    `first` is the first choice, whether or not it can serve; `shared` are the models whose keys took turns; `shut` are
    left out for their breakers alone, for when nothing else can serve.
    """

    offers: tuple[Planned, ...]
    excluded: tuple[Exclusion, ...]
    first: ModelRef | None
    shared: tuple[str, ...] = ()
    shut: tuple[Planned, ...] = ()

    def why_not_first(self) -> str:
        """Say why the first choice was left out, or nothing if it was not.

        Of several keys, one whose plan includes the model knows more than one whose plan does not.
        """
        first = f"{self.first}"
        if any(planned.offer.model_text == first for planned in self.offers):
            return ""
        excluded = [e for e in self.excluded if e.text.partition("#")[0] == first]
        return next((e.detail for e in sorted(excluded, key=lambda e: e.reason == "plan")), "")


# A filter returns None, or the reason code and its particulars.
Verdict = tuple[str, str] | None
Filter = Callable[[Demand, Planned], Verdict]
# An offer that passed every filter, and the place of its model among the candidates.
Fit = tuple[int, Planned]


class Planner:
    """Plans over one configuration; holds no state of its own and does no I/O."""

    def __init__(self, mesh: Mesh, estimator: Estimator) -> None:
        for use_case in mesh.use_cases.values():
            if use_case.strategy not in STRATEGIES:
                raise StartError(
                    f"use case `{use_case.name}` asks for the strategy {use_case.strategy}, which this router does not "
                    f"have yet; it has: {', '.join(STRATEGIES)}"
                )
        self._mesh = mesh
        self._estimator = estimator
        # An offer follows from the configuration and from what its vendor says of itself, which seldom changes.
        self._offers_of = lru_cache(maxsize=8192)(partial(offers_of, mesh))

    def plan(self, demand: Demand, signals: Signals) -> Plan:
        """Filter and order the offers of every candidate; the last usable one is never left out for its breaker."""
        fit: list[Fit] = []
        broken: list[Fit] = []
        excluded: list[Exclusion] = []
        shared: list[str] = []
        for rank, planned in self._offers(demand, signals, excluded, shared):
            if verdict := _verdict(demand, planned):
                excluded.append(Exclusion(planned.offer.text, *verdict))
            elif signals.shut_until(planned.offer) is not None:
                broken.append((rank, planned))
            else:
                fit.append((rank, planned))
        wanted = _ordered([*fit, *broken], demand)
        soonest = min(broken, key=lambda ranked: signals.shut_until(ranked[1].offer) or 0.0, default=None)
        if not fit and soonest is not None and signals.shut_until(soonest[1].offer) != FORCED_OPEN:
            fit, broken = [soonest], [ranked for ranked in broken if ranked is not soonest]
        excluded.extend(_left_to_recover(planned, signals) for _, planned in broken)
        offers = _ordered(fit, demand) if broken else wanted
        return Plan(offers, tuple(excluded), _first_choice(demand, wanted), tuple(shared), tuple(p for _, p in broken))

    def _offers(self, demand: Demand, signals: Signals, excluded: list[Exclusion], shared: list[str]) -> Iterator[Fit]:
        turn = of_conversation(demand.conversation) if demand.conversation else None
        for rank, ref in enumerate(demand.candidates):
            if ended := _ended(self._mesh.catalog, ref, signals.today, embeds=demand.embeds):
                excluded.append(Exclusion(str(ref), "retired", ended))
                continue
            state = signals.vendors.get(ref.vendor, UNDESCRIBED)
            if not state.slots:
                excluded.append(Exclusion(str(ref), state.reason, state.detail))
            offers = self._offers_of(ref, state)
            if len(offers) > 1:
                name = offers[0].model_text
                shared.append(name)
                offers = rotated(offers, signals.turns.get(name, 0) if turn is None else turn)
            for offer in offers:
                yield rank, self._planned(demand, offer)

    def _planned(self, demand: Demand, offer: Offer) -> Planned:
        model = offer.model_text
        input_tokens = self._estimator.input_tokens(demand.facts, model)
        output_tokens = self._estimator.output_tokens(
            demand.facts, demand.use_case.max_output_tokens, model, offer.model.max_output_tokens
        )
        cost = cost_nanos(offer.price or ASSUMED_PRICE, input_tokens, output_tokens)
        vectors = demand.facts.vectors
        requests = max(1, vectors.texts) if vectors is not None and offer.model.counts_texts else 1
        return Planned(offer, input_tokens, output_tokens, cost, requests)


def _ended(catalog: Catalog, ref: ModelRef, today: dt.date, *, embeds: bool) -> str:
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


def _status(demand: Demand, planned: Planned) -> Verdict:
    offer = planned.offer
    if offer.model.status == "unknown" and not demand.pinned:
        return "not_candidate", f"nobody knows whether {offer.ref} still serves; it is used only when pinned"
    if offer.model.listed and not demand.pinned:
        return "not_candidate", f"{offer.ref} is known from its vendor's own list alone; it is used only when pinned"
    if not offer.installed and not demand.pinned:
        return "not_installed", f"the server of {offer.vendor.id} does not have {offer.model.id}"
    return None


def _vendor_lists(demand: Demand, planned: Planned) -> Verdict:
    vendor = planned.offer.vendor.id
    if vendor in demand.deny_vendors:
        return "denied", f"the request denies {vendor}"
    if demand.allow_vendors and vendor not in demand.allow_vendors:
        return "not_allowed", f"the request allows only {', '.join(sorted(demand.allow_vendors))}"
    return None


def _data_policy(demand: Demand, planned: Planned) -> Verdict:
    vendor = planned.offer.vendor
    if demand.data_policy == "local_only" and not vendor.local:
        return "data_policy", f"{vendor.id} is not on a machine of ours"
    if demand.data_policy == "no_training" and vendor.trains_on.get(planned.offer.plan, False):
        return "data_policy", f"{vendor.id} trains on requests of its {planned.offer.plan} plan"
    return None


def _capability(demand: Demand, planned: Planned) -> Verdict:
    model = planned.offer.model
    if model.listed:  # what its list says nothing about, the vendor will say
        missing = demand.needs & model.lacks
        told = f"{planned.offer.ref} has no {', '.join(sorted(missing))}, says its vendor's list"
        return ("capability", told) if missing else None
    if model.embeds is not demand.embeds:
        made = "embeddings, not answers" if model.embeds else "answers, not embeddings"
        return "capability", f"{planned.offer.ref} makes {made}"
    missing = demand.needs - model.capabilities
    return ("capability", f"{planned.offer.ref} has no {', '.join(sorted(missing))}") if missing else None


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


def _plan_covers(_demand: Demand, planned: Planned) -> Verdict:
    offer = planned.offer
    if offer.covered:
        return None
    return "plan", f"the {offer.plan} plan of {offer.vendor.id} does not include {offer.model.id}"


def _price_cap(demand: Demand, planned: Planned) -> Verdict:
    offer = planned.offer
    price = offer.blended_price
    capped = demand.price_cap is not None or demand.max_cost is not None
    if price is None:
        return ("unpriced", f"the price of {offer.ref} is unknown") if capped else None
    told = f"{price / 1e9:g} USD per 1M blended; the cap of tier {demand.tier} is {(demand.price_cap or 0) / 1e9:g}"
    if demand.tier == "free":
        if offer.plan not in NEVER_PAID:
            return "price_cap", f"a {offer.plan} slot costs money: {told}"
    elif demand.price_cap is not None and price > demand.price_cap:
        return "price_cap", told
    if demand.max_cost is not None and planned.cost > demand.max_cost:
        return "cost_cap", f"estimated {planned.cost} nano-dollars; the request allows {demand.max_cost}"
    return None


# In the order in which a reason is worth telling; what has ended is told before all of them. An open breaker is no
# filter: it passes, these do not.
FILTERS: tuple[Filter, ...] = (
    _status,
    _vendor_lists,
    _data_policy,
    _capability,
    _context,
    _vectors,
    _plan_covers,
    _price_cap,
)


def _verdict(demand: Demand, planned: Planned) -> Verdict:
    """Return what the first filter that objects says, None when none does."""
    for check in FILTERS:
        if verdict := check(demand, planned):
            return verdict
    return None


def _ordered(fit: list[Fit], demand: Demand) -> tuple[Planned, ...]:
    """Put what the caller named first, in that order; the strategy orders the rest."""
    planned_of = {planned.offer.text: planned for _, planned in fit}
    named = [(rank, planned.offer) for rank, planned in fit if rank < demand.leading]
    rest = [(rank, planned.offer) for rank, planned in fit if rank >= demand.leading]
    ordered = [*STRATEGIES["priority"](named), *STRATEGIES[demand.use_case.strategy](rest)]
    return tuple(planned_of[offer.text] for _, offer in ordered)


def _first_choice(demand: Demand, wanted: tuple[Planned, ...]) -> ModelRef | None:
    """Return the model that serves when all is well: the first one named or listed, else the strategy's own."""
    use_case = demand.use_case
    listed = use_case.strategy == "priority" and demand.tier in use_case.candidates
    if wanted and not (demand.leading or listed):
        return wanted[0].offer.ref
    return demand.candidates[0] if demand.candidates else None


def _left_to_recover(planned: Planned, signals: Signals) -> Exclusion:
    offer = planned.offer
    failing = offer.vendor.id if offer.vendor.id in signals.open_breakers else offer.model_text
    why = f"{failing} keeps failing; its breaker is open"
    if signals.shut_until(offer) == FORCED_OPEN:
        why = f"an operator has forced the breaker of {failing} open"
    return Exclusion(offer.text, "breaker_open", why)
