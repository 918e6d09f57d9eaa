"""Asks the ledger what was spent and lays it out as a table."""

from collections.abc import Iterable, Sequence

from llmmesh.quota.v1 import quota_pb2
from rich.table import Table

from llm_mesh.cli import output, session


async def fetch(address: str, group_by: Sequence[str], *, from_day: str = "") -> list[quota_pb2.SpendRow]:
    """Ask the quota service at an address."""
    request = quota_pb2.QuerySpendRequest(group_by=group_by, from_day=from_day)
    async with session.quota(address) as way:
        answer: quota_pb2.QuerySpendResponse = await way.answer(way.stub.QuerySpend(request, timeout=session.QUICK))
    return list(answer.rows)


def table(rows: Iterable[quota_pb2.SpendRow], group_by: Sequence[str]) -> Table:
    """Return one row for each group, and the total."""
    numbers = ("attempts", "requests", "tokens in", "tokens out", "cost")
    made = output.table(*group_by, *numbers, numbers=numbers)
    total = quota_pb2.SpendRow()
    for row in rows:
        made.add_row(*(getattr(row, column) for column in group_by), *_figures(row))
        for name in ("attempts", "requests", "input_tokens", "output_tokens", "cost_nanos"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    made.add_section()
    made.add_row("total", *("" for _ in group_by[1:]), *_figures(total))
    return made


def _figures(row: quota_pb2.SpendRow) -> tuple[str, ...]:
    return (
        f"{row.attempts:,}",
        f"{row.requests:,}",
        f"{row.input_tokens:,}",
        f"{row.output_tokens:,}",
        output.usd(row.cost_nanos),
    )
