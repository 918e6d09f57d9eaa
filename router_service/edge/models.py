"""Serves GET /v1/models and GET /v1/models/{id}: the OpenAI list, with prices, limits and status."""

import difflib

from aiohttp import web
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason, invalid
from router_service.edge import extension
from router_service.edge.exchange import json_response, within
from router_service.edge.shapes.lists import Model
from router_service.edge.shapes.lists import Models as ModelList
from router_service.interface import Router

SWITCHES = {"": False, "0": False, "false": False, "1": True, "true": True}
SECONDS = 10.0


class Models:
    """The two endpoints."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def listing(self, request: web.Request) -> web.Response:
        """List models of vendors with a key; `?all=true` adds the others and retired ones, `?vendor=` narrows."""
        switch = request.query.get("all", "").lower()
        if switch not in SWITCHES:
            raise invalid("all", "must be true or false")
        models = await self._models(request.query.get("vendor", ""), SWITCHES[switch])
        told: ModelList = {"object": "list", "data": [_model(model) for model in models]}
        return json_response(told)

    async def one(self, request: web.Request) -> web.Response:
        """Describe one model by "vendor/model", or by the vendor's own id of it."""
        wanted = request.match_info["id"]
        models = await self._models("", everything=True)
        for model in sorted(models, key=lambda model: model.id != wanted):
            if wanted in (model.id, model.model):
                return json_response(_model(model))
        closest = difflib.get_close_matches(wanted, [model.id for model in models])
        hint = f"; closest: {', '.join(closest)}" if closest else ""
        raise MeshError(
            Reason.UNKNOWN_MODEL,
            f"no model is called {wanted[:100]}{hint}",
            metadata={"model": wanted[:100], "closest": ", ".join(closest)},
        )

    async def _models(self, vendor: str, everything: bool) -> list[router_pb2.Model]:
        async with within(SECONDS):
            request = router_pb2.ListModelsRequest(vendor=vendor, all=everything)
            return [*(await self._router.list_models(request)).models]


def _model(model: router_pb2.Model) -> Model:
    return {
        "id": model.id,
        "object": "model",
        "created": 0,  # vendors do not say
        "owned_by": model.vendor,
        "status": model.status,
        "usable": model.usable,
        "shutdown_date": model.retired_on or None,
        "successor": model.successor or None,
        "family": model.family or None,
        "model_class": model.model_class,
        "context_window": model.context_window or None,
        "input_usd_per_1m": extension.usd(model.input_price_nanos) if model.HasField("input_price_nanos") else None,
        "output_usd_per_1m": extension.usd(model.output_price_nanos) if model.HasField("output_price_nanos") else None,
        "capabilities": list(model.capabilities),
    }
