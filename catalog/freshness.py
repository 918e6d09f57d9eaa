"""Finds what of the catalogue was looked at too long ago to be believed."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from catalog.model import Catalog

OLD = dt.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Stale:
    """A model's price, or a plan's limits, by its place in the vendor's row."""

    vendor: str
    place: str
    date: dt.date
    source: str

    def age(self, today: dt.date) -> int:
        """Return how many days ago it was looked at."""
        return (today - self.date).days


def stale(catalog: Catalog, today: dt.date) -> Iterator[Stale]:
    """Name what is older than 90 days; what has ended, or nobody knows to live, can be as old as it likes.

    A plan without limits says nothing that could be out of date.
    """
    for vendor in catalog.vendors.values():
        if vendor.retired_on is not None and vendor.retired_on <= today:
            continue
        for name, plan in vendor.plans.items():
            dates = [limit.date for limit in plan.limits if limit.date]
            if dates and _old(min(dates), today):
                yield Stale(vendor.id, f"plans.{name}", dt.date.fromisoformat(min(dates)), plan.source)
        for model in vendor.models.values():
            if model.status == "active" and not model.retired_by(today) and model.date and _old(model.date, today):
                yield Stale(vendor.id, f"models.{model.id}", dt.date.fromisoformat(model.date), model.source)


def _old(date: str, today: dt.date) -> bool:
    return today - dt.date.fromisoformat(date) > OLD
