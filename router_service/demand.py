"""Turns an intent into a demand: what is asked, with names resolved and every bad word refused by its field."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from llmmesh.router.v1 import router_pb2

from catalog import caller_labels
from catalog.model import Catalog, ModelRef, UseCase, Vendor
from meshkit.errors import FieldViolation, MeshError, Reason, invalid
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
MOST_CANDIDATES = 16
REQUIREMENTS = frozenset({"vision", "tools", "json_object", "json_schema", "reasoning", "web_search"})
# What people say instead, and what they mean by it.
SAID_FOR = {"json": "json_object"}


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks for, ready to be planned.

    `candidates` are models in order of preference; the first `leading` of them were named by the caller and keep their
    place under every strategy; `pinned` says that nothing else may serve. `notices` tell the caller what a name was
    taken to mean.
    """

    use_case: UseCase
    tier: str
    price_cap: int | None
    candidates: tuple[ModelRef, ...]
    leading: int
    pinned: bool
    needs: frozenset[str]
    data_policy: str
    guarantee: str
    allow_vendors: frozenset[str]
    allow_models: tuple[str, ...]
    deny_vendors: frozenset[str]
    max_cost: int | None
    facts: PromptFacts
    conversation: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def spreads(self) -> bool:
        """Tell whether offers have shares of what is asked; who names a model has chosen who shall serve."""
        return self.use_case.spread_share > 0 and not self.leading

    @property
    def embeds(self) -> bool:
        """Tell whether vectors are asked for; else it is an answer."""
        return self.facts.vectors is not None


def read(
    intent: router_pb2.Intent, facts: PromptFacts, catalog: Catalog, caps: Mapping[str, int | None], today: dt.date
) -> Demand:
    """Resolve an intent.

    Args:
        intent: what the caller sent.
        facts: what the prompt, or the texts to be embedded, need.
        catalog: what is known.
        caps: each tier's cap on the blended price, nano-dollars per million tokens; None means no cap.
        today: the day that decides which models have ended.

    Raises:
        MeshError: INVALID_REQUEST, UNKNOWN_USE_CASE, UNKNOWN_MODEL or UNKNOWN_VENDOR, each naming the field.
    """
    embeds = facts.vectors is not None
    needs, purpose = _requirements(intent.requirements, intent.use_case, catalog)
    use_case = _use_case(purpose or usual_use_case(catalog, embeds), catalog)
    _refuse_unknown_words(intent)
    notices: list[str] = []
    named = _named_by_caller(intent, catalog, today, notices, embeds)
    pinned = _is_named(intent.model) or bool(intent.candidates)
    # Who names a model and nothing else has accepted its price; the default use case's tier was not their choice.
    usual = ANY_PRICE if pinned and not purpose else use_case.default_tier
    tier = TIERS.get(intent.tier, usual)
    candidates = named if pinned else _unique([*named, *_usual(use_case, tier, catalog, today, embeds)])
    if not pinned:
        _check_purpose(use_case, candidates, catalog, embeds)
    return Demand(
        use_case=use_case,
        tier=tier,
        price_cap=caps[tier],
        candidates=candidates,
        leading=len(named),
        pinned=pinned,
        needs=facts.needs | frozenset(use_case.requirements) | needs,
        data_policy=max(DATA_POLICIES[intent.data_policy], use_case.data_policy, key=DATA_POLICY_ORDER.index),
        guarantee=GUARANTEES.get(intent.stream_guarantee, use_case.stream_guarantee),
        allow_vendors=_vendors(intent.allow_vendors, "intent.allow_vendors", catalog),
        allow_models=tuple(intent.allow_models),
        deny_vendors=_vendors(intent.deny_vendors, "intent.deny_vendors", catalog),
        max_cost=_max_cost(intent),
        facts=facts,
        conversation=intent.conversation_id,
        labels=_labels(intent),
        notices=tuple(notices),
    )


def suggests_vectors(intent: router_pb2.Intent, catalog: Catalog) -> bool:
    """Tell whether the first model an intent names, by itself or by its use case, makes vectors."""
    names = [name for name in (intent.model, intent.preferred_model, *intent.candidates) if _is_named(name)]
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


def _is_named(model: str) -> bool:
    return model.casefold() not in ("", "auto")


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


