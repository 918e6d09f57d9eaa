"""Answers ListModels from the catalogue and the provider services' own words."""

import datetime as dt
from collections.abc import Mapping

from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, Model, ModelRef, Vendor
from meshkit.errors import FieldViolation, MeshError, Reason
from router_service.offers import UNDESCRIBED, VendorState


def models(
    catalog: Catalog, states: Mapping[str, VendorState], request: router_pb2.ListModelsRequest, today: dt.date
) -> router_pb2.ListModelsResponse:
    """List the models of one vendor or of all; without `all` only active ones of usable vendors."""
    vendors = [_named(catalog, request.vendor)] if request.vendor else list(catalog.vendors.values())
    told = [
        _model(catalog, vendor, model, today, usable=bool(state.slots) and model.id not in state.lacks)
        for vendor in vendors
        for state in (states.get(vendor.id, UNDESCRIBED),)
        for model in vendor.models.values()
    ]
    shown = told if request.all else [model for model in told if model.usable and model.status == "active"]
    return router_pb2.ListModelsResponse(models=sorted(shown, key=lambda model: model.id))


def _named(catalog: Catalog, name: str) -> Vendor:
    vendor = catalog.vendor(name)
    if vendor is None:
        known = ", ".join(sorted(catalog.vendors))
        text = f"unknown vendor `{name[:80]}`; known: {known}"
        raise MeshError(Reason.UNKNOWN_VENDOR, text, fields=[FieldViolation("vendor", f"must be one of: {known}")])
    return vendor


def _model(catalog: Catalog, vendor: Vendor, model: Model, today: dt.date, *, usable: bool) -> router_pb2.Model:
    ref = ModelRef(vendor.id, model.id)
    successor = catalog.successor(ref)
    ended = model.retired_by(today) or vendor.retired_by(today)
    told = router_pb2.Model(
        id=str(ref),
        vendor=vendor.id,
        model=model.id,
        status="retired" if ended else model.status,
        retired_on=str(model.retired_on or vendor.retired_on or ""),
        successor=str(successor or ""),
        family=model.family,
        context_window=model.context_window,
        capabilities=sorted(model.capabilities),
        model_class=model.model_class,
        usable=usable and not vendor.retired_by(today),
        short_names=model.short_names,
    )
    if model.price is not None:
        told.input_price_nanos, told.output_price_nanos = model.price.input, model.price.output
    return told
