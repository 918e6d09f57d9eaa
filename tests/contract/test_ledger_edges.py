"""Traffic across the edge of a vendor's day or month: however its clock is off, it never counts more than its quota."""

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import definitions, limit, reserve, settle, terms
from fixtures.valkey import PATIENCE, fresh_prefix, shared

from quota_service.definitions import Definitions
from quota_service.operations import Held, OfferAmounts
from quota_service.stores.memory import MemoryStore
from quota_service.stores.protocol import Store
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore

OFFER = "vendor/m#1"
# As much as is asked for long before the edge, and so much that something is left for the edge itself.
FEW, MANY = 12, 24
LOS_ANGELES, PARIS = "America/Los_Angeles", "Europe/Paris"
# The window, and the day that begins at the edge, by the calendar on the vendor's wall.
EDGES = {
    "midnight in Los Angeles": (f"day {LOS_ANGELES}", date(2026, 11, 20)),
    "Los Angeles begins its day of 23 hours": (f"day {LOS_ANGELES}", date(2027, 3, 14)),
    "Los Angeles ends its day of 23 hours": (f"day {LOS_ANGELES}", date(2027, 3, 15)),
    "Los Angeles begins its day of 25 hours": (f"day {LOS_ANGELES}", date(2026, 11, 1)),
    "Los Angeles ends its day of 25 hours": (f"day {LOS_ANGELES}", date(2026, 11, 2)),
    "Paris begins its day of 23 hours": (f"day {PARIS}", date(2027, 3, 28)),
    "Paris ends its day of 23 hours": (f"day {PARIS}", date(2027, 3, 29)),
    "Paris begins its day of 25 hours": (f"day {PARIS}", date(2026, 10, 25)),
    "Paris ends its day of 25 hours": (f"day {PARIS}", date(2026, 10, 26)),
    "a month ends": (f"month {PARIS}", date(2026, 12, 1)),
    "a year ends": (f"month {LOS_ANGELES}", date(2027, 1, 1)),
    "February ends without a leap day": (f"month {PARIS}", date(2027, 3, 1)),
    "the leap day begins": (f"day {LOS_ANGELES}", date(2028, 2, 29)),
    "the leap day ends": (f"day {PARIS}", date(2028, 3, 1)),
    "February ends with its leap day": (f"month {LOS_ANGELES}", date(2028, 3, 1)),
}
# How far a vendor's clock is ahead of ours, with the way to it, in milliseconds.
OFF = (-1_999, -1_000, 0, 1_000, 1_999)


async def _memory(_path: Path, clock: ManualClock, known: Definitions) -> Store:
    return MemoryStore(known, clock)


async def _sqlite(path: Path, clock: ManualClock, known: Definitions) -> Store:
    return SqliteStore.open(path / "ledger.db", known, clock)


async def _redis(_path: Path, clock: ManualClock, known: Definitions) -> Store:
    at_once = Recovery(short=0, long=0)
    return await RedisStore.open(
        shared().url, known, prefix=fresh_prefix(), recovery=at_once, clock=clock, silence=PATIENCE
    )


STORES = {"memory": _memory, "sqlite": _sqlite, "redis": _redis}


class Vendor:
    """Counts arrivals by the calendar on its own wall."""

    def __init__(self, per: str, zone: str, ahead: int) -> None:
        self._month = per == "month"
        self._zone = ZoneInfo(zone)
        self._ahead = ahead
        self.counted: Counter[date] = Counter()

    def serve(self, now: int, requests: int) -> None:
        today = datetime.fromtimestamp((now + self._ahead) / 1_000, self._zone).date()
        self.counted[today.replace(day=1) if self._month else today] += requests


def _moments(edge: int) -> Iterator[int]:
    """Half a minute and a few hours on both sides, more often the nearer the edge."""
    for hours in (5, 3, 1):
        yield edge - hours * 3_600_000
    yield from range(edge - 15_000, edge - 3_000, 3_000)
    yield from range(edge - 3_000, edge + 3_000, 333)
    yield from (edge - 1, edge, edge + 1_998, edge + 1_999, edge + 2_000)
    for hours in (1, 3, 5):
        yield edge + hours * 3_600_000


@pytest.mark.parametrize("quota", [FEW, MANY])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("store", STORES)
async def test_no_day_of_a_vendor_sees_more_than_its_quota(store, edge, quota, tmp_path):
    """I9: two requests at each moment, of which one is settled at once and one when the day is over."""
    window, day = EDGES[edge]
    per, zone = window.split()
    turn = int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000
    clock = ManualClock((turn - 6 * 3_600_000) / 1_000)
    known = definitions(terms(OFFER, limit("vendor/default", "requests", quota, window)))
    ledger = await STORES[store](tmp_path, clock, known)
    vendors = [Vendor(per, zone, ahead) for ahead in OFF]
    late: list[str] = []
    for number, moment in enumerate(sorted(_moments(turn))):
        clock.set(moment / 1_000)
        names = [f"{number} {kind}" for kind in ("now", "late")]
        applied = await ledger.apply([reserve(name, OfferAmounts(OFFER), ttl=3_600_000) for name in names])
        held = [name for name, answer in zip(names, applied.answers, strict=True) if isinstance(answer, Held)]
        for vendor in vendors:
            vendor.serve(moment, len(held))
        late += [name for name in held if name.endswith("late")]
        await ledger.apply([settle(name) for name in held if name.endswith("now")])
    await ledger.apply([settle(name) for name in late])
    assert await ledger.verify() == []
    await ledger.close()
    for ahead, vendor in zip(OFF, vendors, strict=True):
        assert max(vendor.counted.values()) <= quota, (ahead, vendor.counted)
        assert len(vendor.counted) == 2
    if (
        quota == FEW
    ):  # nothing is left for the edge itself, so that it costs nothing: all there is is used on both sides
        assert list(vendors[2].counted.values()) == [FEW, FEW]
