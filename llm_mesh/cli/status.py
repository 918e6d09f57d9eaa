"""`llm-mesh status`: who would serve now, what is used and left, what was spent today; fails when nothing can serve."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2
from rich.console import Console
from rich.text import Text

from llm_mesh.cli import options, outcome, output, session, vendors
from llm_mesh.cli.ledger import spend
from llm_mesh.cli.outcome import Exit, UnreachableError
from meshkit.errors import MeshError

SERVING_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to say; a part that could not be asked for has its reason instead."""

    health: router_pb2.GetHealthResponse
    spent: list[quota_pb2.SpendRow] | None
    spent_problem: str


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
    return Exit.DONE if found.health.can_serve else Exit.FAILED


async def fetch(address: str, quota: str) -> Status:
    """Ask the router and the quota service."""
    async with session.router(address) as way:
        request = router_pb2.GetHealthRequest()
        health = await way.answer(way.stub.GetHealth(request, timeout=session.QUICK, metadata=way.metadata))
    today = datetime.now(UTC).date().isoformat()
    spent, spent_problem = None, ""
    try:
        spent = await spend.fetch(quota, ["vendor"], from_day=today)
    except (MeshError, UnreachableError) as error:
        spent_problem = str(error)
    return Status(health, spent, spent_problem)


def _plain(found: Status) -> dict[str, object]:
    health = found.health
    since = health.local_since.ToJsonString() if health.HasField("local_since") else None
    return {
        "can_serve": health.can_serve,
        "serving_now": list(health.serving),
        "use_case": health.use_case,
        "local_fallback": {"active": health.local_fallback, "since": since},
        "vendors": [output.plain(vendor) for vendor in health.vendors],
        "totals": output.plain(health.totals),
        "warnings": list(health.warnings),
        "spent_today": [output.plain(row) for row in found.spent] if found.spent is not None else None,
        "problems": [problem for problem in (health.problem, found.spent_problem) if problem],
    }


def _local(health: router_pb2.GetHealthResponse) -> str:
    """Say whether machines of ours stand in for vendors, or could."""
    if health.local_fallback:
        return f"active, since {output.moment(health.local_since)}"
    able = any(vendor.group == "local" and vendor.status == "active" for vendor in health.vendors)
    return "ready" if able else "none"


def _print(found: Status, console: Console, *, everything: bool) -> None:
    health = found.health
    console.print(_serving(health))
    console.print(f"local fallback: {_local(health)}\n")
    console.print(vendors.overview(health.vendors, figures=True))
    console.print(f"\n{vendors.totals(health.totals, health.vendors)}")
    _print_budgets(health, console, everything=everything)
    for breaker in (breaker for vendor in health.vendors for breaker in vendor.breakers):
        probe = f", tried again {output.moment(breaker.probe_at)}" if breaker.HasField("probe_at") else ""
        console.print(f"breaker {breaker.subject}: {breaker.state}{probe}")
    for warning in health.warnings:
        console.print(f"warning: {warning}")
    console.print("\nspent today (UTC)")
    console.print(spend.table(found.spent, ["vendor"]) if found.spent is not None else found.spent_problem)


def _print_budgets(health: router_pb2.GetHealthResponse, console: Console, *, everything: bool) -> None:
    budgets = [budget for vendor in health.vendors for budget in vendor.budgets]
    shown = [budget for budget in budgets if everything or vendors.in_use(budget)]
    if shown:
        console.print("\nbudgets")
        console.print(vendors.budgets(shown))
    if unused := len(budgets) - len(shown):
        console.print(f"\n{output.count(unused, 'budget')} nothing is used of (--all shows them)")


def _serving(health: router_pb2.GetHealthResponse) -> Text:
    if not health.serving:
        return Text.assemble(("nothing can serve", "red"), ": ", health.problem)
    names = ", then ".join(health.serving[:SERVING_SHOWN])
    return Text.assemble(("serving now", "green"), f" (use case {health.use_case}): {names}")
