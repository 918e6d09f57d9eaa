"""What was spent, summed by any of its columns; the same answer from every store."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quota_service.changes import SpendDelta, SpendKey
from quota_service.operations import Amounts

COLUMNS = SpendKey._fields


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Which days (UTC, YYYY-MM-DD, empty for open ends), which tenant (empty for all), grouped by which columns."""

    from_day: str = ""
    to_day: str = ""
    group_by: tuple[str, ...] = ()
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One group: the values of the columns grouped by, and its sums."""

    group: Mapping[str, str]
    attempts: int
    amounts: Amounts
    assumed: int


class SpendTable:
    """Spend in memory."""

    def __init__(self) -> None:
        self._rows: dict[SpendKey, list[int]] = {}

    def add(self, deltas: Iterable[SpendDelta]) -> None:
        """Add what a batch spent."""
        for key, attempts, amounts, assumed in deltas:
            row = self._rows.setdefault(key, [0] * 6)
            added = (attempts, *figures(amounts), assumed)
            self._rows[key] = [was + more for was, more in zip(row, added, strict=True)]

    def query(self, query: SpendQuery) -> list[SpendLine]:
        """Sum the rows that match, in the order of their groups."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for key, row in self._rows.items():
            if _matches(key, query) and any(row):
                group = tuple(str(getattr(key, column)) for column in query.group_by)
                sums = groups.get(group, [0] * 6)
                groups[group] = [was + more for was, more in zip(sums, row, strict=True)]
        return [line(query.group_by, group, groups[group]) for group in sorted(groups)]


def figures(amounts: Amounts) -> tuple[int, int, int, int]:
    """Return amounts in the order of the table's columns."""
    return amounts.requests, amounts.input_tokens, amounts.output_tokens, amounts.cost_nanos


def line(columns: tuple[str, ...], group: Iterable[str], sums: Iterable[int]) -> SpendLine:
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
