"""Plans one request: which offers may serve it, in which order, and why every other one may not."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from catalog.mesh import Mesh
from catalog.model import ModelRef, Price, cost_nanos
from meshkit.errors import StartError
from router_service import filters, remedies
from router_service.demand import Demand
from router_service.estimate import Estimator, plain_input_tokens
from router_service.offers import FORCED_OPEN, UNDESCRIBED, Offer, Planned, Signals, VendorState, offers_of
from router_service.strategies import STRATEGIES, Ranked, Sight
from router_service.turns import of_conversation, rotated

# What is held, and charged, for a model whose price nobody knows: dear on purpose, never nothing.
ASSUMED_PRICE = Price(
    input=10_000_000_000, output=30_000_000_000, cached_input=10_000_000_000, cache_write=10_000_000_000
)
# So many different intents are worked out once, and again whenever a vendor describes itself otherwise.
MOST_KNOWN = 1_024

__all__ = ["Exclusion", "Plan", "Planned", "Planner"]


class Exclusion(NamedTuple):
    """An offer, or a model without a usable slot, that will not be tried, and why."""

    text: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of planning.

    `first` is the first choice, whether or not it can serve; `shared` are the models whose keys took turns. Of a plan
    without offers `remedies` say what alone would admit one; `shut` are left out for their breakers alone, for when
    nothing else can serve.
    """

    offers: tuple[Planned, ...]
    excluded: tuple[Exclusion, ...]
    first: ModelRef | None
    shared: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
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


class Eligible(NamedTuple):
    """What a demand leaves of its candidates whatever the prompt's size: the offers of each model with its rank.

    `today` and `states` are what it was worked out with; `shared` are models with several offers.
    """

    today: dt.date
    states: Mapping[str, VendorState]
    ranked: tuple[tuple[int, tuple[Offer, ...]], ...]
    excluded: tuple[Exclusion, ...]
    shared: tuple[str, ...]


class Planner:
    """Plans over one configuration; does no I/O, and remembers only what it would work out again."""

    def __init__(self, mesh: Mesh, estimator: Estimator) -> None:
        for use_case in mesh.use_cases.values():
            if use_case.strategy not in STRATEGIES:
                raise StartError(
                    f"use case `{use_case.name}` asks for the strategy {use_case.strategy}, which this router does not "
                    f"have; it has: {', '.join(STRATEGIES)}"
                )
        self._mesh = mesh
        self._estimator = estimator
        # An offer follows from the configuration and from what its vendor says of itself, which seldom changes.
        self._offers_of = lru_cache(maxsize=8192)(partial(offers_of, mesh))
        self._known: dict[tuple[object, frozenset[str]], Eligible] = {}

    def plan(self, demand: Demand, signals: Signals) -> Plan:
        """Filter and order the offers of every candidate; the last usable one is never left out for its breaker."""
        eligible = self._eligible(demand, signals)
        excluded = list(eligible.excluded)
        fit = self._fitting(demand, signals, eligible, excluded)
        if not fit:
            untold = remedies.of(demand, self._all_sized(demand, signals), self._mesh.tiers)
            return Plan((), tuple(excluded), _first_choice(demand, ()), eligible.shared, untold)
        wanted, moved = _ordered(fit, demand, signals)
        first = wanted[0].offer.ref if moved else _first_choice(demand, wanted)
        shut = tuple(planned for _, planned in _behind_breakers(fit, signals, excluded))
        if not shut:
            return Plan(wanted, tuple(excluded), first, eligible.shared)
        left_out = {planned.offer.text for planned in shut}
        admitted = [ranked for ranked in fit if ranked.planned.offer.text not in left_out]
        return Plan(_ordered(admitted, demand, signals)[0], tuple(excluded), first, eligible.shared, shut=shut)

    def _eligible(self, demand: Demand, signals: Signals) -> Eligible:
        """Return what was worked out for the same words, unless the day or what vendors say has changed since."""
        words = demand.origin, demand.needs
        known = self._known.get(words)
        if known is None or known.today != signals.today or known.states != signals.vendors:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[words] = self._worked_out(demand, signals)
        return known

    def _worked_out(self, demand: Demand, signals: Signals) -> Eligible:
        ranked: list[tuple[int, tuple[Offer, ...]]] = []
        excluded: list[Exclusion] = []
        for rank, ref in enumerate(demand.candidates):
            if ended := filters.ended(self._mesh.catalog, ref, signals.today, embeds=demand.embeds):
                excluded.append(Exclusion(str(ref), "retired", ended))
                continue
            state = signals.vendors.get(ref.vendor, UNDESCRIBED)
            if not state.slots:
                excluded.append(Exclusion(str(ref), state.reason, state.detail))
            offers = []
            for offer in self._offers_of(ref, state):
                if verdict := next(filters.standing(demand, offer, rank), None):
                    excluded.append(Exclusion(offer.text, *verdict))
                else:
                    offers.append(offer)
            if offers:
                ranked.append((rank, tuple(offers)))
        shared = tuple(offers[0].model_text for _, offers in ranked if len(offers) > 1)
        return Eligible(signals.today, dict(signals.vendors), tuple(ranked), tuple(excluded), shared)

    def _fitting(self, demand: Demand, signals: Signals, eligible: Eligible, excluded: list[Exclusion]) -> list[Ranked]:
        """Return the offers to which the prompt at hand is not too much; note the others."""
        fit: list[Ranked] = []
        checks = filters.sizing_of(demand)
        for ranked in self._sized(demand, signals, eligible):
            for check in checks:
                if verdict := check(demand, ranked.planned):
                    excluded.append(Exclusion(ranked.planned.offer.text, *verdict))
                    break
            else:
                fit.append(ranked)
        return fit

    def _sized(self, demand: Demand, signals: Signals, eligible: Eligible) -> Iterator[Ranked]:
        """Return the offers with what they are expected to need; keys of one model take turns."""
        turn = of_conversation(demand.conversation) if demand.conversation else None
        plain = plain_input_tokens(demand.facts)
        for rank, several in eligible.ranked:
            offers = several
            model, name = offers[0].model, offers[0].model_text
            if len(offers) > 1:
                offers = rotated(offers, signals.turns.get(name, 0) if turn is None else turn)
            sent = self._estimator.scaled(plain, name)
            told = self._estimator.output_tokens(
                demand.facts, demand.use_case.max_output_tokens, name, model.max_output_tokens
            )
            vectors = demand.facts.vectors
            requests = max(1, vectors.texts) if vectors is not None and model.counts_texts else 1
            for offer in offers:
                cost = cost_nanos(offer.price or ASSUMED_PRICE, sent, told)
                yield Ranked(rank, Planned(offer, sent, told, cost, requests))

    def _all_sized(self, demand: Demand, signals: Signals) -> Iterator[Ranked]:
        """Return the offers of every candidate that has not ended, those that are left out too."""
        catalog, today = self._mesh.catalog, signals.today
        everything = tuple(
            (rank, offers)
            for rank, ref in enumerate(demand.candidates)
            if not filters.ended(catalog, ref, today, embeds=demand.embeds)
            and (offers := self._offers_of(ref, signals.vendors.get(ref.vendor, UNDESCRIBED)))
        )
        return self._sized(demand, signals, Eligible(today, {}, everything, (), ()))


