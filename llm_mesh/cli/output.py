"""How values look: money, time and counts for people, protobuf messages as plain JSON for programs."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

NANOS = 1_000_000_000


def console() -> Console:
    """Return what tables are printed on: standard output, as wide as it needs when it is no terminal."""
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 400)


def table(*columns: str, numbers: Iterable[str] = (), title: str = "") -> Table:
    """Return an empty table; columns named in `numbers` stand to the right."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def usd(nanos: int) -> str:
    """Write nano-dollars exactly, without zeros at the end."""
    if not nanos:
        return "$0"
    return f"${Decimal(nanos) / NANOS:.9f}".rstrip("0").rstrip(".")


def seconds(value: float) -> str:
    """Write a length of time in the unit a person would choose."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 90:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 90:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"


def duration(value: Duration) -> str:
    """Write a protobuf duration."""
    return seconds(value.ToNanoseconds() / NANOS)


def moment(value: Timestamp) -> str:
    """Write a moment as the time until it, or since it."""
    left = value.ToNanoseconds() / NANOS - time.time()
    return f"in {seconds(left)}" if left >= 0 else f"{seconds(-left)} ago"


def count(number: int, noun: str) -> str:
    """Write "1 request" or "2 requests"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def amount(value: int, unit: str) -> str:
    """Write an amount of a budget in its unit."""
    return usd(value) if unit == "nanodollars" else f"{value:,}"


def print_json(value: Mapping[str, Any]) -> None:
    """Print one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON wants it: every field, numbers as numbers, enums as words, time in seconds or ISO 8601.

    Nano-dollars are given as they are and, under the same name with `_usd`, in dollars.
    """
    result: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = _field(field, getattr(message, field.name))
        result[field.name] = value
        if field.name.endswith("_nanos"):
            result[field.name.removesuffix("_nanos") + "_usd"] = value / NANOS
    return result


def _field(field: Any, value: Any) -> Any:
    if field.is_repeated and isinstance(value, Mapping):
        return dict(value)
    if field.is_repeated:
        return [_one(field, item) for item in value]
    return _one(field, value)


def _one(field: Any, value: Any) -> Any:
    match value:
        case Duration():
            return value.ToNanoseconds() / NANOS
        case Timestamp():
            return value.ToJsonString()
        case Message():
            return plain(value)
        case bytes():
            return value.hex()
    return word(field.enum_type, value) if field.enum_type else value


def word(kind: Any, number: int) -> str:
    """Return an enum's value without its prefix: TIER_ULTRA_ECONOMY is "ultra_economy", unspecified is empty."""
    known = kind.values_by_number.get(number)
    name = known.name.lower() if known else str(number)
    first = kind.values_by_number[0].name.lower()
    word = name.removeprefix(first.removesuffix("unspecified"))
    return "" if word == "unspecified" else word
