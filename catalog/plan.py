"""Plans and limits: how a slot of a vendor is charged, and how much it may be used."""

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal

from catalog.window import Window

Unit = Literal["requests", "tokens", "nanodollars", "concurrency"]
Scope = Literal["account", "model", "pool"]
WhenSilent = Literal["", "deny", "allow"]
PlanName = Literal["free", "paid", "credit", "local"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A part of a one-off credit, by name; on the day `expires_on`, and later, nothing of it is left (UTC)."""

    id: str
    amount: int
    expires_on: date | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` of a unit in a window, for an account, for each model of it, or for a pool of models.

    `models` are ids or patterns (`*:free`) the limit counts for; empty means all. Amounts of money are nano-dollars.
    `headroom` is what requests of each tier must leave, in millionths of the amount, in the order of TIERS; empty when
    nothing is kept from anybody. `grants` are what a one-off amount is made of, empty when it never expires.
    `when_silent` says whether what draws on it goes on while the ledger is silent; empty: only under a local plan.
    """

    unit: Unit
    window: Window
    amount: int
    scope: Scope = "account"
    pool: str | None = None
    models: tuple[str, ...] = ()
    hard: bool = True
    headroom: tuple[int, ...] = ()
    grants: tuple[Grant, ...] = ()
    when_silent: WhenSilent = ""
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a slot is charged and limited.

    `models` are the ids or patterns the plan reaches, empty means all; `valid_days` is how long a one-off credit lives;
    `errors_count` says that the vendor counts a request it answered with an error.
    """

    name: PlanName
    limits: tuple[Limit, ...] = ()
    models: tuple[str, ...] = ()
    valid_days: int | None = None
    errors_count: bool = True
    source: str = ""
    date: str = ""

    def covers(self, model: str) -> bool:
        """Tell whether the plan reaches that model at all."""
        return matches(model, self.models)

    @property
    def charged(self) -> bool:
        """Tell whether requests cost list price: paid and credit do, free and local do not."""
        return self.name in ("paid", "credit")


def matches(model: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a model id is one of the patterns; no patterns match every model."""
    return not patterns or any(fnmatchcase(model, pattern) for pattern in patterns)
