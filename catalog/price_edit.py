"""Writes new prices into a row's file and leaves every other byte of it, comments above all, as it was."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from catalog.prices import ListedModel

Replacement = tuple[int, int, str]  # from, to, by what
LONG = "long_context"


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What becomes of a model's row: its prices by name, and where they are from."""

    prices: Mapping[str, float]
    source: str
    date: dt.date


def refreshed(listed: Iterable[ListedModel], generated: dt.date) -> dict[str, Refreshed]:
    """Return what a price file says of the models of one vendor, by their ids."""
    return {row.model: Refreshed(row.prices(), row.source, generated) for row in listed}


def edited(text: str, models: Mapping[str, Refreshed]) -> str:
    """Return the text of a row's file with other prices, sources and dates; models it does not have are passed over."""
    replacements: list[Replacement] = []
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for model, row in _entries(_entries(root)["models"]).items():
        if model in models:
            replacements.extend(_model(_entries(row), models[model]))
    for start, end, new in sorted(replacements, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _model(row: Mapping[str, yaml.Node], wanted: Refreshed) -> Iterable[Replacement]:
    """Replace what must be in one model's row."""
    yield from _price(row["price"], wanted.prices)
    if wanted.source:
        yield _whole(row["source"], f'"{wanted.source}"')
    yield _whole(row["date"], wanted.date.isoformat())


def _price(node: yaml.Node, told: Mapping[str, float]) -> Iterable[Replacement]:
    """Replace prices figure by figure; only where a price gains or loses one it is written anew."""
    had = {name: entry for name, entry in _entries(node).items() if name != LONG}
    long = _entries(_entries(node).get(LONG))
    figures = {**had, **{f"{LONG}.{name}": entry for name, entry in long.items()}}
    before = {name: float(entry.value) for name, entry in figures.items()}
    after = _without_what_follows({**before, **told})
    if set(after) == set(before):
        for name, value in after.items():
            if value != before[name]:
                yield _whole(figures[name], _number(value))
    else:
        yield _anew(after, node)


def _without_what_follows(prices: dict[str, float]) -> dict[str, float]:
    """Leave out cached input and writes that cost what input costs, as a row does."""
    bases = {
        f"{prefix}{name}": f"{prefix}input" for prefix in ("", f"{LONG}.") for name in ("cached_input", "cache_write")
    }
    return {name: value for name, value in prices.items() if name not in bases or value != prices.get(bases[name])}


def _anew(prices: Mapping[str, float], node: yaml.Node) -> Replacement:
    """Write a price: in one line, or in a block of lines when it has a second one for longer prompts."""
    short = [(name, value) for name, value in prices.items() if not name.startswith(LONG)]
    long = [(name.partition(".")[2], value) for name, value in prices.items() if name.startswith(LONG)]
    start, end = int(node.start_mark.index), _end(node)
    if not long:
        return start, end, _flow(short)
    lines = [*(f"{name}: {_number(value)}" for name, value in short), f"{LONG}: {_flow(long)}"]
    if end != node.end_mark.index:  # a block already
        return start, end, f"\n{' ' * node.start_mark.column}".join(lines)
    return start - 1, end, "".join(f"\n      {line}" for line in lines)  # with the blank before it


def _flow(prices: Iterable[tuple[str, float]]) -> str:
    return "{" + ", ".join(f"{name}: {_number(value)}" for name, value in prices) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.6f}".rstrip("0")


def _whole(node: yaml.Node, text: str) -> Replacement:
    return node.start_mark.index, node.end_mark.index, text


def _end(node: yaml.Node) -> int:
    """Return where a node's last figure ends; a block's own mark stands at whatever comes after it."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return _end(node.value[-1][1])
    return int(node.end_mark.index)


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {str(key.value): value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}
