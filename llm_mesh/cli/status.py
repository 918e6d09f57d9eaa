"""`llm-mesh status`: who would serve now, what is used and left, what was spent today; fails when nothing can serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2
from rich.console import Console
from rich.text import Text

from llm_mesh.cli import options, outcome, output, session, vendors
from llm_mesh.cli.explain import room
from llm_mesh.cli.ledger import spend
from llm_mesh.cli.outcome import Exit, UnreachableError
from meshkit.errors import MeshError

SERVING_SHOWN = 3
NO_VENDOR = "no vendor is active; put a key into .env, or try `llm-mesh up --sandbox`"


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say; a part that could not be asked for has its reason instead."""

    vendors: Sequence[router_pb2.Vendor]
    totals: router_pb2.Totals
    plan: router_pb2.ExplainRouteResponse | None
    plan_problem: str
    spent: list[quota_pb2.SpendRow] | None
    spent_problem: str

    @property
    def serving(self) -> list[router_pb2.PlannedOffer]:
        """Return the offers that could serve now, the next one first."""
        return [offer for offer in self.plan.offers if offer.has_room] if self.plan else []


def status(
    *,
    address: options.RouterAddress = options.ROUTER,
    quota: options.QuotaAddress = options.QUOTA,
    everything: Annotated[bool, typer.Option("--all", help="Show budgets nothing was used of, too.")] = False,
    as_json: options.Json = False,
) -> None:
    """Say how the mesh is; the exit code is 1 when nothing can serve."""
    outcome.run(show(address, quota, everything=everything, as_json=as_json), as_json=as_json)


async def show(address: str, quota: str, *, everything: bool = False, as_json: bool = False) -> Exit:
    """Ask the router and the quota service and print what they say."""
    found = await fetch(address, quota)
    if as_json:
        output.print_json(_plain(found))
    else:
        _print(found, output.console(), everything=everything)
    return Exit.DONE if found.serving else Exit.FAILED


async def fetch(address: str, quota: str) -> Status:
    """Ask the router and the quota service."""
    async with session.router(address) as way:
        listed = await vendors.fetch(way)
        plan, plan_problem = None, ""
        try:
            request = router_pb2.ExplainRouteRequest()
            plan = await way.answer(way.stub.ExplainRoute(request, timeout=session.QUICK, metadata=way.metadata))
        except MeshError as error:
            plan_problem = outcome.sentence(error)
    today = datetime.now(UTC).date().isoformat()
    spent, spent_problem = None, ""
    try:
        spent = await spend.fetch(quota, ["vendor"], from_day=today)
    except (MeshError, UnreachableError) as error:
        spent_problem = str(error)
    return Status(listed.vendors, listed.totals, plan, plan_problem, spent, spent_problem)


def _plain(found: Status) -> dict[str, object]:
    return {
        "can_serve": bool(found.serving),
        "serving_now": [offer.offer for offer in found.serving],
        "local_fallback": _local(found),
        "vendors": [output.plain(vendor) for vendor in found.vendors],
        "totals": output.plain(found.totals),
        "spent_today": [output.plain(row) for row in found.spent] if found.spent is not None else None,
        "problems": [problem for problem in (found.plan_problem, found.spent_problem) if problem],
    }


def _local(found: Status) -> bool:
    """Tell whether a vendor on machines of ours could take over."""
    return any(vendor.group == "local" and vendor.status == "active" for vendor in found.vendors)


def _print(found: Status, console: Console, *, everything: bool) -> None:
    console.print(_serving(found))
    console.print(f"local fallback: {'ready' if _local(found) else 'none'}\n")
    console.print(vendors.overview(found.vendors, figures=True))
    console.print(f"\n{vendors.totals(found.totals)}")
    _print_budgets(found, console, everything=everything)
    for breaker in (breaker for vendor in found.vendors for breaker in vendor.breakers):
        probe = f", tried again {output.moment(breaker.probe_at)}" if breaker.HasField("probe_at") else ""
        console.print(f"breaker {breaker.subject}: {breaker.state}{probe}")
    console.print("\nspent today (UTC)")
    console.print(spend.table(found.spent, ["vendor"]) if found.spent is not None else found.spent_problem)


def _print_budgets(found: Status, console: Console, *, everything: bool) -> None:
    budgets = [budget for vendor in found.vendors for budget in vendor.budgets]
    shown = [budget for budget in budgets if everything or vendors.in_use(budget)]
    if shown:
        console.print("\nbudgets")
        console.print(vendors.budgets(shown))
    if unused := len(budgets) - len(shown):
        console.print(f"\n{output.count(unused, 'budget')} nothing is used of (--all shows them)")


def _serving(found: Status) -> Text:
    if found.serving:
        names = [offer.offer for offer in found.serving[:SERVING_SHOWN]]
        return Text.assemble(("serving now", "green"), ": ", ", then ".join(names))
    reason = found.plan_problem
    if found.plan and found.plan.offers:
        first = found.plan.offers[0]
        reason = f"{first.offer} has room now: {room(first)}"
    return Text.assemble(("nothing can serve", "red"), ": ", reason or NO_VENDOR)
