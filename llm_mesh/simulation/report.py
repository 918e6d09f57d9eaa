"""Shows what a simulation found: a table for people, plain values for programs."""

import datetime as dt
from typing import Any

from llmmesh.quota.v1 import quota_pb2
from rich.console import Console
from rich.table import Table

from llm_mesh.cli import output
from llm_mesh.simulation.run import Outcome, Tally
from llm_mesh.simulation.scenario import Scenario

# Plans under which a request costs money; a credit was paid for, or given, before.
MONEY, CREDIT = ("paid",), ("credit",)


def show(scenario: Scenario, found: Outcome, console: Console) -> None:
    """Print one span of time."""
    use_case, served = scenario.use_case, sum(found.served.values())
    console.print(
        f"{_moment(found.start)}: {output.count(found.requests, 'request')} of use case {use_case.name}, "
        f"strategy {use_case.strategy}"
    )
    console.print(_table(found))
    for reason, times in sorted(found.failed.items(), key=lambda pair: -pair[1]):
        console.print(f"not served, {times:,} times: {reason}")
    credit = f"; of credits {output.usd(found.cost(*CREDIT))}" if found.cost(*CREDIT) else ""
    console.print(f"{served:,} served, {found.requests - served:,} not; money {output.usd(found.cost(*MONEY))}{credit}")


def _table(found: Outcome) -> Table:
    numbers = ("served", "quota", "left", "money", "refused")
    table = output.table("vendor", *numbers, numbers=numbers)
    for vendor, tally in found.vendors.items():
        budgets = found.budgets[vendor]
        quotas = "\n".join(_quota(budget) for budget in budgets) or "unlimited"
        left = "\n".join(output.amount(budget.left, budget.unit) for budget in budgets)
        table.add_row(
            vendor, f"{tally.served:,}", quotas, left, output.usd(sum(tally.cost.values())), f"{tally.refused:,}"
        )
    return table


def _quota(budget: quota_pb2.BudgetState) -> str:
    unit = "" if budget.unit == "nanodollars" else f" {budget.unit}"
    window = "" if budget.window == "once" else f" per {budget.window.removeprefix('rolling:')}"
    return f"{output.amount(budget.limit, budget.unit)}{unit}{window}"


def plain(scenario: Scenario, found: Outcome) -> dict[str, Any]:
    """Return one span of time as JSON wants it."""
    use_case = scenario.use_case
    return {
        "start": _moment(found.start),
        "use_case": use_case.name,
        "strategy": use_case.strategy,
        "requests": found.requests,
        "served": sum(found.served.values()),
        "failed": dict(found.failed),
        "money_nanos": found.cost(*MONEY),
        "credit_nanos": found.cost(*CREDIT),
        "vendors": [_vendor(name, tally, found.budgets[name]) for name, tally in found.vendors.items()],
    }


def _vendor(name: str, tally: Tally, budgets: list[quota_pb2.BudgetState]) -> dict[str, Any]:
    cost = sum(tally.cost.values())
    return {
        "vendor": name,
        "served": tally.served,
        "refused": tally.refused,
        "cost_nanos": cost,
        "cost_usd": cost / output.NANOS,
        "budgets": [output.plain(budget) for budget in budgets],
    }


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
