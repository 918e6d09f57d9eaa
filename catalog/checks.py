"""Checks what no single key can tell: names used twice, successors that lead nowhere, limits that clash."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from catalog.keys import holds_key
from catalog.model import Catalog, ModelRef, UseCase, Vendor
from catalog.plan import Limit, matches
from meshkit.yaml_file import ConfigError, Document

Place = tuple[str | int, ...]


class Complaint(Protocol):
    """Makes the error for a mistake at a place within a vendor's row."""

    def __call__(self, place: Place, problem: str, allowed: str = "", /) -> ConfigError:
        """Return the error, to be raised."""
        ...


def check_catalog(catalog: Catalog, documents: Mapping[str, Document], use_cases: Document | None) -> None:
    """Check a whole catalogue against the documents it was read from.

    Raises:
        ConfigError: the first mistake found.
    """
    _check_vendor_names(catalog, documents)
    for vendor in catalog.vendors.values():
        _check_ports(catalog, vendor, documents[vendor.id].error)
        _check_keys(catalog, vendor, documents[vendor.id].error)
        check_vendor(catalog, vendor, documents[vendor.id].error)
    if use_cases is not None:
        check_use_cases(catalog, use_cases, frozenset(catalog.use_cases))


def check_vendor(catalog: Catalog, vendor: Vendor, complain: Complaint) -> None:
    """Check the plans, model names and successors of one vendor."""
    _check_plans(vendor, complain)
    _check_model_names(vendor, complain)
    _check_successors(catalog, vendor, complain)


def check_use_cases(catalog: Catalog, document: Document, names: frozenset[str]) -> None:
    """Check the names and candidates of those use cases."""
    seen: dict[str, str] = {}
    for case in catalog.use_cases.values():
        place = ("use_cases", case.name)
        for name in (case.name, *case.aliases):
            if (owner := seen.setdefault(name.casefold(), case.name)) != case.name:
                raise document.error((*place, "aliases"), f"`{name}` already names the use case {owner}")
        if case.name not in names:
            continue
        _check_names_in(case, catalog, document)


def _check_names_in(case: UseCase, catalog: Catalog, document: Document) -> None:
    """Check that the vendors and models a use case names are known."""
    place = ("use_cases", case.name)
    for vendor in case.weights:
        if vendor not in catalog.vendors:
            raise document.error((*place, "weights", vendor), "unknown vendor", ", ".join(catalog.vendors))
    for tier, candidates in case.candidates.items():
        for number, candidate in enumerate(candidates):
            if not catalog.resolve(candidate):
                closest = ", ".join(catalog.closest(candidate)) or "vendor/model of a catalogue row"
                raise document.error((*place, "candidates", tier, number), f"unknown model `{candidate}`", closest)


def check_limits(limits: tuple[Limit, ...], models: Iterable[str], complain: Complaint, place: Place) -> None:
    """Refuse two limits that would be one budget, and an account's limit that does not hold for the whole account."""
    seen: dict[tuple[str, str, str], int] = {}
    for number, limit in enumerate(limits):
        if limit.scope == "account" and limit.models:
            raise complain(
                (*place, number, "models"), "an account's limit holds for every model", "scope: model or pool"
            )
        if limit.scope == "model":
            subjects = [model for model in models if matches(model, limit.models)] or list(limit.models)
        else:
            subjects = [f"pool {limit.pool}" if limit.pool else "the account"]
        for subject in subjects:
            budget = (subject, limit.unit, limit.window.label)
            if seen.setdefault(budget, number) != number:
                problem = f"limits {limit.unit} per {limit.window.label} of {subject} a second time"
                raise complain((*place, number), problem)


def _check_vendor_names(catalog: Catalog, documents: Mapping[str, Document]) -> None:
    """Refuse a name that means two vendors."""
    owners = {vendor.casefold(): vendor for vendor in catalog.vendors}
    for vendor in catalog.vendors.values():
        for number, alias in enumerate(vendor.aliases):
            owner = owners.setdefault(alias.casefold(), f"{vendor.id} (as an alias)")
            if owner != f"{vendor.id} (as an alias)" or alias in vendor.aliases[:number]:
                raise documents[vendor.id].error(("aliases", number), f"`{alias}` already names {owner}")


