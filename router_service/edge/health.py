"""Serves GET /health, which says whether the router serves, and GET /api/health, which says how the whole mesh is."""

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.router.v1 import router_pb2

from router_service.edge import extension
from router_service.edge.exchange import KEY, within
from router_service.interface import Router

SECONDS = 15.0
MONEY = "nanodollars"


class Health:
    """The two endpoints."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def brief(self, _request: web.Request) -> web.Response:
        """Say whether the router serves, in one word; 503 when it does not."""
        reason = self._router.serving()
        if reason is None:
            return _json({"status": "ok"})
        return _json({"status": "unavailable", "reason": reason}, status=503)

    async def full(self, request: web.Request) -> web.Response:
        """Say who serves now, since when machines of ours stand in, what is used and left, and what is broken."""
        async with within(SECONDS):
            told = await self._router.health(router_pb2.GetHealthRequest(), request[KEY].caller)
        serving = told.serving[0] if told.serving else None
        return _json(
            {
                "status": "ok" if told.can_serve else "unavailable",
                "problem": told.problem or None,
                "serving_now": serving.partition("/")[0] if serving else None,
                "serving_offer": serving,
                "use_case": told.use_case,
                "local_fallback": {"active": told.local_fallback, "since": _moment(told, "local_since")},
                "providers": [_provider(vendor) for vendor in told.vendors],
                "totals": _totals(told.totals),
                "warnings": list(told.warnings),
            }
        )


def _provider(vendor: router_pb2.Vendor) -> dict[str, Any]:
    told: dict[str, Any] = {"name": vendor.id, "status": vendor.status}
    if vendor.reason:
        told["reason"] = vendor.reason
    return told | {"breaker": _breaker(vendor.breakers), "quotas": [_quota(quota) for quota in vendor.quotas]}


def _breaker(breakers: Iterable[router_pb2.Breaker]) -> str:
    """Return the state of a vendor's breakers: those that are not named are closed, an open one outweighs the rest."""
    states = {breaker.state for breaker in breakers}
    return next((state for state in ("open", "half_open") if state in states), "closed")


def _quota(quota: router_pb2.Quota) -> dict[str, Any]:
    money = quota.unit == MONEY
    figures = {name: getattr(quota, name) for name in ("limit", "used", "held", "left")}
    return {
        "unit": "usd" if money else quota.unit,
        "window": quota.period,
        **{name: extension.usd(figure) if money else figure for name, figure in figures.items()},
        "resets_at": _moment(quota, "resets_at"),
    }


def _totals(totals: router_pb2.Totals) -> dict[str, Any]:
    return {
        "requests_per_day_left": totals.requests_per_day_left,
        "tokens_per_month_left": totals.tokens_per_month_left,
        "requests_per_month_left": totals.requests_per_month_left,
        "tokens_per_day_left": totals.tokens_per_day_left,
        "credit_usd_left": extension.usd(totals.credit_left_nanos),
        "unlimited": list(totals.unlimited),
        "unlimited_paid": list(totals.unlimited_paid),
    }


def _moment(message: router_pb2.GetHealthResponse | router_pb2.Quota, name: str) -> str | None:
    if not message.HasField(name):  # type: ignore[arg-type]
        return None
    moment: Timestamp = getattr(message, name)
    return moment.ToJsonString()


def _json(value: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")
