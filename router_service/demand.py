"""Turns an intent into a demand: what is asked, with names resolved and every bad word refused by its field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, ModelRef, UseCase
from meshkit.errors import FieldViolation, MeshError, Reason, invalid
from router_service.prompt_facts import PromptFacts

DEFAULT_USE_CASE = "default"
TIERS: Mapping[router_pb2.Tier.ValueType, str] = {
    router_pb2.TIER_FREE: "free",
    router_pb2.TIER_ULTRA_ECONOMY: "ultra_economy",
    router_pb2.TIER_ECONOMY: "economy",
    router_pb2.TIER_STANDARD: "standard",
    router_pb2.TIER_PREMIUM: "premium",
}
DATA_POLICIES: Mapping[int, str] = {
    router_pb2.DATA_POLICY_LOCAL_ONLY: "local_only",
    router_pb2.DATA_POLICY_NO_TRAINING: "no_training",
}
GUARANTEES: Mapping[int, str] = {
    router_pb2.STREAM_GUARANTEE_FAST: "fast",
    router_pb2.STREAM_GUARANTEE_WHOLE: "whole",
    router_pb2.STREAM_GUARANTEE_RESTART: "restart",
}
REQUIREMENTS = frozenset({"vision", "tools", "json_object", "json_schema", "reasoning", "web_search"})


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks for, ready to be planned.

    `candidates` are models in order of preference; `pinned` says that nothing else may serve. `notices` tell the caller
    what a name was taken to mean.
    """

    use_case: UseCase
    tier: str
    price_cap: int | None
    candidates: tuple[ModelRef, ...]
    pinned: bool
    needs: frozenset[str]
    data_policy: str
    guarantee: str
    allow_vendors: frozenset[str]
    deny_vendors: frozenset[str]
    max_cost: int | None
    facts: PromptFacts
    notices: tuple[str, ...] = ()


def read(intent: router_pb2.Intent, facts: PromptFacts, catalog: Catalog, caps: Mapping[str, int | None]) -> Demand:
    """Resolve an intent.

    Args:
        intent: what the caller sent.
        facts: what the prompt needs.
        catalog: what is known.
        caps: each tier's cap on the blended price, nano-dollars per million tokens; None means no cap.

    Raises:
        MeshError: INVALID_REQUEST, UNKNOWN_USE_CASE, UNKNOWN_MODEL or UNKNOWN_VENDOR, each naming the field.
    """
    use_case = _use_case(intent.use_case, catalog)
    tier = TIERS.get(intent.tier, use_case.default_tier)
    policy = DATA_POLICIES.get(intent.data_policy, use_case.data_policy)
    candidates, notices = _candidates(intent, use_case, tier, catalog)
    return Demand(
        use_case=use_case,
        tier=tier,
        price_cap=caps[tier],
        candidates=candidates,
        pinned=_is_named(intent.model),
        needs=facts.needs | frozenset(use_case.requirements) | _requirements(intent.requirements),
        data_policy=policy,
        guarantee=GUARANTEES.get(intent.stream_guarantee, use_case.stream_guarantee),
        allow_vendors=_vendors(intent.allow_vendors, "intent.allow_vendors", catalog),
        deny_vendors=_vendors(intent.deny_vendors, "intent.deny_vendors", catalog),
        max_cost=_max_cost(intent),
        facts=facts,
        notices=notices,
    )


def _is_named(model: str) -> bool:
    return model.casefold() not in ("", "auto")


def _max_cost(intent: router_pb2.Intent) -> int | None:
    if not intent.HasField("max_cost_nanos"):
        return None
    if intent.max_cost_nanos < 0:
        raise invalid("intent.max_cost_nanos", "must not be negative")
    return intent.max_cost_nanos


