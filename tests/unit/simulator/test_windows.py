"""Windows count what the vendors count, and forget when the vendors forget."""

from datetime import UTC, datetime
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_services.simulator.quotas import Quotas, Subject
from provider_services.simulator.rows import LimitRow
from provider_services.simulator.windows import Gate, Rolling, open_window


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def test_a_sliding_minute_forgets_each_charge_sixty_seconds_after_it_came():
    window = Rolling(60)
    window.add(0, 3)
    window.add(30, 4)
    assert [window.used(now) for now in (30, 59.9, 60, 89.9, 90)] == [7, 7, 4, 4, 0]


def test_a_sliding_window_says_when_enough_will_have_left():
    window = Rolling(60)
    window.add(0, 3)
    window.add(10, 3)
    assert (window.fits_in(20, 6), window.fits_in(20, 4), window.fits_in(20, 0)) == (0, 40, 50)
    assert window.empty_in(20) == 50


def test_a_corrected_charge_counts_its_new_amount_until_it_leaves():
    window = Rolling(60)
    charge = window.add(0, 100)
    window.correct(charge, 10)
    assert window.used(1) == 10
    assert window.used(61) == 0
    window.correct(charge, 50)
    assert window.used(61) == 0


@pytest.mark.parametrize(
    ("per", "resets", "before", "after"),
    [
        ("day", "utc", at("2026-03-01T23:59:59"), at("2026-03-02T00:00:00")),
        ("day", "pacific", at("2026-03-07T23:59:59", "America/Los_Angeles"), at("2026-03-08T08:00:00")),
        ("day", "pacific", at("2026-03-09T06:59:59"), at("2026-03-09T07:00:00")),
        ("month", None, at("2026-02-28T23:59:59"), at("2026-03-01T00:00:00")),
        ("minute", "utc", at("2026-03-01T10:00:59"), at("2026-03-01T10:01:00")),
    ],
)
def test_a_calendar_window_ends_at_the_vendors_own_midnight(per, resets, before, after):
    window = open_window(per, resets)
    window.add(before, 5)
    assert window.used(before) == 5
    assert window.empty_in(before) == pytest.approx(after - before)
    assert window.used(after) == 0


def test_a_correction_after_the_period_ended_changes_nothing():
    window = open_window("day", "utc")
    charge = window.add(datetime(2026, 3, 1, 23, tzinfo=UTC).timestamp(), 5)
    assert window.used(datetime(2026, 3, 2, 1, tzinfo=UTC).timestamp()) == 0
    window.correct(charge, 100)
    assert window.used(datetime(2026, 3, 2, 1, tzinfo=UTC).timestamp()) == 0


def test_a_gate_counts_what_is_inside():
    gate = Gate()
    first = gate.add(0, 1)
    gate.add(0, 1)
    assert gate.used(1_000) == 2
    gate.correct(first, 0)
    assert gate.used(1_000) == 1


@given(
    gaps=st.lists(st.floats(0, 40), min_size=1, max_size=60),
    amount=st.integers(1, 5),
)
def test_no_sixty_seconds_ever_hold_more_than_the_limit(gaps, amount):
    quotas = Quotas((LimitRow(unit="requests", amount=amount),))
    subject = Subject("account", "model")
    admitted: list[float] = []
    for now in accumulate(gaps):
        denial = quotas.deny(subject, 0, now)
        if denial is None:
            quotas.charge(subject, 0, now)
            admitted.append(now)
        else:
            assert quotas.deny(subject, 0, now + denial.retry_after + 1e-6) is None
            quotas = replayed(admitted, amount)
    assert all(sum(end - 60 < other <= end for other in admitted) <= amount for end in admitted)


def replayed(moments: list[float], amount: int) -> Quotas:
    """Build the quotas anew: asking about the future made the old ones forget."""
    quotas = Quotas((LimitRow(unit="requests", amount=amount),))
    for moment in moments:
        quotas.charge(Subject("account", "model"), 0, moment)
    return quotas
