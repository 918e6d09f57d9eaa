"""Turns an intent into a demand: what is asked, with names resolved and every bad word refused by its field."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from llmmesh.router.v1 import router_pb2

from catalog import caller_labels
from catalog.model import Catalog, ModelRef, UseCase, Vendor
from meshkit.errors import FieldViolation, MeshError, Reason, invalid
from router_service.naming import is_named, named_by_caller, unique, usual
from router_service.prompt_facts import PromptFacts

DEFAULT_USE_CASE = "default"
EMBEDDING_USE_CASE = "embedding"
ANY_PRICE = "premium"
TIERS: Mapping[router_pb2.Tier.ValueType, str] = {
    router_pb2.TIER_FREE: "free",
    router_pb2.TIER_ULTRA_ECONOMY: "ultra_economy",
    router_pb2.TIER_ECONOMY: "economy",
    router_pb2.TIER_STANDARD: "standard",
    router_pb2.TIER_PREMIUM: "premium",
}
# The strictest last.
DATA_POLICY_ORDER = ("", "no_training", "local_only")
DATA_POLICIES: Mapping[int, str] = {
    router_pb2.DATA_POLICY_UNSPECIFIED: "",
    router_pb2.DATA_POLICY_LOCAL_ONLY: "local_only",
    router_pb2.DATA_POLICY_NO_TRAINING: "no_training",
}
GUARANTEES: Mapping[int, str] = {
    router_pb2.STREAM_GUARANTEE_FAST: "fast",
    router_pb2.STREAM_GUARANTEE_WHOLE: "whole",
    router_pb2.STREAM_GUARANTEE_RESTART: "restart",
}
# What so many different words mean is remembered, unless they are longer than so many bytes.
MOST_REMEMBERED = 1_024
LONGEST_REMEMBERED = 1_024
NO_FACTS = PromptFacts()
REQUIREMENTS = frozenset({"vision", "tools", "json_object", "json_schema", "reasoning", "web_search"})
# What people say instead, and what they mean by it.
SAID_FOR = {"json": "json_object"}


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """What a request asks for, ready to be planned.

    `candidates` are models in order of preference; the first `leading` of them were named by the caller and keep their
    place under every strategy; `pinned` says that they are no mere preference, `accepted` that they may cost what they
    cost, whatever the cap of the others. `notices` tell the caller what a
    name was taken to mean. `origin` is the same for all demands with the same words.
    """

    use_case: UseCase
    tier: str
    price_cap: int | None
    candidates: tuple[ModelRef, ...]
    leading: int
    pinned: bool
    accepted: bool
    needs: frozenset[str]
    data_policy: str
    guarantee: str
    allow_vendors: frozenset[str]
    deny_vendors: frozenset[str]
    allow_models: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    max_cost: int | None = None
    facts: PromptFacts = NO_FACTS
    conversation: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    origin: object = field(default_factory=object)

    @property
    def spreads(self) -> bool:
        """Tell whether offers have shares of what is asked; who names a model has chosen who shall serve."""
        return self.use_case.spread_share > 0 and not self.leading

    @property
    def embeds(self) -> bool:
        """Tell whether vectors are asked for; else it is an answer."""
        return self.facts.vectors is not None

    @property
    def most_output(self) -> int | None:
        """Return how many tokens the answers may have by what the vendor is told, None when nobody has said."""
        bound = self.facts.max_output_tokens or self.use_case.max_output_tokens
        return None if bound is None or self.embeds else bound * self.facts.answers


def read(
    intent: router_pb2.Intent, facts: PromptFacts, catalog: Catalog, caps: Mapping[str, int | None], today: dt.date
) -> Demand:
    """Resolve one intent; who has many reads them with a `Reader`."""
    return Reader(catalog, caps).read(intent, facts, today)


class Reader:
    """Resolves intents over one catalogue; what the same words mean is worked out once a day.

    Args:
        catalog: what is known.
        caps: each tier's cap on the blended price, nano-dollars per million tokens; None means no cap.
    """

    def __init__(self, catalog: Catalog, caps: Mapping[str, int | None]) -> None:
        self._catalog = catalog
        self._caps = caps
        self._known: dict[tuple[object, ...], Demand] = {}

    def read(self, intent: router_pb2.Intent, facts: PromptFacts, today: dt.date) -> Demand:
        """Resolve an intent.

        Args:
            intent: what the caller sent.
            facts: what the prompt, or the texts to be embedded, need.
            today: the day that decides which models have ended.

        Raises:
            MeshError: INVALID_REQUEST, UNKNOWN_USE_CASE, UNKNOWN_MODEL or UNKNOWN_VENDOR, each naming the field.
        """
        alike = self._alike(intent, today, facts.vectors is not None)
        return replace(
            alike,
            needs=alike.needs | facts.needs if facts.needs else alike.needs,
            max_cost=_max_cost(intent),
            facts=facts,
            conversation=intent.conversation_id,
            labels=_labels(intent) if intent.labels else (),
        )

    def _alike(self, intent: router_pb2.Intent, today: dt.date, embeds: bool) -> Demand:
        """Return what all requests with this intent demand, whatever their prompts."""
        if intent.ByteSize() > LONGEST_REMEMBERED:
            return self._resolved(intent, today, embeds)
        words = _words(intent, today, embeds)
        known = self._known.get(words)
        if known is None:
            known = self._resolved(intent, today, embeds)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[words] = known
        return known

    def _resolved(self, intent: router_pb2.Intent, today: dt.date, embeds: bool) -> Demand:
        catalog = self._catalog
        needs, purpose = _requirements(intent.requirements, intent.use_case, catalog)
        use_case = _use_case(purpose or usual_use_case(catalog, embeds), catalog)
        _refuse_unknown_words(intent)
        notices: list[str] = []
        named = named_by_caller(intent, catalog, today, notices, embeds)
        pinned = is_named(intent.model) or bool(intent.candidates)
        # Who names a model and nothing else has accepted its price; the default use case's tier was not their choice.
        # A preferred one's substitutes were nobody's choice: they stay under that tier's cap.
        accepted = bool(named) and not purpose and not intent.tier
        usual_tier = ANY_PRICE if pinned and not purpose else use_case.default_tier
        tier = TIERS.get(intent.tier, usual_tier)
        # Who says what a pinned model is for lets its use case find another when no host of it can serve.
        closed = bool(intent.candidates) or (pinned and (embeds or intent.strict or not purpose))
        candidates = named if closed else unique([*named, *usual(use_case, tier, catalog, today, embeds)])
        if not pinned:
            _check_purpose(use_case, candidates, catalog, embeds)
        return Demand(
            use_case=use_case,
            tier=tier,
            price_cap=self._caps[tier],
            candidates=candidates,
            leading=len(named),
            pinned=pinned,
            accepted=accepted,
            needs=frozenset(use_case.requirements) | needs,
            data_policy=max(DATA_POLICIES[intent.data_policy], use_case.data_policy, key=DATA_POLICY_ORDER.index),
            guarantee=GUARANTEES.get(intent.stream_guarantee, use_case.stream_guarantee),
            allow_vendors=_vendors(intent.allow_vendors, "intent.allow_vendors", catalog),
            deny_vendors=_vendors(intent.deny_vendors, "intent.deny_vendors", catalog),
            allow_models=tuple(intent.allow_models),
            notices=tuple(notices),
        )


def _words(intent: router_pb2.Intent, today: dt.date, embeds: bool) -> tuple[object, ...]:
    """Return everything that decides what an intent means."""
    return (
        today,
        embeds,
        intent.use_case,
        intent.tier,
        intent.model,
        intent.preferred_model,
        intent.strict,
        intent.data_policy,
        intent.stream_guarantee,
        tuple(intent.candidates),
        tuple(intent.requirements),
        tuple(intent.allow_vendors),
        tuple(intent.allow_models),
        tuple(intent.deny_vendors),
    )


def suggests_vectors(intent: router_pb2.Intent, catalog: Catalog) -> bool:
    """Tell whether the first model an intent names, by itself or by its use case, makes vectors."""
    names = [name for name in (intent.model, intent.preferred_model, *intent.candidates) if is_named(name)]
    if not names and (use_case := catalog.use_case(intent.use_case or DEFAULT_USE_CASE)) is not None:
        names = [name for listed in use_case.candidates.values() for name in listed]
    first = next((ref for name in names for ref in catalog.resolve(name)), None)
    return first is not None and catalog.vendors[first.vendor].models[first.model].embeds


def _refuse_unknown_words(intent: router_pb2.Intent) -> None:
    """Refuse words of a newer contract: taken for "nothing said", they could let a prompt go where it must not."""
    fields = (
        ("tier", intent.tier, {*TIERS}, TIERS.values()),
        ("data_policy", intent.data_policy, {*DATA_POLICIES}, DATA_POLICY_ORDER[1:]),
        ("stream_guarantee", intent.stream_guarantee, {*GUARANTEES}, GUARANTEES.values()),
    )
    for name, number, known, words in fields:
        if number and number not in known:
            raise invalid(f"intent.{name}", f"unknown value {number}; known: {', '.join(words)}")


def _labels(intent: router_pb2.Intent) -> tuple[tuple[str, str], ...]:
    for key, allowed in caller_labels.faults(intent.labels):
        raise invalid(f"intent.labels.{key}" if key else "intent.labels", allowed)
    return tuple(sorted(intent.labels.items()))


def _max_cost(intent: router_pb2.Intent) -> int | None:
    if not intent.HasField("max_cost_nanos"):
        return None
    if intent.max_cost_nanos < 0:
        raise invalid("intent.max_cost_nanos", "must not be negative")
    return intent.max_cost_nanos


def usual_use_case(catalog: Catalog, embeds: bool) -> str:
    """Name the use case of a request that names none."""
    return EMBEDDING_USE_CASE if embeds and catalog.use_case(EMBEDDING_USE_CASE) else DEFAULT_USE_CASE


def _check_purpose(use_case: UseCase, candidates: Iterable[ModelRef], catalog: Catalog, embeds: bool) -> None:
    """Refuse a use case all of whose candidates do other work than what is asked."""
    kinds = {catalog.vendors[ref.vendor].models[ref.model].embeds for ref in candidates}
    if kinds == {not embeds}:
        made = ("answers, not embeddings", "embeddings, not answers")[not embeds]
        raise invalid("intent.use_case", f"the models of use case `{use_case.name}` make {made}")


def _use_case(name: str, catalog: Catalog) -> UseCase:
    found = catalog.use_case(name)
    if found is not None:
        return found
    allowed = ", ".join(sorted(catalog.use_cases))
    raise MeshError(
        Reason.UNKNOWN_USE_CASE,
        f"unknown use case `{name[:80]}`; configured: {allowed}",
        metadata={"use_case": name[:80], "allowed": allowed},
        fields=[FieldViolation("intent.use_case", f"must be one of: {allowed}")],
    )


def _requirements(names: Iterable[str], use_case: str, catalog: Catalog) -> tuple[frozenset[str], str]:
    """Return what the model must be able to do, and the use case: one that is required is the one that is asked for.

    A requirement that has a use case of its own name, such as `web_search`, asks for that one when none is named.
    """
    asked = {SAID_FOR.get(name, name) for name in names}
    purposes = sorted(name for name in asked if catalog.use_case(name) is not None)
    if unknown := asked - REQUIREMENTS - {*purposes}:
        known = ", ".join(sorted(REQUIREMENTS))
        raise invalid("intent.requirements", f"unknown `{min(unknown)[:80]}`; known: {known}, and every use case")
    named = [*([use_case] if use_case else []), *(name for name in purposes if name not in REQUIREMENTS)]
    if len({_use_case(name, catalog).name for name in named}) > 1:
        raise invalid("intent.requirements", f"several use cases are asked for: {', '.join(named)}")
    return frozenset(asked & REQUIREMENTS), next(iter([*named, *purposes]), "")


def _vendors(names: Iterable[str], field: str, catalog: Catalog) -> frozenset[str]:
    return frozenset(vendor_named(name, field, catalog).id for name in names)


def vendor_named(name: str, field: str, catalog: Catalog) -> Vendor:
    """Find a vendor by id or alias; raises MeshError UNKNOWN_VENDOR that names the field."""
    found = catalog.vendor(name)
    if found is not None:
        return found
    allowed = ", ".join(sorted(catalog.vendors))
    raise MeshError(
        Reason.UNKNOWN_VENDOR,
        f"unknown vendor `{name[:80]}`; known: {allowed}",
        metadata={"vendor": name[:80], "allowed": allowed},
        fields=[FieldViolation(field, f"must be one of: {allowed}")],
    )
