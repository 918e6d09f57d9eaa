"""Serves GET /health, which says whether the router serves, and GET /api/health, which says how the whole mesh is."""

from collections.abc import Iterable

from aiohttp import web
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.router.v1 import router_pb2

from router_service.edge import extension
from router_service.edge.exchange import KEY, json_response, within
from router_service.edge.shapes import lists
from router_service.edge.shapes.mesh import Usd
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
        told: lists.Brief = {"status": "ok"} if reason is None else {"status": "unavailable", "reason": reason}
        return json_response(told, 200 if reason is None else 503)

    async def full(self, request: web.Request) -> web.Response:
        """Say who serves now, since when machines of ours stand in, what is used and left, and what is broken."""
        async with within(SECONDS):
            told = await self._router.health(router_pb2.GetHealthRequest(), request[KEY].caller)
        serving = told.serving[0] if told.serving else None
        reply: lists.Health = {
            "status": "ok" if told.can_serve else "unavailable",
            "problem": told.problem or None,
            "serving_now": serving.partition("/")[0] if serving else None,
            "serving_offer": serving,
            "use_case": told.use_case,
            "local_fallback": {"active": told.local_fallback, "since": moment(told, "local_since")},
            "providers": [_provider(vendor) for vendor in told.vendors],
            "totals": totals_row(told.totals),
            "warnings": list(told.warnings),
        }
        return json_response(reply)


def _provider(vendor: router_pb2.Vendor) -> lists.VendorHealth:
    told: lists.VendorHealth = {
        "name": vendor.id,
        "status": vendor.status,
        "breaker": _breaker(vendor.breakers),
        "quotas": [quota_row(quota) for quota in vendor.quotas],
    }
    if vendor.reason:
        told["reason"] = vendor.reason
    return told


def _breaker(breakers: Iterable[router_pb2.Breaker]) -> str:
    """Return the state of a vendor's breakers: those that are not named are closed, an open one outweighs the rest."""
    states = {breaker.state.removeprefix("forced_") for breaker in breakers}
    return next((state for state in ("open", "half_open") if state in states), "closed")


def quota_row(quota: router_pb2.Quota) -> lists.Quota:
    """Tell what may be done of one unit in one window."""
    return {
        "unit": "usd" if quota.unit == MONEY else quota.unit,
        "window": quota.period,
        "limit": _figure(quota.limit, quota.unit),
        "used": _figure(quota.used, quota.unit),
        "held": _figure(quota.held, quota.unit),
        "left": _figure(quota.left, quota.unit),
        "resets_at": moment(quota, "resets_at"),
    }


def _figure(value: int, unit: str) -> int | Usd:
    return extension.usd(value) if unit == MONEY else value


def totals_row(totals: router_pb2.Totals) -> lists.Totals:
    """Tell what all vendors may still do."""
    return {
        "requests_per_day_left": totals.requests_per_day_left,
        "tokens_per_month_left": totals.tokens_per_month_left,
        "requests_per_month_left": totals.requests_per_month_left,
        "tokens_per_day_left": totals.tokens_per_day_left,
        "credit_usd_left": extension.usd(totals.credit_left_nanos),
        "unlimited": list(totals.unlimited),
        "unlimited_paid": list(totals.unlimited_paid),
    }


def moment(message: Message, name: str) -> str | None:
    """Return a moment of a message in ISO 8601, None when it is not set."""
    if not message.HasField(name):
        return None
    found: Timestamp = getattr(message, name)
    return found.ToJsonString()
