"""`llm-mesh vendors`: every vendor, active or not and why, its slots, what is used and left of its quotas, totals."""

from collections.abc import Iterable, Iterator, Sequence

import typer
from llmmesh.router.v1 import router_pb2
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit

COLOURS = {
    **dict.fromkeys(("active",), "green"),
    **dict.fromkeys(
        ("inactive", "cooling", "exhausted", "missing", "disabled", "unreachable", "no_endpoint"), "yellow"
    ),
    **dict.fromkeys(("rejected", "retired", "malformed"), "red"),
}
# What a person must mend although the vendor serves with its other slots.
BROKEN = ("rejected", "malformed", "exhausted", "no_endpoint")
RATES = ("requests", "tokens")
PERIODS = {"day": "/day", "month": "/month", "once": " credit"}


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
        told = await fetch(way)
    if as_json:
        output.print_json(output.plain(told))
    else:
        _print(told, output.console())
    return Exit.DONE


async def fetch(way: session.Session) -> router_pb2.ListVendorsResponse:
    """Ask the router for its vendors."""
    request = router_pb2.ListVendorsRequest()
    call = way.stub.ListVendors(request, timeout=session.QUICK, metadata=way.metadata)
    answer: router_pb2.ListVendorsResponse = await way.answer(call)
    return answer


def _print(told: router_pb2.ListVendorsResponse, console: Console) -> None:
    console.print(overview(told.vendors, figures=True))
    if any(_shown_slots(told.vendors)):
        console.print("\nslots")
        console.print(_slots(told.vendors))
    for line in notes(told.vendors):
        console.print(line)
    active = [vendor for vendor in told.vendors if vendor.status == "active"]
    models = output.count(sum(vendor.models for vendor in active), "model")
    console.print(f"\n{len(active)} of {output.count(len(told.vendors), 'vendor')} active, {models}")
    console.print(totals(told.totals, told.vendors))


def overview(listed: Iterable[router_pb2.Vendor], *, figures: bool = False) -> Table:
    """Return one row per vendor, with what is used and left of its quotas when asked for."""
    quotas = ("used", "left", "resets") if figures else ()
    table = output.table("vendor", "group", "status", "keys", "models", *quotas, "why not", numbers=("keys", "models"))
    for vendor in listed:
        row: list[str | Text] = [
            vendor.id,
            vendor.group,
            styled(vendor.status),
            str(vendor.usable_slots),
            str(vendor.models),
        ]
        if figures:
            row += [_amounts(vendor.quotas, "used"), _amounts(vendor.quotas, "left"), _resets(vendor.quotas)]
        table.add_row(*row, vendor.reason or "; ".join(_broken(vendor)))
    return table


def totals(sums: router_pb2.Totals, listed: Iterable[router_pb2.Vendor]) -> str:
    """Say in one line what all vendors may still do; of those without a quota, which have a rate."""
    rated = {vendor.id for vendor in listed if any(budget.unit in RATES for budget in vendor.budgets)}
    left = [
        f"{sums.requests_per_day_left:,} requests per day",
        f"{sums.tokens_per_month_left:,} tokens per month",
        *([f"{sums.requests_per_month_left:,} requests per month"] if sums.requests_per_month_left else []),
        *([f"{sums.tokens_per_day_left:,} tokens per day"] if sums.tokens_per_day_left else []),
        *([f"{output.usd(sums.credit_left_nanos)} credit"] if sums.credit_left_nanos else []),
    ]
    names = (f"{vendor} (rate limited)" if vendor in rated else vendor for vendor in sums.unlimited)
    unlimited = f"unlimited: {', '.join(names) or 'none'}"
    paid = f"; unlimited at list price: {', '.join(sums.unlimited_paid)}" if sums.unlimited_paid else ""
    return f"left: {', '.join(left)}; {unlimited}{paid}"


def notes(listed: Iterable[router_pb2.Vendor]) -> Iterator[str]:
    """Say one line for each model a vendor has closed for now, and for each oddity of its keys."""
    for vendor in listed:
        for closure in vendor.closures:
            if closure.subject.count("/") > 1:
                opens = output.moment(closure.until)
                yield f"{closure.subject}: closed by the vendor ({closure.reason}), opens {opens}"
        for warning in vendor.warnings:
            yield f"{vendor.id}: {warning}"


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
    """Return a status, of a vendor or a slot, in the colour a person expects."""
    return Text(status, style=COLOURS.get(status, ""))


def _slots(listed: Iterable[router_pb2.Vendor]) -> Table:
    table = output.table("slot", "account", "plan", "state", "why not")
    for vendor, slot in _shown_slots(listed):
        table.add_row(f"{vendor.id}#{slot.slot}", slot.account, slot.plan, styled(slot.state), slot.reason)
    return table


def _shown_slots(listed: Iterable[router_pb2.Vendor]) -> Iterator[tuple[router_pb2.Vendor, router_pb2.VendorSlot]]:
    """Name the slots of vendors of which there is more to say than that they have no key."""
    for vendor in listed:
        if any(slot.state != "missing" for slot in vendor.slots) or len(vendor.slots) > 1:
            yield from ((vendor, slot) for slot in vendor.slots)


def _broken(vendor: router_pb2.Vendor) -> Iterator[str]:
    return (f"slot {slot.slot}: {slot.reason}" for slot in vendor.slots if slot.state in BROKEN)


def _amounts(quotas: Sequence[router_pb2.Quota], which: str) -> str:
    """Write the figures of quotas, one line for each."""
    return "\n".join(_amount(getattr(quota, which), quota) for quota in quotas)


def _resets(quotas: Sequence[router_pb2.Quota]) -> str:
    """Say when each quota is whole again."""
    moments = (quota.resets_at if quota.HasField("resets_at") else None for quota in quotas)
    words = {"once": "never"}
    return "\n".join(
        output.moment(moment) if moment is not None else words.get(quota.period, "slides")
        for quota, moment in zip(quotas, moments, strict=True)
    )


def _amount(value: int, quota: router_pb2.Quota) -> str:
    unit = "" if quota.unit == "nanodollars" else f" {quota.unit}"
    return f"{output.amount(value, quota.unit)}{unit}{PERIODS.get(quota.period, '')}"


def _sliding(window: str) -> str:
    return {"once": "never", "now": ""}.get(window, "slides")