def _use_case(name: str, catalog: Catalog) -> UseCase:
    found = catalog.use_case(name or DEFAULT_USE_CASE)
    if found is not None:
        return found
    allowed = ", ".join(sorted(catalog.use_cases))
    raise MeshError(
        Reason.UNKNOWN_USE_CASE,
        f"unknown use case `{name[:80]}`; configured: {allowed}",
        metadata={"use_case": name[:80], "allowed": allowed},
        fields=[FieldViolation("intent.use_case", f"must be one of: {allowed}")],
    )


def _requirements(names: Iterable[str]) -> frozenset[str]:
    asked = frozenset(names)
    if unknown := asked - REQUIREMENTS:
        known = ", ".join(sorted(REQUIREMENTS))
        raise invalid("intent.requirements", f"unknown `{min(unknown)[:80]}`; known: {known}")
    return asked


def _vendors(names: Iterable[str], field: str, catalog: Catalog) -> frozenset[str]:
    return frozenset(_vendor(name, field, catalog) for name in names)


def _vendor(name: str, field: str, catalog: Catalog) -> str:
    found = catalog.vendor(name)
    if found is not None:
        return found.id
    allowed = ", ".join(sorted(catalog.vendors))
    raise MeshError(
        Reason.UNKNOWN_VENDOR,
        f"unknown vendor `{name[:80]}`; known: {allowed}",
        metadata={"vendor": name[:80], "allowed": allowed},
        fields=[FieldViolation(field, f"must be one of: {allowed}")],
    )


def _candidates(
    intent: router_pb2.Intent, use_case: UseCase, tier: str, catalog: Catalog
) -> tuple[tuple[ModelRef, ...], tuple[str, ...]]:
    notices: list[str] = []
    if _is_named(intent.model):
        named = [_alive(ref, catalog, notices) for ref in _named(intent.model, "intent.model", catalog)]
        hosts = [] if intent.strict else _other_hosts(named, catalog)
        return _unique([*named, *hosts]), tuple(notices)
    preferred = []
    if _is_named(intent.preferred_model):
        refs = _named(intent.preferred_model, "intent.preferred_model", catalog)
        preferred = [_alive(ref, catalog, notices) for ref in refs]
    listed = use_case.candidates.get(tier)
    if listed is None:
        usual = [ref for ref in catalog.refs() if catalog.vendors[ref.vendor].models[ref.model].status == "active"]
    else:
        usual = [_alive(ref, catalog, notices) for name in listed for ref in catalog.resolve(name)]
    return _unique([*preferred, *usual]), tuple(notices)


def _named(name: str, field: str, catalog: Catalog) -> tuple[ModelRef, ...]:
    vendor = catalog.vendor(name)
    found = catalog.resolve(name)
    if not found and vendor is not None:
        found = tuple(ModelRef(vendor.id, m.id) for m in vendor.models.values() if m.status == "active")
    if found:
        return found
    closest = ", ".join(catalog.closest(name))
    raise MeshError(
        Reason.UNKNOWN_MODEL,
        f"unknown model `{name[:120]}`" + (f"; closest: {closest}" if closest else ""),
        metadata={"model": name[:120], "closest": closest},
        fields=[FieldViolation(field, "must be a model of the catalogue; ListModels names them")],
    )


def _alive(ref: ModelRef, catalog: Catalog, notices: list[str]) -> ModelRef:
    model = catalog.vendors[ref.vendor].models[ref.model]
    successor = catalog.successor(ref) if model.status == "retired" else None
    if successor is None:
        return ref
    notice = f"model {ref} was retired on {model.retired_on}, served by {successor}"
    if notice not in notices:
        notices.append(notice)
    return successor


def _other_hosts(named: list[ModelRef], catalog: Catalog) -> list[ModelRef]:
    families = {catalog.vendors[ref.vendor].models[ref.model].family for ref in named} - {""}
    return [
        ref
        for ref in catalog.refs()
        if (model := catalog.vendors[ref.vendor].models[ref.model]).family in families and model.status == "active"
    ]


def _unique(refs: list[ModelRef]) -> tuple[ModelRef, ...]:
    return tuple(dict.fromkeys(refs))
