"""I10: one clock, which never goes back."""

from fixtures.clock import ManualClock

from quota_service.clock import LedgerClock


def test_moments_are_the_walls_milliseconds():
    clock = ManualClock(1_000.25)
    ledger_clock = LedgerClock(clock)
    assert ledger_clock.now() == 1_000_250
    clock.advance(0.5)
    assert ledger_clock.now() == 1_000_750


def test_a_wall_clock_set_back_makes_time_go_at_half_its_pace_until_it_has_caught_up():
    clock = ManualClock(10_000.0)
    ledger_clock = LedgerClock(clock)
    assert ledger_clock.now() == 10_000_000
    clock.set(9_900.0)
    assert ledger_clock.now() == 10_000_000
    clock.advance(100)
    assert ledger_clock.now() == 10_050_000
    clock.advance(100)
    assert ledger_clock.now() == 10_100_000  # the wall says so too
    clock.advance(1)
    assert ledger_clock.now() == 10_101_000


def test_a_restart_under_a_clock_set_back_goes_on_from_the_moment_remembered():
    clock = ManualClock(9_000.0)
    ledger_clock = LedgerClock(clock, last=10_000_000)
    assert ledger_clock.now() == 10_000_000
    clock.advance(10)
    assert ledger_clock.now() == 10_005_000


def test_a_wall_clock_set_forward_is_followed_at_once():
    clock = ManualClock(1_000.0)
    ledger_clock = LedgerClock(clock)
    clock.set(5_000.0)
    assert ledger_clock.now() == 5_000_000
    ledger_clock.not_before(6_000_000)
    assert ledger_clock.now() == 6_000_000
