"""What was spent, summed by any of its columns and by labels of callers; the same answer from every store."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import json

from quota_service.changes import SpendDelta, SpendKey
from quota_service.operations import Amounts

COLUMNS = tuple(name for name in SpendKey._fields if name != "labels")
LABEL = "label:"
# What labels are counted as when a day has had too many different ones.
OTHER = "other"
# Labels of so many days are told apart from new ones: no hold is settled later.
LABEL_DAYS = 3
_encode = json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class SpendRetention:
    """For how many days spend is kept, and how many different labels of a day are kept apart."""

    days: int = 400
    labels: int = 1_000


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Which days (UTC, YYYY-MM-DD, empty for open ends), which tenant (empty for all), grouped by which columns.

    A column is one of COLUMNS or `label:<name>`.
    """

    from_day: str = ""
    to_day: str = ""
    group_by: tuple[str, ...] = ()
    tenant: str = ""

    @property
    def stored_columns(self) -> tuple[str, ...]:
        """Return the columns of the table that are grouped by: all labels are one."""
        return tuple(dict.fromkeys("labels" if name.startswith(LABEL) else name for name in self.group_by))


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One group: the values of the columns grouped by, and its sums."""

    group: Mapping[str, str]
    attempts: int
    amounts: Amounts
    assumed: int


class LabelSets:
    """Which labels a day has had, so that no caller can make more rows than a day may have."""

    def __init__(self, most: int, known: Iterable[tuple[str, str]] = ()) -> None:
        self._most = most
        self._days: dict[str, set[str]] = {}
        for day, labels in known:
            self._days.setdefault(day, set()).add(labels)

    def bounded(self, key: SpendKey) -> SpendKey:
        """Return the key under which spend is summed: with its labels, unless the day has had too many."""
        if not key.labels:
            return key
        known = self._days.get(key.day)
        if known is None:
            known = self._days[key.day] = set()
            for old in sorted(self._days)[:-LABEL_DAYS]:
                del self._days[old]
        if key.labels in known or len(known) < self._most:
            known.add(key.labels)
            return key
        return key._replace(labels=OTHER)


class SpendTable:
    """Spend in memory."""

    def __init__(self) -> None:
        self._rows: dict[SpendKey, list[int]] = {}

    def add(self, deltas: Iterable[SpendDelta]) -> None:
        """Add what a batch spent."""
        for key, attempts, amounts, assumed in deltas:
            self._rows[key] = _sum(self._rows.get(key), (attempts, *figures(amounts), assumed))

    def query(self, query: SpendQuery) -> list[SpendLine]:
        """Sum the rows that match, in the order of their groups."""
        rows = ((key._asdict(), row) for key, row in self._rows.items() if _matches(key, query))
        return summed(rows, query.group_by)


def summed(rows: Iterable[tuple[Mapping[str, str], Sequence[int]]], group_by: Sequence[str]) -> list[SpendLine]:
    """Sum rows by columns and labels, in the order of the groups; a row that corrections have emptied is no row."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for columns, row in rows:
        if any(row):
            group = tuple(_value(columns, name) for name in group_by)
            groups[group] = _sum(groups.get(group), row)
    return [_line(group_by, group, groups[group]) for group in sorted(groups)]


def figures(amounts: Amounts) -> tuple[int, int, int, int]:
    """Return amounts in the order of the table's columns."""
    return amounts.requests, amounts.input_tokens, amounts.output_tokens, amounts.cost_nanos


def labels_text(labels: Mapping[str, str]) -> str:
    """Return labels as the one text they are kept as; empty when there are none."""
    return _encode(dict(labels)).decode() if labels else ""


def _value(columns: Mapping[str, str], name: str) -> str:
    if not name.startswith(LABEL):
        return columns[name]
    labels = columns["labels"]
    if labels in ("", OTHER):
        return labels
    return json.decode(labels, type=dict[str, str]).get(name.removeprefix(LABEL), "")


def _sum(before: Sequence[int] | None, more: Sequence[int]) -> list[int]:
    return list(more) if before is None else [was + added for was, added in zip(before, more, strict=True)]


def _line(columns: Sequence[str], group: Iterable[str], sums: Iterable[int]) -> SpendLine:
    """Make a line of its group and its sums: attempts, the four amounts, assumed."""
    attempts, requests, prompt, output, cost, assumed = sums
    amounts = Amounts(requests, prompt, output, cost)
    return SpendLine(dict(zip(columns, group, strict=True)), attempts, amounts, assumed)


def _matches(key: SpendKey, query: SpendQuery) -> bool:
    return (
        (not query.from_day or key.day >= query.from_day)
        and (not query.to_day or key.day <= query.to_day)
        and (not query.tenant or key.tenant == query.tenant)
    )
