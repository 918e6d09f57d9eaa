"""Expands a tenant, a use case and an offer into the budgets they draw on, under one version number (I14)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from quota_service.budgets import Budget, Terms, tightest
from quota_service.overrides import NONE, Change, Overrides, changed, unexpired
from quota_service.windows import FOREVER

Expand = Callable[[str], Terms | None]
KNOWN_OFFERS = 8_192


class Definitions:
    """Budgets as declared, and the limits that overrule them.

    Args:
        fingerprint: differs whenever anything below does; a store turns it into a version that grows.
        expand: finds the terms of an offer, None when nobody knows it.
        payers: budgets of `tenant/<t>`, `use_case/<u>` and `tenant/<t>/use_case/<u>`, and what each account serves of a
            use case that is spread, `use_case/<u>/share/<account>`, by subject.
        declared: the offers whose budgets are listed even before they are used.
        version: grows with every change of any of this.
        overrides: the limits that count instead of declared ones.
    """

    def __init__(
        self,
        fingerprint: int,
        expand: Expand,
        payers: Mapping[str, tuple[Budget, ...]],
        declared: Iterable[str] = (),
        *,
        version: int = 1,
        overrides: Overrides = NONE,
    ) -> None:
        self.fingerprint = fingerprint
        self.version = version
        self.overrides = overrides
        self.expire_at = min((override.until for override in overrides.values()), default=FOREVER)
        self.terms: Expand = lru_cache(KNOWN_OFFERS)(self._terms if overrides else expand)
        self.payer_budgets = lru_cache(KNOWN_OFFERS)(self._payer_budgets)
        self._expand = expand
        self._declared_payers = payers
        self._payers = {subject: self._overruled(rows) for subject, rows in payers.items()} if overrides else payers
        self._declared = tuple(declared)

    def numbered(self, version: int, overrides: Overrides | None = None) -> "Definitions":
        """Return the same definitions under another version, perhaps with other overrides."""
        overrides = self.overrides if overrides is None else overrides
        return Definitions(
            self.fingerprint, self._expand, self._declared_payers, self._declared, version=version, overrides=overrides
        )

    def as_of(self, now: int) -> "Definitions":
        """Return the definitions without what has expired: the same when nothing has, else the next version."""
        if now < self.expire_at:
            return self
        return self.numbered(self.version + 1, unexpired(self.overrides, now))

    def _terms(self, offer: str) -> Terms | None:
        terms = self._expand(offer)
        return None if terms is None else replace(terms, budgets=self._overruled(terms.budgets))

    def _overruled(self, budgets: tuple[Budget, ...]) -> tuple[Budget, ...]:
        known = self.overrides
        return tuple(budget.overruled(known[budget.id].limit) if budget.id in known else budget for budget in budgets)

    def _payer_budgets(self, tenant: str, use_case: str) -> tuple[Budget, ...]:
        """Return the budgets of who pays and what for."""
        payers = self._payers
        if not payers:
            return ()
        return (
            *payers.get(f"tenant/{tenant}", ()),
            *payers.get(f"use_case/{use_case}", ()),
            *payers.get(f"tenant/{tenant}/use_case/{use_case}", ()),
        )

    def share(self, use_case: str, account: str) -> tuple[Budget, ...]:
        """Return the budget of an account's share of a use case; none when the use case is not spread."""
        return self._payers.get(f"use_case/{use_case}/share/{account}", ()) if self._payers else ()

    def budgets(self) -> list[Budget]:
        """Return every declared budget once, in the order of ids."""
        budgets = [budget for rows in self._payers.values() for budget in rows]
        for offer in self._declared:
            terms = self.terms(offer)
            budgets += () if terms is None else terms.budgets
        return sorted(tightest(budgets), key=lambda budget: budget.id)


def overruled(definitions: Definitions, changes: Sequence[Change], now: int) -> Definitions:
    """Return the next version, after these changes of limits."""
    return definitions.numbered(definitions.version + 1, changed(definitions.overrides, changes, now))
