"""Finds the models an intent names: what a name means, who serves instead of what has ended, and other hosts."""

import datetime as dt
from collections.abc import Iterable, Sequence

from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, ModelRef, UseCase
from meshkit.errors import FieldViolation, MeshError, Reason, invalid

MOST_CANDIDATES = 16


def is_named(model: str) -> bool:
    """Tell whether a field names a model; else the choice is free."""
    return model.casefold() not in ("", "auto")


def named_by_caller(
    intent: router_pb2.Intent, catalog: Catalog, today: dt.date, notices: list[str], embeds: bool
) -> tuple[ModelRef, ...]:
    """Return the models the caller listed, or pinned, with other hosts unless strict, or else prefers.

    Vectors of two models cannot be compared: a model pinned for them has no other hosts and no successor.
    """
    if intent.candidates:
        return _listed(intent, catalog, today, notices, embeds)
    if is_named(intent.model):
        refs = _named(intent.model, "intent.model", catalog, embeds)
        if embeds:
            return refs
        pinned = [_alive(ref, catalog, today, notices) for ref in refs]
        others = [] if intent.strict else _instead(intent.model, pinned, catalog, today)
        return unique([*pinned, *others])
    if is_named(intent.preferred_model):
        refs = _named(intent.preferred_model, "intent.preferred_model", catalog, embeds)
        return unique([_alive(ref, catalog, today, notices) for ref in refs])
    return ()


def _listed(
    intent: router_pb2.Intent, catalog: Catalog, today: dt.date, notices: list[str], embeds: bool
) -> tuple[ModelRef, ...]:
    """Return the models of a list the caller gave, in its order."""
    field = "intent.candidates"
    for other in ("model", "preferred_model"):
        if is_named(getattr(intent, other)):
            raise invalid(field, f"must be empty when {other} is set")
    if embeds:
        raise invalid(field, "vectors of different models cannot be compared; name one in model")
    if len(intent.candidates) > MOST_CANDIDATES:
        raise invalid(field, f"must not be more than {MOST_CANDIDATES}")
    for place, name in enumerate(intent.candidates):
        if not is_named(name):
            raise invalid(f"{field}[{place}]", "must name a model, an alias, a family or a vendor")
    named = [_named(name, f"{field}[{place}]", catalog, embeds) for place, name in enumerate(intent.candidates)]
    return unique(_alive(ref, catalog, today, notices) for refs in named for ref in refs)


def usual(use_case: UseCase, tier: str, catalog: Catalog, today: dt.date, embeds: bool) -> Sequence[ModelRef]:
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


def _instead(name: str, pinned: list[ModelRef], catalog: Catalog, today: dt.date) -> list[ModelRef]:
    """Return who else may serve what is pinned by that name."""
    vendor = None if catalog.resolve(name) else catalog.vendor(name)
    # Of a vendor named alone, other hosts may serve any model, those too of which nobody knows whether it has them.
    hosted = pinned if vendor is None else [ModelRef(vendor.id, model) for model in vendor.models]
    return [*_successors(pinned, catalog), *_other_hosts(hosted, catalog, today)]


def _successors(named: list[ModelRef], catalog: Catalog) -> list[ModelRef]:
    """Return who serves when a model of which nobody knows whether it lives turns out to have ended."""
    doubtful = [ref for ref in named if catalog.vendors[ref.vendor].models[ref.model].status == "unknown"]
    return [successor for ref in doubtful if (successor := catalog.successor(ref)) is not None]


def _other_hosts(named: list[ModelRef], catalog: Catalog, today: dt.date) -> list[ModelRef]:
    families = {catalog.vendors[ref.vendor].models[ref.model].family for ref in named} - {""}
    return [ref for ref in catalog.serving(today) if catalog.vendors[ref.vendor].models[ref.model].family in families]


def unique(refs: Iterable[ModelRef]) -> tuple[ModelRef, ...]:
    """Keep the first of the same."""
    return tuple(dict.fromkeys(refs))
