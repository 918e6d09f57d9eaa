"""Finds the budgets a command means, and reads amounts and moments as people write them."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.quota.v1 import quota_pb2

from llm_mesh.cli import output

_DURATION = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SLIDING = re.compile(r"rolling:(\d+)s")


def matching(target: str, ids: Sequence[str]) -> list[str]:
    """Return the budget with this id, else those whose ids begin with it, part by part."""
    if target in ids:
        return [target]
    return [each for each in ids if each.startswith(target.rstrip("/") + "/")]


def amount(text: str, unit: str) -> int:
    """Read an amount: US dollars for money, else a whole number.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        number = Decimal(text.lstrip("$") if unit == "nanodollars" else text.replace(",", ""))
    except InvalidOperation:
        raise typer.BadParameter(f"`{text}` is no number") from None
    exact = number * output.NANOS if unit == "nanodollars" else number
    if not exact.is_finite() or exact != exact.to_integral_value():
        finest = "a billionth of a dollar" if unit == "nanodollars" else "1"
        raise typer.BadParameter(f"`{text}` is no amount in {unit}; the finest is {finest}")
    return int(exact)


def length_of(text: str) -> int | None:
    """Read a length of time such as 30s, 15m, 2h or 7d, in seconds; None when it is none."""
    found = _DURATION.fullmatch(text)
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def until(text: str, budget: quota_pb2.BudgetState, now: Timestamp) -> Timestamp | None:
    """Read when something ends: `reset`, a length of time such as 30m, or a moment; None is never.

    Raises:
        typer.BadParameter: it is none of these.
    """
    if not text:
        return None
    if text == "reset":
        return _reset(budget, now)
    if (length := length_of(text)) is not None:
        return _later(now, length)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        allowed = "reset, a length of time (30s, 15m, 2h, 7d) or a moment (2026-12-24T18:00)"
        raise typer.BadParameter(f"`{text}`; allowed: {allowed}") from None
    ends = Timestamp()
    ends.FromDatetime((moment if moment.tzinfo else moment.astimezone()).astimezone(UTC))
    return ends


def _reset(budget: quota_pb2.BudgetState, now: Timestamp) -> Timestamp | None:
    """Return when the window ends; of one that slides, when all that is used now has left it."""
    if budget.HasField("resets_at"):
        return budget.resets_at
    if budget.window == "minute":
        return _later(now, 62)
    sliding = _SLIDING.fullmatch(budget.window)
    return _later(now, int(sliding[1])) if sliding else None


def _later(now: Timestamp, seconds: int) -> Timestamp:
    ends = Timestamp()
    ends.FromDatetime(now.ToDatetime() + timedelta(seconds=seconds))
    return ends
