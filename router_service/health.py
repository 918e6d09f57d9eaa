"""Answers GetHealth: whether the mesh can serve and who would, what is used and left, what is broken."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason
from router_service import explain
from router_service.demand import Demand
from router_service.lately import Lately
from router_service.order import Tools
from router_service.planner import Plan
from router_service.vendor_list import VendorList

# What a vendor's reason, or the state of one of its slots, must be for somebody to have to mend it.
BROKEN = ("unreachable", "key_malformed", "key_rejected", "no_endpoint")
BROKEN_SLOTS = ("malformed", "rejected", "no_endpoint")
# How the budget is named whose places are waited for; such an offer serves, only later.
PLACES = "/concurrency/"


class Health:
    """Puts together what the ledger, the plan and the provider services say."""

    def __init__(self, tools: Tools, vendor_list: VendorList, lately: Lately) -> None:
        self._tools = tools
        self._vendor_list = vendor_list
        self._lately = lately

    async def told(self, asked: Demand, plan: Plan, tenant: str, trouble: str | None) -> router_pb2.GetHealthResponse:
        """Tell how the mesh is for such a request.

        Args:
            asked: a request like the last one.
            plan: how it would be served.
            tenant: whose budgets count besides.
            trouble: why the router serves nothing at all, or None.
        """
        notes = self._tools.quota.notes()
        ledger, explained = (None, None) if notes else await self._asked(asked, plan, tenant)
        listed = self._vendor_list.told(ledger or quota_pb2.GetBudgetsResponse())
        if ledger is None or explained is None:
            _without_figures(listed)
            notes = notes or {"ledger": "does not answer"}
            serving, problem = self._unmetered(asked, plan, tenant), "the ledger does not answer"
        else:
            serving = [offer.offer for offer in explained.offers if _serves(offer)]
            problem = _why_nothing(explained)
        told = router_pb2.GetHealthResponse(
            can_serve=bool(serving),
            serving=serving,
            vendors=listed.vendors,
            totals=listed.totals,
            warnings=_warnings(listed.vendors, {**notes, **self._tools.notes()}, ledger),
            problem="" if serving else trouble or problem,
            use_case=asked.use_case.name,
        )
        self._tell_of_local(told, plan)
        return told

    async def _asked(
        self, asked: Demand, plan: Plan, tenant: str
    ) -> tuple[quota_pb2.GetBudgetsResponse | None, router_pb2.ExplainRouteResponse | None]:
        """Ask the ledger for its figures and for room; nothing of either while it does not answer."""
        quota = self._tools.quota
        try:
            return await asyncio.gather(quota.read.budgets(), explain.explain(asked, plan, tenant, quota))
        except MeshError as fault:
            if fault.reason is not Reason.QUOTA_UNAVAILABLE:
                raise
            return None, None

    def _unmetered(self, asked: Demand, plan: Plan, tenant: str) -> list[str]:
        """Name the offers that go on while the ledger is silent."""
        allows = self._tools.without_ledger.allows
        return [planned.offer.text for planned in plan.offers if allows(planned, tenant, asked.use_case.name)]

    def _tell_of_local(self, told: router_pb2.GetHealthResponse, plan: Plan) -> None:
        """Tell whether machines of ours stand in for vendors, and since when."""
        offers = {planned.offer.text: planned.offer.vendor.local for planned in plan.offers}
        if not told.serving or told.serving[0] not in offers:
            return
        first = list(offers).index(told.serving[0])
        out_of_order = any(left.reason == "breaker_open" for left in plan.excluded)
        before = list(offers.values())[:first]
        told.local_fallback = self._lately.stands_in(offers[told.serving[0]], before, out_of_order=out_of_order)
        if told.local_fallback and self._lately.local_since is not None:
            told.local_since.FromNanoseconds(round(self._lately.local_since * 1e9))


def _serves(offer: router_pb2.PlannedOffer) -> bool:
    return offer.has_room or PLACES in offer.limiting_budget


def _why_nothing(explained: router_pb2.ExplainRouteResponse) -> str:
    if explained.offers:
        return f"{explained.offers[0].offer}: {explained.offers[0].why_no_room}"
    return explained.excluded[0].detail if explained.excluded else "no candidate at all"


def _without_figures(listed: router_pb2.ListVendorsResponse) -> None:
    """Leave out what only the ledger knows."""
    listed.totals.Clear()
    for vendor in listed.vendors:
        del vendor.quotas[:]


def _warnings(
    vendors: Iterable[router_pb2.Vendor], notes: Mapping[str, str], ledger: quota_pb2.GetBudgetsResponse | None
) -> Iterator[str]:
    """Say what is broken: the ledger, whole vendors, single keys, files; what several services say alike only once."""
    own = {f"{name}: {note}" for name, note in notes.items()}
    yield from sorted(own)
    told = [("quota", warning) for warning in (() if ledger is None else ledger.warnings)]
    for vendor in vendors:
        yield from _broken(vendor)
        told.extend((vendor.id, warning) for warning in vendor.warnings)
    once = {warning: service for service, warning in reversed(told) if warning not in own}
    yield from sorted(f"{service}: {warning}" for warning, service in once.items())


def _broken(vendor: router_pb2.Vendor) -> Iterator[str]:
    """Say what is broken of a vendor: all of it, or single keys."""
    if vendor.reason_code in BROKEN:
        yield f"{vendor.id}: {vendor.reason}"
    elif vendor.status == "active":
        broken = (slot for slot in vendor.slots if slot.state in BROKEN_SLOTS)
        yield from (f"{vendor.id}: slot {slot.slot}: {slot.reason}" for slot in broken)
