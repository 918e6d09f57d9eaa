"""Answers ListVendors: every vendor, whether each of its slots can be used and why not, what is used and left."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from catalog.model import Vendor
from meshkit.clock import Clock
from router_service import breaker_control
from router_service.breakers import Breakers
from router_service.offers import UNDESCRIBED
from router_service.quotas import Figure, Kind, Quotas
from router_service.rejections import Rejections
from router_service.slot_states import USABLE, Closed, Findings, SlotState, slot_states, status
from router_service.vendors import Vendors

GROUPS = ("premium", "cost_optimised", "speed", "enterprise", "local")
TOTALS = {
    Kind("requests", "day"): "requests_per_day_left",
    Kind("tokens", "month"): "tokens_per_month_left",
    Kind("requests", "month"): "requests_per_month_left",
    Kind("tokens", "day"): "tokens_per_day_left",
    Kind("nanodollars", "once"): "credit_left_nanos",
}


class VendorList:
    """Tells of every vendor of the catalogue, by group and id."""

    def __init__(
        self, mesh: Mesh, connected: Vendors, breakers: Breakers, rejections: Rejections, clock: Clock
    ) -> None:
        self._mesh = mesh
        self._connected = connected
        self._breakers = breakers
        self._rejections = rejections
        self._clock = clock
        self._quotas = Quotas(mesh)

    def told(self, ledger: quota_pb2.GetBudgetsResponse) -> router_pb2.ListVendorsResponse:
        """Return the list, with the figures of the ledger."""
        closures = {row.subject: Closed(row.reason, row.until.ToNanoseconds() / 1e9) for row in ledger.closures}
        findings = Findings(self._today(), closures, self._rejections.slots)
        budgets: defaultdict[str, dict[str, quota_pb2.BudgetState]] = defaultdict(dict)
        for budget in ledger.budgets:
            budgets[budget.subject.partition("/")[0]][budget.id] = budget
        told = router_pb2.ListVendorsResponse()
        for vendor in sorted(self._mesh.catalog.vendors.values(), key=lambda v: (GROUPS.index(v.group), v.id)):
            row = told.vendors.add(id=vendor.id, display_name=vendor.display_name, group=vendor.group)
            row.reply_name = vendor.reply_name
            self._describe(vendor, row, findings)
            row.budgets.extend(map(_budget, budgets[vendor.id].values()))
            self._count(row, told.totals, budgets[vendor.id], findings)
        return told

    def _describe(self, vendor: Vendor, row: router_pb2.Vendor, findings: Findings) -> None:
        """Tell what a vendor is and whether its slots can be used."""
        state, today = self._connected.states().get(vendor.id, UNDESCRIBED), findings.today
        slots = slot_states(vendor, state, self._mesh, findings)
        found = status(vendor, state, slots, today)
        row.status, row.reason_code, row.reason = found.word, found.code, found.reason
        row.retired_on = str(vendor.retired_on or "")
        row.usable_slots = sum(slot.usable for slot in slots)
        row.models = sum(model.status == "active" and not model.retired_by(today) for model in vendor.models.values())
        row.slots.extend(map(_slot, slots))
        row.warnings.extend(state.warnings)
        row.closures.extend(_closures(vendor, findings.closures))
        shut = self._breakers.not_closed()
        of_vendor = (subject for subject in sorted(shut) if subject.partition("/")[0] == vendor.id)
        row.breakers.extend(breaker_control.told(subject, *shut[subject], self._clock) for subject in of_vendor)
        if (described_at := self._connected.described_at(vendor.id)) is not None:
            row.described_at.CopyFrom(_timestamp(described_at))

    def _count(
        self,
        row: router_pb2.Vendor,
        totals: router_pb2.Totals,
        standing: Mapping[str, quota_pb2.BudgetState],
        findings: Findings,
    ) -> None:
        """Tell what a vendor's usable slots have used and may still do, and add that to the totals."""
        usable = tuple(slot.slot for slot in row.slots if slot.state in USABLE)
        shape = self._quotas.shape(row.id, usable, findings.today)
        closed = [subject for subject, closure in findings.closures.items() if closure.reason == "quota"]
        for kind, figure in self._quotas.figures(shape, standing, closed):
            row.quotas.append(_quota(kind, figure))
            if kind in TOTALS:
                setattr(totals, TOTALS[kind], getattr(totals, TOTALS[kind]) + figure.left)
        if shape.free_unbounded:
            totals.unlimited.append(row.id)
        elif shape.paid_unbounded:
            totals.unlimited_paid.append(row.id)

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date()


def _quota(kind: Kind, figure: Figure) -> router_pb2.Quota:
    told = router_pb2.Quota(unit=kind.unit, period=kind.period, limit=figure.limit, used=figure.used)
    told.left, told.held = figure.left, figure.held
    if figure.resets_at is not None:
        told.resets_at.FromNanoseconds(figure.resets_at)
    return told


def _slot(slot: SlotState) -> router_pb2.VendorSlot:
    until = None if slot.until is None else _timestamp(slot.until)
    return router_pb2.VendorSlot(
        slot=slot.number, account=slot.account, plan=slot.plan, state=slot.state, reason=slot.reason, until=until
    )


def _closures(vendor: Vendor, closures: Mapping[str, Closed]) -> Iterable[router_pb2.Closure]:
    for subject, closed in closures.items():
        if subject.startswith((f"{vendor.id}/", f"{vendor.id}#")):
            yield router_pb2.Closure(subject=subject, reason=closed.reason, until=_timestamp(closed.until))


def _budget(budget: quota_pb2.BudgetState) -> router_pb2.VendorBudget:
    return router_pb2.VendorBudget(
        id=budget.id,
        unit=budget.unit,
        window=budget.window,
        limit=budget.limit,
        used=budget.used,
        held=budget.held,
        left=budget.left,
        resets_at=budget.resets_at if budget.HasField("resets_at") else None,
    )


def _timestamp(seconds: float) -> Timestamp:
    moment = Timestamp()
    moment.FromNanoseconds(round(seconds * 1e9))
    return moment
