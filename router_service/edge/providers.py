"""Serves GET /llm/providers: every vendor by the name its replies carry, with its models or the reason why not."""

from typing import Any

import msgspec
from aiohttp import web
from llmmesh.router.v1 import router_pb2

from router_service.edge.exchange import within
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
        return web.Response(body=msgspec.json.encode({"providers": told}), content_type="application/json")


def _provider(vendor: router_pb2.Vendor, models: list[router_pb2.Model]) -> dict[str, Any]:
    told: dict[str, Any] = {"name": vendor.reply_name, "status": vendor.status, "group": vendor.group}
    if vendor.status != "active":
        return told | {"reason": _reason(vendor)}
    alive = [model for model in models if model.status == "active"]
    short = [name for model in alive for name in model.short_names]
    ended = [
        {"name": model.model, "successor": model.successor or None} for model in models if model.status == "retired"
    ]
    return told | {"models": [*short, *(model.model for model in alive)], "retired_models": ended}


def _reason(vendor: router_pb2.Vendor) -> str:
    """Return why a vendor is not active; here it is named beside, so that the usual reason needs no name."""
    return vendor.reason.removesuffix(f" for {vendor.id}") if vendor.reason_code == "not_configured" else vendor.reason
