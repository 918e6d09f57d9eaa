"""Overrides: other limits than the declared ones, set by a person, for a while; each change is a new version (I14)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from quota_service.operations import RemoveOverride, SetOverride
from quota_service.windows import FOREVER


class Override(NamedTuple):
    """One limit that counts instead of the declared one: whose, why, since when and until when."""

    limit: int
    author: str
    reason: str
    made: int
    until: int


# By budget id.
Overrides = Mapping[str, Override]
NONE: Overrides = {}
Change = SetOverride | RemoveOverride


def changed(overrides: Overrides, changes: Sequence[Change], now: int) -> Overrides:
    """Return the overrides after these changes, in their order."""
    after = dict(overrides)
    for change in changes:
        after.pop(change.budget, None)
        if isinstance(change, SetOverride):
            after[change.budget] = Override(change.limit, change.author, change.reason, now, change.until or FOREVER)
    return after


def unexpired(overrides: Overrides, now: int) -> Overrides:
    """Return the overrides whose time is not over."""
    return {budget: override for budget, override in overrides.items() if override.until > now}


def differing(before: Overrides, after: Overrides) -> set[str]:
    """Return the budgets whose override came, went or changed."""
    return {budget for budget in before.keys() | after.keys() if before.get(budget) != after.get(budget)}


def starting(overrides: Overrides, prefix: str) -> Overrides:
    """Return the overrides of budgets whose ids start with this."""
    return {budget: override for budget, override in overrides.items() if budget.startswith(prefix)}


def note(change: Change) -> str:
    """Return what the journal and the log tell of a change: which budget, to what, by whom, why."""
    to = str(change.limit) if isinstance(change, SetOverride) else "as declared"
    return f"{change.budget} {to} by {change.author}: {change.reason}"
