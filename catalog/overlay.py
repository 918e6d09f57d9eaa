"""Lays the models, plans and use cases of mesh.yaml over the catalogue."""

from dataclasses import replace
from types import MappingProxyType

from catalog.checks import Complaint, Place, check_use_cases, check_vendor
from catalog.mesh_rows import MeshFile, VendorSettingsRow
from catalog.model import Catalog, Vendor
from catalog.plan import Plan
from meshkit.yaml_file import ConfigError, Document


def laid_over(catalog: Catalog, file: MeshFile, document: Document) -> Catalog:
    """Return the catalogue with what mesh.yaml adds or replaces.

    Raises:
        ConfigError: the file names a vendor nobody knows, or something it adds does not hold together.
    """
    for name in file.vendors:
        if name not in catalog.vendors:
            raise document.error(("vendors", name), "unknown vendor", ", ".join(catalog.vendors))
    vendors = {name: _vendor(vendor, file.vendors.get(name)) for name, vendor in catalog.vendors.items()}
    cases = {name: row.use_case(name) for name, row in file.use_cases.items()}
    merged = Catalog(
        vendors=MappingProxyType(vendors),
        use_cases=MappingProxyType({**catalog.use_cases, **cases}),
        version=catalog.version,
    )
    for name in file.vendors:
        check_vendor(merged, vendors[name], _complaint(document, name))
    check_use_cases(merged, document, frozenset(cases))
    return merged


def _complaint(document: Document, vendor: str) -> Complaint:
    """Report mistakes of a vendor where mesh.yaml speaks of it."""

    def complain(place: Place, problem: str, allowed: str = "") -> ConfigError:
        return document.error(("vendors", vendor, *place), problem, allowed)

    return complain


def _vendor(vendor: Vendor, row: VendorSettingsRow | None) -> Vendor:
    """Return a vendor with the models mesh.yaml adds, and with a plan for every plan it limits."""
    if row is None:
        return vendor
    models = {**vendor.models, **{name: model.model(name) for name, model in row.models.items()}}
    plans: dict[str, Plan] = {name: Plan(name) for name in row.limits}
    plans.update(vendor.plans)
    return replace(vendor, models=MappingProxyType(models), plans=MappingProxyType(plans))
