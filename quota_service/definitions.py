"""Expands a tenant, a use case and an offer into the budgets they draw on, under one version number (I14)."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from quota_service.budgets import Budget, Terms, tightest

Expand = Callable[[str], Terms | None]
KNOWN_OFFERS = 8_192


class Definitions:
    """Budgets as declared.

    Args:
        fingerprint: differs whenever anything below does; a store turns it into a version that grows.
        expand: finds the terms of an offer, None when nobody knows it.
        payers: budgets of `tenant/<t>`, `use_case/<u>` and `tenant/<t>/use_case/<u>`, by subject.
        declared: the offers whose budgets are listed even before they are used.
    """

    def __init__(
        self,
        fingerprint: int,
        expand: Expand,
        payers: Mapping[str, tuple[Budget, ...]],
        declared: Iterable[str] = (),
        version: int = 1,
    ) -> None:
        self.fingerprint = fingerprint
        self.version = version
        self.terms: Expand = lru_cache(KNOWN_OFFERS)(expand)
        self._expand = expand
        self._payers = payers
        self._declared = tuple(declared)

    def numbered(self, version: int) -> "Definitions":
        """Return the same definitions under another version."""
        return Definitions(self.fingerprint, self._expand, self._payers, self._declared, version)

    def payer_budgets(self, tenant: str, use_case: str) -> tuple[Budget, ...]:
        """Return the budgets of who pays and what for."""
        payers = self._payers
        if not payers:
            return ()
        return (
            *payers.get(f"tenant/{tenant}", ()),
            *payers.get(f"use_case/{use_case}", ()),
            *payers.get(f"tenant/{tenant}/use_case/{use_case}", ()),
        )

    def budgets(self) -> list[Budget]:
        """Return every declared budget once, in the order of ids."""
        budgets = [budget for rows in self._payers.values() for budget in rows]
        for offer in self._declared:
            terms = self.terms(offer)
            budgets += () if terms is None else terms.budgets
        return sorted(tightest(budgets), key=lambda budget: budget.id)
