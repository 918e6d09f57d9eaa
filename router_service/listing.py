"""Answers ListModels and ListVendors from the catalogue, the provider services' own words and the ledger."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, Model, ModelRef, Vendor
from meshkit.errors import FieldViolation, MeshError, Reason
from router_service.breakers import Breakers
from router_service.offers import UNDESCRIBED, VendorState
from router_service.vendors import Vendors

GROUPS = ("premium", "cost_optimised", "speed", "enterprise", "local")


def models(
    catalog: Catalog, states: Mapping[str, VendorState], request: router_pb2.ListModelsRequest
) -> router_pb2.ListModelsResponse:
    """List the models of one vendor or of all; without `all` only active ones of usable vendors."""
    vendors = [_named(catalog, request.vendor)] if request.vendor else list(catalog.vendors.values())
    told = [
        _model(catalog, vendor, model, usable=bool(state.slots) and model.id not in state.lacks)
        for vendor in vendors
        for state in (states.get(vendor.id, UNDESCRIBED),)
        for model in vendor.models.values()
    ]
    shown = told if request.all else [model for model in told if model.usable and model.status == "active"]
    return router_pb2.ListModelsResponse(models=sorted(shown, key=lambda model: model.id))


def vendors(
    catalog: Catalog,
    connected: Vendors,
    breakers: Breakers,
    budgets: Iterable[quota_pb2.BudgetState],
    now: float,
) -> router_pb2.ListVendorsResponse:
    """List every vendor of the catalogue, by group and id."""
    states = connected.states()
    by_vendor: dict[str, list[router_pb2.VendorBudget]] = {}
    for budget in budgets:
        by_vendor.setdefault(budget.subject.partition("/")[0], []).append(_budget(budget))
    told = []
    for vendor in sorted(catalog.vendors.values(), key=lambda v: (GROUPS.index(v.group), v.id)):
        row = _vendor(vendor, states.get(vendor.id, UNDESCRIBED))
        row.budgets.extend(by_vendor.get(vendor.id, ()))
        if (breaker := breakers.not_closed().get(vendor.id)) is not None:
            probe_at = datetime.fromtimestamp(now + breaker[1], UTC)
            row.breakers.add(subject=vendor.id, state=breaker[0].value, probe_at=probe_at)
        if (described_at := connected.described_at(vendor.id)) is not None:
            row.described_at.FromDatetime(datetime.fromtimestamp(described_at, UTC))
        told.append(row)
    return router_pb2.ListVendorsResponse(vendors=told)


def _named(catalog: Catalog, name: str) -> Vendor:
    vendor = catalog.vendor(name)
    if vendor is None:
        known = ", ".join(sorted(catalog.vendors))
        text = f"unknown vendor `{name[:80]}`; known: {known}"
        raise MeshError(Reason.UNKNOWN_VENDOR, text, fields=[FieldViolation("vendor", f"must be one of: {known}")])
    return vendor


def _model(catalog: Catalog, vendor: Vendor, model: Model, *, usable: bool) -> router_pb2.Model:
    ref = ModelRef(vendor.id, model.id)
    successor = catalog.successor(ref)
    told = router_pb2.Model(
        id=str(ref),
        vendor=vendor.id,
        model=model.id,
        status=model.status,
        retired_on=str(model.retired_on or ""),
        successor=str(successor or ""),
        family=model.family,
        context_window=model.context_window,
        capabilities=sorted(model.capabilities),
        model_class=model.model_class,
        usable=usable,
    )
    if model.price is not None:
        told.input_price_nanos, told.output_price_nanos = model.price.input, model.price.output
    return told


def _vendor(vendor: Vendor, state: VendorState) -> router_pb2.Vendor:
    if vendor.retired_on is not None:
        status, reason = "retired", f"ended on {vendor.retired_on}"
    else:
        status, reason = ("active", "") if state.slots else ("inactive", state.detail)
    return router_pb2.Vendor(
        id=vendor.id,
        display_name=vendor.display_name,
        group=vendor.group,
        status=status,
        reason=reason,
        usable_slots=len(state.slots),
        models=sum(model.status == "active" for model in vendor.models.values()),
    )


def _budget(budget: quota_pb2.BudgetState) -> router_pb2.VendorBudget:
    told = router_pb2.VendorBudget(
        id=budget.id,
        unit=budget.unit,
        window=budget.window,
        limit=budget.limit,
        used=budget.used,
        held=budget.held,
        left=budget.left,
    )
    if budget.HasField("resets_at"):
        told.resets_at.CopyFrom(budget.resets_at)
    return told
