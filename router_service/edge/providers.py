"""Serves GET /llm/providers: every vendor by the name its replies carry, with its models or the reason why not."""

from aiohttp import web
from llmmesh.router.v1 import router_pb2

from router_service.edge.exchange import json_response, within
from router_service.edge.shapes.lists import Provider
from router_service.edge.shapes.lists import Providers as ProviderList
from router_service.interface import Router

SECONDS = 10.0


class Providers:
    """The endpoint."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def listing(self, _request: web.Request) -> web.Response:
        """List the vendors by group, active ones first."""
        async with within(SECONDS):
            vendors = (await self._router.list_vendors(router_pb2.ListVendorsRequest())).vendors
            models = (await self._router.list_models(router_pb2.ListModelsRequest(all=True))).models
        groups = list(dict.fromkeys(vendor.group for vendor in vendors))
        ordered = sorted(vendors, key=lambda vendor: (groups.index(vendor.group), vendor.status != "active"))
        told = [_provider(vendor, [model for model in models if model.vendor == vendor.id]) for vendor in ordered]
        reply: ProviderList = {"providers": told}
        return json_response(reply)


def _provider(vendor: router_pb2.Vendor, models: list[router_pb2.Model]) -> Provider:
    told: Provider = {"name": vendor.reply_name, "status": vendor.status, "group": vendor.group}
    if vendor.status != "active":
        told["reason"] = _reason(vendor)
        return told
    alive = [model for model in models if model.status == "active"]
    short = [name for model in alive for name in model.short_names]
    told["models"] = [*short, *(model.model for model in alive)]
    told["retired_models"] = [
        {"name": model.model, "successor": model.successor or None} for model in models if model.status == "retired"
    ]
    return told


def _reason(vendor: router_pb2.Vendor) -> str:
    """Return why a vendor is not active; here it is named beside, so that the usual reason needs no name."""
    return vendor.reason.removesuffix(f" for {vendor.id}") if vendor.reason_code == "not_configured" else vendor.reason
