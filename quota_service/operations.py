"""What the ledger is asked and what it answers: frozen values; durations and moments are milliseconds."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:  # what is defined here is what definitions are made of
    from quota_service.definitions import Definitions

DEFAULT_TTL = 120_000
# Amounts in the order of budgets.UNITS: requests, tokens, nano-dollars, places.
Units = tuple[int, int, int, int]
NO_UNITS: Units = (0, 0, 0, 0)
# How long a place of a concurrency budget is lent at a time: when a caller dies, others wait for it no longer.
LEASE = 10_000
NOBODY: Mapping[str, int] = MappingProxyType({})


class Outcome(StrEnum):
    """What became of an attempt."""

    SERVED = "served"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    RELEASED = "released"


class Cause(StrEnum):
    """What kind of limit stopped an offer."""

    BUDGET = "budget"
    COOLING = "cooling"
    TOO_LARGE = "too_large"
    TENANT = "tenant"
    REJECTED = "rejected"
    UNKNOWN_OFFER = "unknown_offer"
    EXHAUSTED = "exhausted"
    HEADROOM = "headroom"
    EXPIRED = "expired"
    RECOVERING = "recovering"
    QUEUED = "queued"


class Amounts(Struct, frozen=True, gc=False):
    """What was spent: requests, tokens, nano-dollars."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0

    def in_units(self) -> Units:
        """Return what is charged in each unit; concurrency is never charged, only lent (I18)."""
        return self.requests, self.input_tokens + self.output_tokens, self.cost_nanos, 0


NOTHING = Amounts()


class OfferAmounts(Struct, frozen=True, gc=False):
    """What one offer would need."""

    offer: str
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanos: int = 0
    requests: int = 1

    def in_units(self) -> Units:
        """Return what the offer takes in each unit."""
        return self.requests, self.input_tokens + self.output_tokens, self.cost_nanos, 1


class Settle(Struct, frozen=True):
    """Ends a hold with what was really spent; `labels` are the caller's, as one text (spend.labels_text)."""

    attempt_id: str
    outcome: Outcome
    amounts: Amounts = NOTHING
    unpriced: bool = False
    labels: str = ""


class Release(Struct, frozen=True):
    """Gives a hold back whole."""

    attempt_id: str


class Extend(Struct, frozen=True):
    """Keeps a hold alive for `ttl` from now."""

    attempt_id: str
    ttl: int = DEFAULT_TTL


class Observe(Struct, frozen=True):
    """Learns what a vendor said of a quota of ours."""

    offer: str
    scope: str
    unit: str = ""
    window: str = ""
    limit: int | None = None
    remaining: int | None = None
    closed_for: int = 0
    reason: str = ""
    opened: bool = False


class Reserve(Struct, frozen=True):
    """Holds the budgets of the first offer that fits, all or none.

    `declared` says that it was admitted before the store lost its state, and is told again. Of some budgets a part is
    kept from the `tier`; of none when there is none. `behind` is what those who came first wait for, by budget: that
    much must be left for them (I16). `beyond_share` leaves the shares of its use case alone.
    """

    attempt_id: str
    tenant: str
    use_case: str
    offers: tuple[OfferAmounts, ...]
    instead_of: Settle | None = None
    patience: int = 0
    ttl: int = DEFAULT_TTL
    dry_run: bool = False
    declared: bool = False
    tier: str = ""
    behind: Mapping[str, int] = NOBODY
    beyond_share: bool = False

    def impatient(self, patience: int = 0) -> "Reserve":
        """Return the same reserve with so much patience, by default none."""
        return replace(self, patience=patience)

    def queued(self, behind: Mapping[str, int]) -> "Reserve":
        """Return the same reserve behind those who wait for so much of these budgets."""
        return replace(self, behind=behind) if behind or self.behind else self


class SetOverride(Struct, frozen=True):
    """Counts another limit than the declared one for a budget, from the next batch on, until a moment (0: for ever)."""

    budget: str
    limit: int
    author: str
    reason: str
    until: int = 0


class RemoveOverride(Struct, frozen=True):
    """Counts the declared limit again, from the next batch on."""

    budget: str
    author: str
    reason: str


class Redefine(Struct, frozen=True):
    """Counts by the definitions of another configuration, from this batch's reserves on; overrides stay (I14)."""

    definitions: "Definitions"


class Denial(Struct, frozen=True):
    """Why one offer had no room; `by_holds` says that it would fit if every hold ended unspent."""

    offer: str
    budget: str
    cause: Cause
    retry_after: int | None = None
    fits_in: int | None = None
    limit: int = 0
    left: int = 0
    unit: str = ""
    by_holds: bool = False


class Held(Struct, frozen=True):
    """A reserve was admitted; with a lease it must be extended within it."""

    offer: str
    expires_at: int
    version: int
    plan: str
    passed_over: tuple[Denial, ...] = ()
    lease: int = 0


class Denied(Struct, frozen=True):
    """A reserve found no room."""

    denials: tuple[Denial, ...]


class Waiting(Struct, frozen=True):
    """A patient reserve found no room yet; nothing changed, and its instead_of still holds its budgets."""

    denials: tuple[Denial, ...]
    wake_at: int


class Done(Struct, frozen=True):
    """A settle, release, extend or observe was done, or had been done before."""

    already: bool = False
    corrected: bool = False


class Refused(Struct, frozen=True):
    """The operation was refused; nothing changed."""

    reason: Literal["HOLD_CONFLICT", "ATTEMPT_CONFLICT", "UNKNOWN_MODEL"]
    message: str


DONE = Done()
ALREADY = Done(already=True)
CORRECTED = Done(corrected=True)

Operation = Reserve | Settle | Release | Extend | Observe | SetOverride | RemoveOverride | Redefine
Answer = Held | Denied | Waiting | Done | Refused
