"""Writes what the console shows: the same figures as `llm-mesh status`, `ledger spend` and `/api/health` have."""

import datetime as dt
from collections.abc import Iterable, Mapping

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.clock import Clock
from meshkit.identity import LOCAL
from router_service.edge import extension
from router_service.edge.health import MONEY, moment, quota_row, totals_row
from router_service.interface import Fallback, Router, Standing

# Today and the days before it.
DAYS = 14
# How often figures are gathered, in seconds; what costs more or changes less, less often.
SOON, LATER = 1.0, 5.0
SERVED = "served"
Row = dict[str, object]


class Sections:
    """Asks the router for everything there is to show."""

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._clock = clock

    async def state(self) -> Mapping[str, object]:
        """Tell how the mesh is, of every vendor, and who lately served in another's place."""
        told = await self._router.health(router_pb2.GetHealthRequest(), LOCAL)
        return {
            "mesh": _mesh(told),
            "vendors": [vendor.id for vendor in told.vendors],
            **{f"vendor/{vendor.id}": _vendor(vendor, self._clock.now()) for vendor in told.vendors},
            "fallbacks": [_fallback(each) for each in self._router.fallbacks()],
        }

    async def standings(self) -> Mapping[str, object]:
        """Tell who would serve each use case and tier."""
        return {"standings": _standings(await self._router.standings())}

    async def spend(self) -> Mapping[str, object]:
        """Tell what was spent on each of the last days, by vendor, and what today's answers were."""
        today = dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date()
        first = today - dt.timedelta(days=DAYS - 1)
        request = quota_pb2.QuerySpendRequest(from_day=first.isoformat(), group_by=["day", "vendor", "outcome"])
        rows = (await self._router.spend(request)).rows
        return {"spend": _spend(rows, [str(first + dt.timedelta(days=place)) for place in range(DAYS)])}


def _mesh(told: router_pb2.GetHealthResponse) -> Row:
    return {
        "can_serve": told.can_serve,
        "problem": told.problem or None,
        "serving": list(told.serving[:3]),
        "use_case": told.use_case,
        "local_fallback": {"active": told.local_fallback, "since": moment(told, "local_since")},
        "totals": totals_row(told.totals),
        "warnings": list(told.warnings),
    }


def _vendor(vendor: router_pb2.Vendor, now: float) -> Row:
    return {
        "id": vendor.id,
        "name": vendor.display_name,
        "group": vendor.group,
        "status": vendor.status,
        "reason": vendor.reason or None,
        "reason_code": vendor.reason_code or None,
        "models": vendor.models,
        "slots": [_slot(slot) for slot in vendor.slots],
        "breakers": [_breaker(breaker, now) for breaker in vendor.breakers],
        "quotas": [quota_row(quota) for quota in vendor.quotas],
        "budgets": [_budget(budget) for budget in vendor.budgets if _in_use(budget)],
        "closures": [
            {"subject": closure.subject, "reason": closure.reason, "until": moment(closure, "until")}
            for closure in vendor.closures
        ],
        "warnings": list(vendor.warnings),
    }


def _slot(slot: router_pb2.VendorSlot) -> Row:
    return {
        "slot": slot.slot,
        "account": slot.account,
        "plan": slot.plan,
        "state": slot.state,
        "reason": slot.reason or None,
        "until": moment(slot, "until"),
    }


def _breaker(breaker: router_pb2.Breaker, now: float) -> Row:
    """Tell of a breaker, its probe to the second and only while it is to come: what moves with the clock is no news."""
    probe_at = round(breaker.probe_at.ToNanoseconds() / 1e9)
    until = dt.datetime.fromtimestamp(probe_at, dt.UTC).isoformat() if probe_at > now else None
    return {"subject": breaker.subject, "state": breaker.state, "probe_at": until}


def _in_use(budget: router_pb2.VendorBudget) -> bool:
    return bool(budget.used or budget.held or budget.left < budget.limit)


def _budget(budget: router_pb2.VendorBudget) -> Row:
    money = budget.unit == MONEY
    figures = {name: getattr(budget, name) for name in ("limit", "used", "held", "left")}
    return {
        "id": budget.id,
        "unit": "usd" if money else budget.unit,
        "window": budget.window,
        **{name: extension.usd(figure) if money else figure for name, figure in figures.items()},
        "resets_at": moment(budget, "resets_at"),
    }


def _standings(found: Iterable[Standing]) -> list[Row]:
    """Tell of one use case after the other, its tiers in their order."""
    rows: dict[str, Row] = {}
    for each in found:
        row = rows.setdefault(each.use_case, {"use_case": each.use_case, "usual": None, "tiers": {}})
        if each.usual:
            row["usual"] = each.tier
        tiers = row["tiers"]
        assert isinstance(tiers, dict)  # noqa: S101
        tiers[each.tier] = (
            {"offer": each.offer, "plan": each.plan} if each.offer else {"offer": None, "why": each.why_nobody}
        )
    return list(rows.values())


def _fallback(fallback: Fallback) -> Row:
    at = dt.datetime.fromtimestamp(fallback.at, dt.UTC)
    return {
        "at": at.isoformat(timespec="milliseconds"),
        "use_case": fallback.use_case,
        "tier": fallback.tier,
        "wanted": fallback.wanted,
        "offer": fallback.offer,
        "reason": fallback.reason,
    }


def _spend(rows: Iterable[quota_pb2.SpendRow], days: list[str]) -> Row:
    """Tell the cost of each vendor by day, and of today what was served and paid: what savings are reckoned from."""
    cost: dict[str, dict[str, int]] = {}
    today = quota_pb2.SpendRow()
    requests: dict[str, int] = {}
    for row in rows:
        of_vendor = cost.setdefault(row.vendor, dict.fromkeys(days, 0))
        of_vendor[row.day] = of_vendor.get(row.day, 0) + row.cost_nanos
        if row.day != days[-1]:
            continue
        today.cost_nanos += row.cost_nanos
        requests[row.vendor] = requests.get(row.vendor, 0) + row.requests
        if row.outcome == SERVED:
            today.attempts += row.attempts
            today.input_tokens += row.input_tokens
            today.output_tokens += row.output_tokens
    return {
        "days": days,
        "vendors": [
            {
                "vendor": vendor,
                "cost_usd": [extension.usd(of_day[day]) for day in days],
                "requests_today": requests.get(vendor, 0),
            }
            for vendor, of_day in sorted(cost.items())
        ],
        "today": {
            "served": today.attempts,
            "input_tokens": today.input_tokens,
            "output_tokens": today.output_tokens,
            "paid_usd": extension.usd(today.cost_nanos),
        },
    }
