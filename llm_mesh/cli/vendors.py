"""`llm-mesh vendors`: every vendor, active or not and why, with what is used and left of its budgets."""

from collections.abc import Iterable

import typer
from llmmesh.router.v1 import router_pb2
from rich.table import Table
from rich.text import Text

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit


def vendors(
    context: typer.Context, address: options.RouterAddress = options.ROUTER, as_json: options.Json = False
) -> None:
    """List the vendors, check them, or begin a new one."""
    if options.is_for_subcommand(context):
        return
    outcome.run(show(address, as_json=as_json), as_json=as_json)


async def show(address: str, *, as_json: bool) -> Exit:
    """Ask for the vendors and print them."""
    async with session.router(address) as way:
        listed = await fetch(way)
    if as_json:
        output.print_json({"vendors": [output.plain(vendor) for vendor in listed]})
        return Exit.DONE
    console = output.console()
    console.print(overview(listed))
    active = sum(vendor.status == "active" for vendor in listed)
    models = sum(vendor.models for vendor in listed if vendor.status == "active")
    console.print(f"\n{active} of {output.count(len(listed), 'vendor')} active, {output.count(models, 'model')}")
    return Exit.DONE


async def fetch(way: session.Session) -> list[router_pb2.Vendor]:
    """Ask the router for its vendors."""
    request = router_pb2.ListVendorsRequest()
    answer = await way.answer(way.stub.ListVendors(request, timeout=session.QUICK, metadata=way.metadata))
    return list(answer.vendors)


def overview(listed: list[router_pb2.Vendor]) -> Table:
    """Return one row per vendor."""
    table = output.table("vendor", "group", "status", "keys", "models", "why not", numbers=("keys", "models"))
    for vendor in listed:
        table.add_row(
            vendor.id, vendor.group, styled(vendor.status), str(vendor.usable_slots), str(vendor.models), vendor.reason
        )
    return table


def in_use(budget: router_pb2.VendorBudget) -> bool:
    """Tell whether something of a budget is used, held or closed."""
    return bool(budget.used or budget.held or budget.left < budget.limit)


def budgets(shown: Iterable[router_pb2.VendorBudget]) -> Table:
    """Return one row per budget."""
    numbers = ("used", "held", "left", "limit")
    table = output.table("budget", "unit", *numbers, "resets", numbers=numbers)
    for budget in shown:
        figures = (output.amount(value, budget.unit) for value in (budget.used, budget.held, budget.left, budget.limit))
        resets = output.moment(budget.resets_at) if budget.HasField("resets_at") else _sliding(budget.window)
        table.add_row(budget.id, budget.unit, *figures, resets)
    return table


def styled(status: str) -> Text:
    """Return a status in the colour a person expects."""
    return Text(status, style={"active": "green", "inactive": "yellow", "retired": "red"}.get(status, ""))


def _sliding(window: str) -> str:
    return {"once": "never", "now": ""}.get(window, "slides")
