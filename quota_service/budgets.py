"""Says what a budget is and how its id reads: `subject/unit/window`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from catalog.window import Window
from quota_service.windows import GUARD

UNITS = ("requests", "tokens", "nanodollars", "concurrency")
PAYERS = ("tenant/", "use_case/")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on a unit in a window, for one subject.

    `index` is the unit's place in UNITS; `guard` is not 0 where a vendor's clock decides (I9). `declared` is the
    limit of the configuration, which an override may have replaced.
    """

    id: str
    subject: str
    unit: str
    window: Window
    limit: int
    hard: bool
    index: int
    guard: int
    payer: bool
    declared: int

    def overruled(self, limit: int) -> "Budget":
        """Return the same budget with another limit."""
        return replace(self, limit=limit)


def budget(subject: str, unit: str, window: Window, limit: int, *, hard: bool = True) -> Budget:
    """Make a budget with its id."""
    payer = subject.startswith(PAYERS)
    guard = GUARD if window.kind == "calendar" and not payer else 0
    budget_id = f"{subject}/{unit}/{window.label}"
    return Budget(budget_id, subject, unit, window, limit, hard, UNITS.index(unit), guard, payer, limit)


def tightest(budgets: Iterable[Budget]) -> tuple[Budget, ...]:
    """Keep one budget for each id: where rows overlap, the lowest limit holds."""
    found: dict[str, Budget] = {}
    for candidate in budgets:
        known = found.get(candidate.id)
        if known is None or candidate.limit < known.limit:
            found[candidate.id] = candidate
    return tuple(found.values())


def parts(budget_id: str) -> tuple[str, str, str]:
    """Split an id into subject, unit and window label; subjects may hold slashes, the others never do."""
    subject, unit, label = budget_id.rsplit("/", 2)
    return subject, unit, label


@dataclass(frozen=True, slots=True)
class Terms:
    """What one offer draws on.

    `subjects` are what a vendor can close: its account, the model, the slot.
    """

    offer: str
    vendor: str
    model: str
    plan: str
    account: str
    closes_model: str
    closes_slot: str
    budgets: tuple[Budget, ...]

    def subjects(self) -> tuple[str, str, str]:
        """Return the subjects whose closing stops this offer, the widest first."""
        return self.account, self.closes_model, self.closes_slot
