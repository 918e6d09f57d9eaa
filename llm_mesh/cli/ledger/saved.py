"""Reckons what was saved against a baseline: the mesh pays for every attempt, the baseline for served answers alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from llmmesh.quota.v1 import quota_pb2

from meshkit.errors import StartError

NANOS = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000
DAYS_PER_MONTH = 30
SERVED = "served"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A baseline that charges tokens, in US dollars per million."""

    input: Decimal
    output: Decimal

    def cost(self, work: "Work") -> Decimal:
        """Return what the served answers would have cost, in US dollars."""
        return (work.input_tokens * self.input + work.output_tokens * self.output) / TOKENS_PER_PRICE


@dataclass(frozen=True, slots=True)
class RequestPrice:
    """A baseline that charges requests, in US dollars each."""

    each: Decimal

    def cost(self, work: "Work") -> Decimal:
        """Return what the served answers would have cost, in US dollars."""
        return work.served * self.each


Baseline = TokenPrice | RequestPrice


@dataclass(frozen=True, slots=True)
class Work:
    """What was done in one group: answers served with their tokens, and what all attempts were paid, in US dollars."""

    served: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    paid: Decimal = Decimal(0)

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.served + other.served,
            self.attempts + other.attempts,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.paid + other.paid,
        )


@dataclass(frozen=True, slots=True)
class Saving:
    """One comparison, in US dollars."""

    baseline: Decimal
    paid: Decimal

    @property
    def saved(self) -> Decimal:
        """Return the difference; negative when the mesh was dearer."""
        return self.baseline - self.paid

    @property
    def percent(self) -> Decimal | None:
        """Return the share of the baseline that was saved; None when the baseline is nothing."""
        return self.saved * 100 / self.baseline if self.baseline else None

    def times(self, factor: Decimal, fixed: Decimal = Decimal(0)) -> "Saving":
        """Return the saving of so many times the work, with a fixed cost besides."""
        return Saving(self.baseline * factor, self.paid * factor + fixed)


def work_of(row: quota_pb2.SpendRow) -> Work:
    """Read a row that is grouped by outcome."""
    work = Work(attempts=row.attempts, paid=Decimal(row.cost_nanos) / NANOS)
    if row.outcome != SERVED:
        return work
    return replace(work, served=row.attempts, input_tokens=row.input_tokens, output_tokens=row.output_tokens)


def grouped(rows: Iterable[quota_pb2.SpendRow], by: str) -> Mapping[str, Work]:
    """Sum rows by one of their columns, in its order."""
    groups: dict[str, Work] = {}
    for row in rows:
        name = str(getattr(row, by))
        groups[name] = groups.get(name, Work()) + work_of(row)
    return dict(sorted(groups.items()))


def total(groups: Mapping[str, Work]) -> Work:
    """Sum groups."""
    return sum(groups.values(), Work())


def compare(work: Work, baseline: Baseline) -> Saving:
    """Compare what was paid with what the baseline would have cost."""
    return Saving(baseline.cost(work), work.paid)


def check_tokens(groups: Mapping[str, Work], by: str) -> None:
    """Refuse spend without tokens: a price per token would make its baseline nothing and its saving a loss.

    Raises:
        StartError: names the groups.
    """
    without = [name for name, work in groups.items() if work.served and not work.input_tokens + work.output_tokens]
    if without:
        raise StartError(
            f"the spend of {by} {', '.join(without)} has answers but no tokens, so a price per token says nothing: "
            "compare per request (--per-request), or choose other days"
        )


def days(rows: Sequence[quota_pb2.SpendRow], from_day: str, to_day: str, today: date) -> tuple[date, date]:
    """Return the first and the last day that are compared: those said, else the first of the spend and today."""
    last = date.fromisoformat(to_day) if to_day else today
    seen = min((date.fromisoformat(row.day) for row in rows), default=last)
    first = date.fromisoformat(from_day) if from_day else seen
    return first, max(first, last)


def in_a_month(saving: Saving, length: int, fixed: Decimal) -> Saving:
    """Return what a month of 30 days is at the rate of so many days."""
    return saving.times(Decimal(DAYS_PER_MONTH) / length, fixed)


def of_tokens(saving: Saving, work: Work, tokens: int, fixed: Decimal) -> Saving:
    """Return what a month of so many tokens is, mixed as these."""
    done = work.input_tokens + work.output_tokens
    return saving.times(Decimal(tokens) / done if done else Decimal(0), fixed)
