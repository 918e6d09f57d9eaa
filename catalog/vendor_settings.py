"""Works out what this mesh knows of each vendor: address, endpoint, slots, limits."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from catalog.checks import check_limits
from catalog.endpoints import endpoint_of
from catalog.environment import endpoint_variable, local_models_enabled
from catalog.mesh_rows import MeshFile, VendorSettingsRow
from catalog.model import Catalog, Vendor
from catalog.plan import Limit, PlanName
from catalog.settings import Address, Endpoint, Slot, VendorSettings
from meshkit.yaml_file import Document

_NOTHING_SAID = VendorSettingsRow()


def vendor_settings(
    catalog: Catalog, file: MeshFile, env: Mapping[str, str], document: Document
) -> dict[str, VendorSettings]:
    """Return the settings of every vendor of the catalogue."""
    local = local_models_enabled(env)
    return {
        name: _settings(
            vendor, file, env, document, disabled_by="" if local or not vendor.local else "LOCAL_MODELS_ENABLED"
        )
        for name, vendor in catalog.vendors.items()
    }


def _settings(
    vendor: Vendor, file: MeshFile, env: Mapping[str, str], document: Document, *, disabled_by: str
) -> VendorSettings:
    """Return the settings of one vendor."""
    row = file.vendors.get(vendor.id, _NOTHING_SAID)
    disabled_by = disabled_by or ("" if row.enabled else "mesh.yaml")
    endpoint, forced = _endpoint(vendor, row, env, document)
    return VendorSettings(
        enabled=not disabled_by,
        disabled_by=disabled_by,
        endpoint=endpoint,
        endpoint_forced=forced,
        address=_address(vendor, row, file),
        admin=f"{file.addresses.providers.host}:{file.addresses.providers.first_admin_port + vendor.port_offset}",
        slots=MappingProxyType({int(number): _slot(vendor, number, row, document) for number in row.slots}),
        limits=MappingProxyType(_limits(vendor, row, document)),
        concurrency=row.concurrency or 0,
        safety=row.safety,
        deployments=MappingProxyType(_deployments(vendor, row, document)),
    )


def _endpoint(
    vendor: Vendor, row: VendorSettingsRow, env: Mapping[str, str], document: Document
) -> tuple[Endpoint, bool]:
    """Return where the vendor is called, and whether that overrules the endpoints of its slots."""
    if env.get(endpoint_variable(vendor.id)):
        return Endpoint(row.endpoint or ""), True
    if row.endpoint and row.region:
        place = ("vendors", vendor.id, "region")
        raise document.error(place, "region and endpoint both say where to call", "one of the two")
    configured = row.endpoint or _region(vendor, row.region, document, ("vendors", vendor.id, "region"))
    return endpoint_of(vendor, env, configured), False


def _region(vendor: Vendor, region: str | None, document: Document, place: tuple[str, ...]) -> str:
    """Return a region's endpoint, nothing without a region."""
    if region is None:
        return ""
    if region not in vendor.regions:
        allowed = ", ".join(vendor.regions) or "none, this vendor has one host"
        raise document.error(place, f"unknown region `{region}`", allowed)
    return vendor.regions[region]


def _address(vendor: Vendor, row: VendorSettingsRow, file: MeshFile) -> Address:
    """Return where the provider service listens and is dialled."""
    providers = file.addresses.providers
    port = providers.first_port + vendor.port_offset
    listen = row.listen or f"{providers.host}:{port}"
    dial = row.dial or (providers.dial or listen).replace("{vendor}", vendor.id).replace("{port}", str(port))
    return Address(listen, dial)


def _slot(vendor: Vendor, number: str, settings: VendorSettingsRow, document: Document) -> Slot:
    """Return a slot, refusing a plan or region the vendor does not have, and a key where an account belongs."""
    place, row = ("vendors", vendor.id, "slots", number), settings.slots[number]
    if vendor.key_format and re.fullmatch(vendor.key_format, row.account):
        raise document.error((*place, "account"), "looks like a key", "a name of your own; keys go into variables")
    plan = row.plan or vendor.default_plan
    if plan not in vendor.plans:
        raise document.error((*place, "plan"), f"no plan `{plan}`", ", ".join(vendor.plans))
    if row.expires_on is not None and not _has_credit(vendor, settings, plan):
        allowed = f"with a limit of window once in limits.{plan}"
        raise document.error((*place, "expires_on"), f"the plan `{plan}` has no one-off credit that could end", allowed)
    endpoint = row.endpoint or _region(vendor, row.region, document, (*place, "region"))
    return Slot(int(number), row.account, plan, endpoint, row.expires_on)


def _has_credit(vendor: Vendor, settings: VendorSettingsRow, plan: PlanName) -> bool:
    """Tell whether a plan has a one-off limit."""
    if plan in settings.limits:
        return any(row.window == "once" for row in settings.limits[plan])
    of_models = (limit for model in vendor.models.values() for limit in model.limits.get(plan, ()))
    return any(limit.window.kind == "once" for limit in (*vendor.plans[plan].limits, *of_models))


def _limits(vendor: Vendor, row: VendorSettingsRow, document: Document) -> dict[str, tuple[Limit, ...]]:
    """Return the limits that replace those of a plan."""
    limits: dict[str, tuple[Limit, ...]] = {}
    for plan, rows in row.limits.items():
        limits[plan] = tuple(limit.limit(source="mesh.yaml") for limit in rows)
        check_limits(limits[plan], vendor.models, document.error, ("vendors", vendor.id, "limits", plan))
    return limits


def _deployments(vendor: Vendor, row: VendorSettingsRow, document: Document) -> dict[str, str]:
    """Return the names an account has given to models, refusing models nobody knows."""
    for model in row.deployments:
        if model not in vendor.models:
            raise document.error(
                ("vendors", vendor.id, "deployments", model), "unknown model", ", ".join(vendor.models)
            )
    return dict(row.deployments)
