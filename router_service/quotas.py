"""Adds up what a vendor's usable slots have used and may still do, by unit and period.

Of one account, its own budgets and those of its models and pools bound each other: the smaller of the two is left.
Budgets of models and pools are added up, and bound an account only when each of its models has one. Accounts are added
up. Nothing is converted: a limit by the month says nothing about a day, requests say nothing about tokens.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import NamedTuple

from llmmesh.quota.v1 import quota_pb2

from catalog.limits import budget_id, limits_for
from catalog.mesh import Mesh
from catalog.model import Model, Vendor, Window
from catalog.offers import OfferId

HOUR, DAY = 3_600, 86_400
MONTH = range(28 * DAY, 31 * DAY + 1)
SUMMED = ("day", "month", "once")
LONG = "long"  # a period that limits for longer than an hour but is none of those that are summed
COUNTED = ("requests", "tokens", "nanodollars")
Standing = Mapping[str, quota_pb2.BudgetState]


class Kind(NamedTuple):
    """What a figure counts, and by which period."""

    unit: str
    period: str


class Figure(NamedTuple):
    """A limit, what is used of it, what is left and held, and when its first window ends, in Unix nanoseconds."""

    limit: int
    used: int
    left: int
    held: int = 0
    resets_at: int | None = None

    def plus(self, other: "Figure", left: int) -> "Figure":
        """Return the sum of two figures, of whose rest so much more is left."""
        resets = [moment for moment in (self.resets_at, other.resets_at) if moment is not None]
        return Figure(
            self.limit + other.limit,
            self.used + other.used,
            self.left + left,
            self.held + other.held,
            min(resets, default=None),
        )


NOTHING = Figure(0, 0, 0)


class BudgetRef(NamedTuple):
    """One budget of the ledger, and the limit that made it."""

    subject: str
    id: str
    limit: int


@dataclass(frozen=True, slots=True)
class Bound:
    """The budgets of one account that bound one kind: its own, and those of its models and pools when all have one."""

    account: str
    kind: Kind
    own: tuple[BudgetRef, ...]
    parts: tuple[BudgetRef, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """What bounds the slots of a vendor, and whether something free or something paid is bound by nothing."""

    bounds: tuple[Bound, ...] = ()
    free_unbounded: bool = False
    paid_unbounded: bool = False


@dataclass(slots=True)
class _Account:
    """What the offers of one account draw on: the budgets of each kind, one set for each offer."""

    draws: defaultdict[Kind, list[frozenset[BudgetRef]]] = field(default_factory=lambda: defaultdict(list))
    offers: int = 0


class Quotas:
    """Reads limits from one configuration and figures from the ledger."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        # Follows from the configuration and from which slots can be used; a vendor may have hundreds of models.
        self.shape = lru_cache(maxsize=256)(self._shape)

    def figures(self, shape: Shape, standing: Standing, closed: Collection[str]) -> list[tuple[Kind, Figure]]:
        """Return the sums over the accounts, the shortest period first; of what is closed nothing is left.

        Args:
            shape: of the usable slots.
            standing: the ledger's budgets by id.
            closed: subjects that a vendor closed.
        """
        sums: dict[Kind, Figure] = {}
        for account in dict.fromkeys(bound.account for bound in shape.bounds):
            own = {b.kind: _bounded(b, standing, closed) for b in shape.bounds if b.account == account}
            for kind, figure in own.items():
                left = min(own[longer].left for longer in _no_shorter(kind) if longer in own)
                sums[kind] = sums.get(kind, NOTHING).plus(figure, left)
        return sorted(sums.items(), key=lambda item: (SUMMED.index(item[0].period), COUNTED.index(item[0].unit)))

    def _shape(self, vendor_id: str, slots: tuple[int, ...], today: dt.date) -> Shape:
        vendor = self._mesh.catalog.vendors[vendor_id]
        accounts: defaultdict[str, _Account] = defaultdict(_Account)
        unbounded = set()
        for slot in slots:
            row = self._mesh.slot(vendor_id, slot)
            plan = self._mesh.plan(vendor_id, row.plan)
            account = accounts[f"{vendor_id}/{row.account}"]
            for model in filter(lambda model: plan.covers(model.id), _answering(vendor, today)):
                account.offers += 1
                drawn = self._drawn(OfferId(vendor_id, model.id, slot))
                for kind, budgets in drawn.items():
                    account.draws[kind].append(frozenset(budgets))
                if not drawn:
                    unbounded.add(plan.charged)
        bounds = tuple(bound for name, account in accounts.items() for bound in _bounds(name, account))
        return Shape(bounds, free_unbounded=False in unbounded, paid_unbounded=True in unbounded)

    def _drawn(self, offer: OfferId) -> Mapping[Kind, set[BudgetRef]]:
        """Return the budgets an offer draws on for longer than an hour, by kind."""
        drawn: defaultdict[Kind, set[BudgetRef]] = defaultdict(set)
        for subject, limit in limits_for(self._mesh.catalog, self._mesh, offer):
            period = period_of(limit.window)
            if period and limit.unit in COUNTED:
                budget = BudgetRef(subject, budget_id(subject, limit.unit, limit.window), limit.amount)
                drawn[Kind(limit.unit, period)].add(budget)
        return drawn