def _check_ports(catalog: Catalog, vendor: Vendor, complain: Complaint) -> None:
    """Refuse two vendors on one port."""
    for other in catalog.vendors.values():
        if other.port_offset == vendor.port_offset and other.id < vendor.id:
            raise complain(("port_offset",), f"{vendor.port_offset} is already the port of {other.id}")


def _check_plans(vendor: Vendor, complain: Complaint) -> None:
    """Check that plans named are plans defined, and that their limits do not clash."""
    if vendor.default_plan not in vendor.plans:
        raise complain(("default_plan",), f"no plan `{vendor.default_plan}`", ", ".join(vendor.plans))
    for name, plan in vendor.plans.items():
        check_limits(plan.limits, vendor.models, complain, ("plans", name, "limits"))
    for model in vendor.models.values():
        for name, limits in model.limits.items():
            if name not in vendor.plans:
                raise complain(("models", model.id, "limits", name), f"no plan `{name}`", ", ".join(vendor.plans))
            check_limits(limits, (model.id,), complain, ("models", model.id, "limits", name))


def _check_keys(catalog: Catalog, vendor: Vendor, complain: Complaint) -> None:
    """Check that a vendor that wants a key says in which variables, and that its endpoint can be filled in."""
    if (vendor.auth.kind == "none") == bool(vendor.key_env):
        raise complain(("key_env",), "variables for keys and auth kind none exclude each other", "one of the two")
    for number, name in enumerate(vendor.key_env):
        owners = (other.id for other in catalog.vendors.values() if other.id < vendor.id and _shared(name, other))
        if (owner := next(owners, None)) is not None:
            raise complain(("key_env", number), f"`{name}` already holds a key of {owner}", "a variable of its own")
    for part in vendor.endpoint_parts:
        if f"{{{part}}}" not in vendor.endpoint:
            raise complain(("endpoint_parts", part), f"the endpoint has no `{{{part}}}`")


def _shared(variable: str, vendor: Vendor) -> bool:
    """Tell whether a variable would be taken for one of a vendor's keys, or one of those for its."""
    return holds_key(vendor.key_env, variable) or any(holds_key((variable,), name) for name in vendor.key_env)


def _check_model_names(vendor: Vendor, complain: Complaint) -> None:
    """Refuse a name that means two models of one vendor."""
    owners: dict[str, str] = {}
    for model in vendor.models:
        if (owner := owners.setdefault(model.casefold(), model)) != model:
            raise complain(("models", model), f"differs from {owner} only in case")
    for model, key, number, name in _other_names(vendor):
        owner = owners.setdefault(name.casefold(), f"{model} ({key} {number})")
        if owner != f"{model} ({key} {number})":
            raise complain(("models", model, key, number), f"`{name}` already names {owner}")


def _other_names(vendor: Vendor) -> Iterator[tuple[str, str, int, str]]:
    """Name every alias and short name of a vendor's models with its place."""
    for model in vendor.models.values():
        for key, names in (("aliases", model.aliases), ("short_names", model.short_names)):
            for number, name in enumerate(names):
                yield model.id, key, number, name


def _check_successors(catalog: Catalog, vendor: Vendor, complain: Complaint) -> None:
    """Check that a successor exists, and that following it never comes back."""
    for model in vendor.models.values():
        place = ("models", model.id, "successor")
        start = ModelRef(vendor.id, model.id)
        if model.successor and catalog.next_of(start) is None:
            raise complain(place, f"unknown successor `{model.successor}`", "a model of this vendor, or vendor/model")
        path = [start]
        while (step := catalog.next_of(path[-1])) is not None:
            if step in path:
                circle = " -> ".join(str(ref) for ref in [*path[path.index(step) :], step])
                raise complain(place, f"successors run in a circle: {circle}")
            path.append(step)