def _ordered(fit: list[Ranked], demand: Demand, signals: Signals) -> tuple[tuple[Planned, ...], bool]:
    """Put what the caller named first, in that order, then who served the conversation; the strategy orders the rest.

    Tell, too, whether another would be first if it were not for the conversation.
    """
    leading = demand.leading
    named = STRATEGIES["priority"]([ranked for ranked in fit if ranked.rank < leading], BLIND) if leading else []
    rest = [ranked for ranked in fit if ranked.rank >= leading] if leading else fit
    sight = Sight(signals.wait, signals.chance, demand.use_case.weights)
    ordered = STRATEGIES[demand.use_case.strategy](rest, sight)
    place = _place_of(signals.last_offer, ordered) if signals.last_offer else 0
    if place:
        ordered.insert(0, ordered.pop(place))
    return tuple(planned for _, planned in (*named, *ordered)), bool(place and not named)


BLIND = Sight()


def _place_of(text: str, ordered: list[Ranked]) -> int:
    """Return the place of an offer, 0 when it is not there."""
    return next((place for place, ranked in enumerate(ordered) if ranked.planned.offer.text == text), 0)


def _first_choice(demand: Demand, wanted: tuple[Planned, ...]) -> ModelRef | None:
    """Return the model that serves when all is well: the first one named or listed, else the strategy's own."""
    use_case = demand.use_case
    listed = use_case.strategy == "priority" and demand.tier in use_case.candidates
    if wanted and not (demand.leading or listed):
        return wanted[0].offer.ref
    return demand.candidates[0] if demand.candidates else None


def _behind_breakers(fit: list[Ranked], signals: Signals, excluded: list[Exclusion]) -> list[Ranked]:
    """Return, and note, what is behind open breakers.

    If that is everything, the one that is to be probed first is no part of it, unless an operator has shut it.
    """
    if not signals.open_breakers:
        return []
    shut = [ranked for ranked in fit if signals.shut_until(ranked.planned.offer) is not None]
    if shut and len(shut) == len(fit):
        soonest = min(shut, key=lambda ranked: signals.shut_until(ranked.planned.offer) or 0.0)
        if signals.shut_until(soonest.planned.offer) != FORCED_OPEN:
            shut.remove(soonest)
    excluded.extend(_left_to_recover(planned.offer, signals) for _, planned in shut)
    return shut


def _left_to_recover(offer: Offer, signals: Signals) -> Exclusion:
    failing = offer.vendor.id if offer.vendor.id in signals.open_breakers else offer.model_text
    why = f"{failing} keeps failing; its breaker is open"
    if signals.shut_until(offer) == FORCED_OPEN:
        why = f"an operator has forced the breaker of {failing} open"
    return Exclusion(offer.text, "breaker_open", why)