def _named_by_caller(
    intent: router_pb2.Intent, catalog: Catalog, today: dt.date, notices: list[str], embeds: bool
) -> tuple[ModelRef, ...]:
    """Return the models the caller listed, or pinned, with other hosts unless strict, or else prefers.

    Vectors of two models cannot be compared: a model pinned for them has no other hosts and no successor.
    """
    if intent.candidates:
        return _listed(intent, catalog, today, notices, embeds)
    if _is_named(intent.model):
        refs = _named(intent.model, "intent.model", catalog, embeds)
        if embeds:
            return refs
        pinned = [_alive(ref, catalog, today, notices) for ref in refs]
        others = [] if intent.strict else [*_successors(pinned, catalog), *_other_hosts(pinned, catalog, today)]
        return _unique([*pinned, *others])
    if _is_named(intent.preferred_model):
        refs = _named(intent.preferred_model, "intent.preferred_model", catalog, embeds)
        return _unique([_alive(ref, catalog, today, notices) for ref in refs])
    return ()


def _listed(
    intent: router_pb2.Intent, catalog: Catalog, today: dt.date, notices: list[str], embeds: bool
) -> tuple[ModelRef, ...]:
    """Return the models of a list the caller gave, in its order."""
    field = "intent.candidates"
    for other in ("model", "preferred_model"):
        if _is_named(getattr(intent, other)):
            raise invalid(field, f"must be empty when {other} is set")
    if embeds:
        raise invalid(field, "vectors of different models cannot be compared; name one in model")
    if len(intent.candidates) > MOST_CANDIDATES:
        raise invalid(field, f"must not be more than {MOST_CANDIDATES}")
    for place, name in enumerate(intent.candidates):
        if not _is_named(name):
            raise invalid(f"{field}[{place}]", "must name a model, an alias, a family or a vendor")
    named = [_named(name, f"{field}[{place}]", catalog, embeds) for place, name in enumerate(intent.candidates)]
    return _unique(_alive(ref, catalog, today, notices) for refs in named for ref in refs)


def _usual(use_case: UseCase, tier: str, catalog: Catalog, today: dt.date, embeds: bool) -> Sequence[ModelRef]:
    """Return the use case's own candidates for a tier; none listed means every model that is alive."""
    listed = use_case.candidates.get(tier)
    if listed is None:
        return catalog.serving(today, embeds=embeds)
    untold: list[str] = []  # the caller named none of these
    return [_alive(ref, catalog, today, untold) for name in listed for ref in catalog.resolve(name)]


def _named(name: str, field: str, catalog: Catalog, embeds: bool) -> tuple[ModelRef, ...]:
    vendor = catalog.vendor(name)
    found = catalog.resolve(name)
    if not found and vendor is not None:
        active = [model for model in vendor.models.values() if model.status == "active"]
        able = [model for model in active if model.embeds is embeds]
        found = tuple(ModelRef(vendor.id, model.id) for model in able or active)
    if found:
        return found
    closest = ", ".join(catalog.closest(name))
    unknown = f"unknown model `{name[:120]}`" + (f"; closest: {closest}" if closest else "")
    ended = vendor is not None and vendor.retired_on
    raise MeshError(
        Reason.UNKNOWN_MODEL,
        f"{name[:120]} ended on {ended}, and its models with it" if ended else unknown,
        metadata={"model": name[:120], "closest": closest},
        fields=[FieldViolation(field, "must be a model of the catalogue; ListModels names them")],
    )


def _alive(ref: ModelRef, catalog: Catalog, today: dt.date, notices: list[str]) -> ModelRef:
    model = catalog.vendors[ref.vendor].models[ref.model]
    successor = catalog.successor(ref) if model.retired_by(today) else None
    if successor is None:
        return ref
    notice = f"model {ref} was retired on {model.retired_on}, served by {successor}"
    if notice not in notices:
        notices.append(notice)
    return successor


def _successors(named: list[ModelRef], catalog: Catalog) -> list[ModelRef]:
    """Return who serves when a model of which nobody knows whether it lives turns out to have ended."""
    doubtful = [ref for ref in named if catalog.vendors[ref.vendor].models[ref.model].status == "unknown"]
    return [successor for ref in doubtful if (successor := catalog.successor(ref)) is not None]


def _other_hosts(named: list[ModelRef], catalog: Catalog, today: dt.date) -> list[ModelRef]:
    families = {catalog.vendors[ref.vendor].models[ref.model].family for ref in named} - {""}
    return [ref for ref in catalog.serving(today) if catalog.vendors[ref.vendor].models[ref.model].family in families]


def _unique(refs: Iterable[ModelRef]) -> tuple[ModelRef, ...]:
    return tuple(dict.fromkeys(refs))
