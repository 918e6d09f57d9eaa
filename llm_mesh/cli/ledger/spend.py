"""`llm-mesh ledger spend`: what was spent, summed by day, payer, model, label …; as a table, CSV or JSON."""

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from llmmesh.quota.v1 import quota_pb2
from rich.table import Table

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit

LABEL = "label:"
FIGURES = ("attempts", "requests", "input_tokens", "output_tokens", "cost_nanos", "assumed")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be summed, by what, and how it is to look."""

    by: tuple[str, ...] = ("day", "vendor")
    from_day: str = ""
    to_day: str = ""
    tenant: str = ""
    as_csv: bool = False


def spend(
    *,
    by: Annotated[
        str,
        typer.Option(
            metavar="COLUMNS", help="day, tenant, use_case, vendor, model, plan, outcome, label:NAME; with commas."
        ),
    ] = "day,vendor",
    from_day: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, UTC, YYYY-MM-DD.")] = "",
    to_day: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day.")] = "",
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Only what this tenant spent.")] = "",
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, money in billionths of a dollar and in dollars.")
    ] = False,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Say what was spent, failed and cancelled attempts too."""
    if as_csv and as_json:
        raise typer.BadParameter("--csv or --json, not both")
    columns = tuple(name.strip() for name in by.split(",") if name.strip())
    wish = Wish(columns, from_day, to_day, tenant, as_csv)
    outcome.run(show(wish, quota, as_json=as_json), as_json=as_json)


async def show(wish: Wish, address: str, *, as_json: bool) -> Exit:
    """Ask the quota service and print the sums."""
    rows = await fetch(address, wish.by, from_day=wish.from_day, to_day=wish.to_day, tenant=wish.tenant)
    if as_json:
        output.print_json({"by": wish.by, "rows": [output.plain(row) for row in rows]})
    elif wish.as_csv:
        _write_csv(rows, wish.by)
    else:
        output.console().print(table(rows, wish.by))
    return Exit.DONE


async def fetch(
    address: str, group_by: Sequence[str], *, from_day: str = "", to_day: str = "", tenant: str = ""
) -> list[quota_pb2.SpendRow]:
    """Ask the quota service at an address."""
    request = quota_pb2.QuerySpendRequest(group_by=group_by, from_day=from_day, to_day=to_day, tenant=tenant)
    async with session.quota(address) as way:
        answer: quota_pb2.QuerySpendResponse = await way.answer(way.stub.QuerySpend(request, timeout=session.QUICK))
    return list(answer.rows)


def table(rows: Iterable[quota_pb2.SpendRow], group_by: Sequence[str]) -> Table:
    """Return one row for each group, and the total."""
    numbers = ("attempts", "requests", "tokens in", "tokens out", "cost")
    made = output.table(*(group_by or ("",)), *numbers, numbers=numbers)
    total = quota_pb2.SpendRow()
    for row in rows:
        if group_by:
            made.add_row(*(_value(row, column) for column in group_by), *_figures(row))
        for name in FIGURES:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    made.add_section()
    made.add_row("total", *("" for _ in group_by[1:]), *_figures(total))
    return made


def _write_csv(rows: Iterable[quota_pb2.SpendRow], group_by: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*group_by, *FIGURES, "cost_usd"])
    for row in rows:
        usd = output.usd(row.cost_nanos).removeprefix("$")
        writer.writerow([*(_value(row, column) for column in group_by), *(getattr(row, name) for name in FIGURES), usd])
    sys.stdout.flush()


def _value(row: quota_pb2.SpendRow, column: str) -> str:
    if column.startswith(LABEL):
        return row.labels.get(column.removeprefix(LABEL), "")
    return str(getattr(row, column))


def _figures(row: quota_pb2.SpendRow) -> tuple[str, ...]:
    return (
        f"{row.attempts:,}",
        f"{row.requests:,}",
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
        output.usd(row.cost_nanos),
    )