def period_of(window: Window) -> str:
    """Return the period a window limits by: day, month, once or another long one; nothing up to an hour."""
    match window.kind:
        case "calendar":
            return "" if window.per == "hour" else window.per
        case "sliding" if window.seconds == DAY:
            return "day"
        case "sliding" if window.seconds in MONTH:
            return "month"
        case "sliding":
            return LONG if window.seconds > HOUR else ""
        case "once":
            return "once"
    return ""


def _answering(vendor: Vendor, today: dt.date) -> Iterator[Model]:
    """Name the models that live and answer; those that make vectors are counted nowhere."""
    for model in vendor.models.values():
        if model.status == "active" and not model.retired_by(today) and model.model_class != "embedding":
            yield model


def _bounds(name: str, account: _Account) -> Iterator[Bound]:
    """Return what bounds an account: only where each of its offers is bound."""
    for kind, draws in account.draws.items():
        if kind.period not in SUMMED or len(draws) < account.offers:
            continue
        own = {budget for drawn in draws for budget in drawn if budget.subject == name}
        parts = [[budget for budget in drawn if budget.subject != name] for drawn in draws]
        inner = {budget for drawn in parts for budget in drawn} if all(parts) else set()
        yield Bound(name, kind, tuple(sorted(own)), tuple(sorted(inner)))


def _bounded(bound: Bound, standing: Standing, closed: Collection[str]) -> Figure:
    """Return what is left of an account: the tightest of its own budgets and of the sum of its models and pools."""
    choices = [_figure(budget, standing, closed) for budget in bound.own]
    by_subject: defaultdict[str, list[Figure]] = defaultdict(list)
    for budget in bound.parts:
        by_subject[budget.subject].append(_figure(budget, standing, closed))
    if by_subject:
        tightest = [min(figures, key=lambda figure: figure.left) for figures in by_subject.values()]
        choices.append(reduce(lambda total, figure: total.plus(figure, figure.left), tightest))
    return min(choices, key=lambda figure: figure.left)


def _figure(budget: BudgetRef, standing: Standing, closed: Collection[str]) -> Figure:
    known = standing.get(budget.id)
    if known is None:
        return Figure(budget.limit, 0, 0 if budget.subject in closed else budget.limit)
    resets_at = known.resets_at.ToNanoseconds() if known.HasField("resets_at") else None
    return Figure(known.limit, known.used, 0 if budget.subject in closed else known.left, known.held, resets_at)


def _no_shorter(kind: Kind) -> Iterable[Kind]:
    """Name the kinds of the same unit whose period is as long or longer: they bound this one too."""
    return (Kind(kind.unit, period) for period in SUMMED[SUMMED.index(kind.period) :])
