"""What was looked at more than 90 days ago is told, unless it has ended anyway."""

import datetime as dt

import pytest
from fixtures.small_mesh import catalog, model, vendor

from catalog.freshness import stale
from catalog.model import Limit, Plan, Window

TODAY = dt.date(2026, 11, 20)
OLD, NEW = "2026-08-21", "2026-08-22"  # 91 and 90 days ago


def limited(date: str) -> Plan:
    return Plan("free", (Limit("requests", Window("calendar", per="day"), 5, date=date),), source="a page", date=date)


def places(known: object) -> list[tuple[str, int]]:
    return [(f"{each.vendor} {each.place}", each.age(TODAY)) for each in stale(known, TODAY)]  # type: ignore[arg-type]


def test_models_and_limits_older_than_90_days_are_named_with_their_age() -> None:
    known = catalog(
        vendor("alpha", model("old", date=OLD, source="a list"), model("new", date=NEW), plans={"free": limited(OLD)}),
        vendor("beta", model("big", date=NEW), plans={"free": limited(NEW), "paid": Plan("paid", date=OLD)}),
    )
    assert places(known) == [("alpha plans.free", 91), ("alpha models.old", 91)]


@pytest.mark.parametrize(
    "row",
    [
        {"status": "retired", "retired_on": dt.date(2026, 1, 1)},
        {"status": "unknown"},
        {"retired_on": TODAY},
    ],
)
def test_what_has_ended_or_nobody_knows_to_live_may_be_old(row: dict[str, object]) -> None:
    assert places(catalog(vendor("alpha", model("old", date=OLD, **row)))) == []


def test_a_vendor_that_has_ended_may_be_old() -> None:
    gone = vendor("alpha", model("old", date=OLD), plans={"free": limited(OLD)}, retired_on=TODAY)
    assert places(catalog(gone)) == []
