"""How budgets stand right now, for people and dashboards."""

from dataclasses import dataclass

from quota_service.budgets import Budget
from quota_service.ledger import Ledger
from quota_service.overrides import Overrides, starting
from quota_service.rules import Closure


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """One budget in its current window; `resets_at` is None when the window slides or never ends."""

    budget: Budget
    limit: int
    used: int
    held: int
    external: int
    left: int
    resets_at: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """All budgets whose subject matched, what vendors closed, which limits are overruled, and the ledger's moment."""

    budgets: tuple[BudgetStanding, ...]
    closures: dict[str, Closure]
    version: int
    now: int
    open_holds: int
    overrides: Overrides


def standing(ledger: Ledger, now: int, prefix: str = "") -> Standing:
    """Return how the declared budgets stand, by id; the limit is ours, `left` heeds the vendor's."""
    definitions = ledger.definitions.as_of(now)
    budgets = [budget for budget in definitions.budgets() if budget.subject.startswith(prefix)]
    return Standing(
        budgets=tuple(_one(ledger, budget, now) for budget in budgets),
        closures={
            subject: closure
            for subject, closure in ledger.closures.items()
            if subject.startswith(prefix) and closure.until > now
        },
        version=definitions.version,
        now=now,
        open_holds=ledger.open_holds,
        overrides=starting(definitions.overrides, prefix),
    )


def _one(ledger: Ledger, budget: Budget, now: int) -> BudgetStanding:
    line = ledger.lines[budget.id]
    if now >= line.stale_at:
        line.advance(now, budget)
    level = line.weighed[0]
    end = line.current[0].end
    ends = budget.window.kind == "calendar"
    return BudgetStanding(
        budget=budget,
        limit=budget.limit,
        used=level.used,
        held=level.held,
        external=level.external,
        left=max(0, level.limit(budget.limit) - level.taken),
        resets_at=end if ends else None,
    )
