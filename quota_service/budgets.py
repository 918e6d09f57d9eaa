"""Says what a budget is and how its id reads: `subject/unit/window`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from catalog import plan
from catalog.window import Window
from catalog.words import TIERS
from quota_service.credit import Grant
from quota_service.windows import FOREVER, GUARD, day_start

UNITS = ("requests", "tokens", "nanodollars", "concurrency")
TIER_PLACES: dict[str, int] = {tier: place for place, tier in enumerate(TIERS)}
MILLION = 1_000_000
PAYERS = ("tenant/", "use_case/")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit on a unit in a window, for one subject.

    `index` is the unit's place in UNITS; `guard` is not 0 where a vendor's clock decides (I9). `declared` is the
    limit of the configuration, which an override may have replaced.
    `headroom` is what each tier must leave, in millionths of the limit, empty when nothing is kept from anybody (I16).
    `grants` are the parts of a one-off credit that expires, in the order of their ends.
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
    headroom: tuple[int, ...] = ()
    grants: tuple[Grant, ...] = ()

    def kept(self, tier: str) -> int:
        """Return how much of the limit is kept from a tier, rounded up; nothing from who names none."""
        return -(-self.limit * self.headroom[TIER_PLACES[tier]] // MILLION) if self.headroom and tier else 0

    def overruled(self, limit: int) -> "Budget":
        """Return the same budget with another limit."""
        return replace(self, limit=limit)


def budget(
    subject: str,
    unit: str,
    window: Window,
    limit: int,
    *,
    hard: bool = True,
    headroom: tuple[int, ...] = (),
    grants: tuple[plan.Grant, ...] = (),
) -> Budget:
    """Make a budget with its id."""
    payer = subject.startswith(PAYERS)
    guard = GUARD if window.kind == "calendar" and not payer else 0
    budget_id = f"{subject}/{unit}/{window.label}"
    return Budget(
        budget_id,
        subject,
        unit,
        window,
        limit,
        hard,
        UNITS.index(unit),
        guard,
        payer,
        limit,
        headroom,
        _credit(grants, 0 if payer else GUARD),
    )


def _credit(grants: tuple[plan.Grant, ...], guard: int) -> tuple[Grant, ...]:
    """Return grants in the order of their ends; a vendor's end so much earlier as its clock may be ahead of ours."""
    ends = [(grant, grant.expires_on) for grant in grants]
    return tuple(sorted(Grant(FOREVER if end is None else day_start(end) - guard, grant.amount) for grant, end in ends))


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


def unit_place(budget_id: str) -> int:
    """Return the place in UNITS of a budget's unit."""
    return UNITS.index(parts(budget_id)[1])


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
