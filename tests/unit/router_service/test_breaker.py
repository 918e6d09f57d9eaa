"""When a breaker opens, for how long, and what closes it; time and jitter are given, never taken."""

import pytest

from router_service.breaker import Breaker, Gate, Settings, State

SETTINGS = Settings(
    failures_in_a_row=3, failure_share=0.5, least_calls=6, window=10.0, first_open=4.0, longest_open=20.0
)


def breaker(jitter: float = 0.5) -> Breaker:
    return Breaker(SETTINGS, lambda: jitter)


def call(tested: Breaker, succeeded: bool | None, now: float) -> bool:
    probe = tested.claim(now)
    tested.enter()
    tested.record(succeeded, now, probe=probe)
    return probe


def opened(now: float = 0.0) -> Breaker:
    tested = breaker()
    for _ in range(3):
        call(tested, False, now)
    return tested


def test_a_breaker_begins_closed_and_admits_everything():
    tested = breaker()
    assert tested.state is State.CLOSED
    assert tested.admits(0.0)


def test_it_opens_after_so_many_failures_in_a_row():
    tested = breaker()
    call(tested, False, 0.0)
    call(tested, False, 0.0)
    assert tested.state is State.CLOSED
    call(tested, False, 0.0)
    assert tested.state is State.OPEN
    assert not tested.admits(3.9)


def test_a_success_between_failures_begins_the_count_anew():
    tested = breaker()
    for succeeded in (False, False, True, False, False):
        call(tested, succeeded, 0.0)
    assert tested.state is State.CLOSED


def test_it_opens_when_the_share_of_failures_in_the_window_is_too_high():
    tested = breaker()
    for number, succeeded in enumerate((True, False, True, False, True, False)):
        assert tested.state is State.CLOSED
        call(tested, succeeded, float(number))
    assert tested.state is State.OPEN


@pytest.mark.parametrize(
    ("calls", "why"),
    [
        ([(0.0, False), (0.1, True), (0.2, False), (0.3, True), (0.4, False)], "there were too few calls"),
        ([(0.0, False), (0.1, True), (0.2, False), (0.3, True), (20.0, True), (20.1, False)], "most are long ago"),
        ([(0.0, True), (0.1, True), (0.2, True), (0.3, True), (0.4, False), (0.5, False)], "most succeeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_stays_closed_when(calls, why):
    tested = breaker()
    for now, succeeded in calls:
        call(tested, succeeded, now)
    assert tested.state is State.CLOSED, why


def test_an_unknown_outcome_says_nothing():
    tested = breaker()
    for _ in range(20):
        call(tested, None, 0.0)
    assert tested.state is State.CLOSED


@pytest.mark.parametrize(("jitter", "length"), [(0.0, 3.2), (0.5, 4.0), (1.0, 4.8)])
def test_the_open_time_is_jittered_by_a_fifth(jitter, length):
    tested = breaker(jitter)
    for _ in range(3):
        call(tested, False, 100.0)
    assert tested.probe_at == pytest.approx(100.0 + length)


def test_once_the_open_time_is_over_one_probe_is_let_through_and_no_other():
    tested = opened()
    assert not tested.admits(3.99)
    assert tested.admits(4.0)
    assert tested.claim(4.0)
    assert tested.state is State.HALF_OPEN
    assert not tested.admits(4.0)
    assert not tested.claim(4.0), "a call that goes out all the same is no probe"


def test_a_probe_that_succeeds_closes_and_the_past_is_forgotten():
    tested = opened()
    assert call(tested, True, 4.0)
    assert tested.state is State.CLOSED
    call(tested, False, 4.0)
    call(tested, False, 4.0)
    assert tested.state is State.CLOSED


def test_each_failed_probe_doubles_the_open_time_up_to_the_longest():
    tested, now, lengths = opened(), 0.0, []
    for _ in range(5):
        lengths.append(tested.probe_at - now)
        now = tested.probe_at
        call(tested, False, now)
    assert lengths == [4.0, 8.0, 16.0, 20.0, 20.0]


def test_an_outage_of_weeks_does_not_break_the_breaker():
    tested = opened()
    for _ in range(5_000):
        call(tested, False, tested.probe_at)
    assert tested.state is State.OPEN


def test_successes_shorten_the_next_open_time_again():
    tested = opened()
    call(tested, False, tested.probe_at)
    call(tested, True, tested.probe_at)
    call(tested, True, 50.0)
    for _ in range(3):
        call(tested, False, 100.0)
    assert tested.probe_at - 100.0 == 8.0


def test_an_abandoned_probe_makes_way_for_the_next_one():
    tested = opened()
    assert call(tested, None, 4.0)
    assert tested.state is State.HALF_OPEN
    assert tested.admits(4.0)
    assert tested.claim(4.0)


@pytest.mark.parametrize("outcome", [True, False, None])
def test_a_call_from_before_the_opening_decides_nothing_for_the_probe(outcome):
    tested = breaker()
    straggler = tested.claim(0.0)
    for _ in range(3):
        call(tested, False, 0.0)
    probe = tested.claim(4.0)
    tested.record(outcome, 4.1, probe=straggler)
    assert tested.state is State.HALF_OPEN
    assert not tested.admits(4.1), "the probe is still out"
    tested.record(True, 4.2, probe=probe)
    assert tested.state is State.CLOSED


def test_before_its_time_a_probe_goes_out_only_as_the_last_resort_and_not_again_at_once():
    tested = opened()
    assert tested.gate(1.0) is Gate.LAST
    assert not tested.admits(1.0)
    assert not tested.claim(1.0)
    assert tested.claim(1.0, last_resort=True)
    assert tested.gate(1.0) is Gate.SHUT, "one at a time"
    tested.record(False, 1.1, probe=True)
    assert tested.gate(1.2) is Gate.SHUT
    assert tested.gate(2.1) is Gate.LAST


def test_after_recovery_calls_come_back_little_by_little():
    tested = opened()
    call(tested, True, 4.0)
    for _ in range(2):
        assert tested.gate(5.0) is Gate.PASS
        tested.enter()
    assert tested.gate(5.0) is Gate.WAIT, "only as the last resort"
    tested.record(True, 5.1, probe=False)
    for _ in range(2):
        assert tested.gate(5.1) is Gate.PASS
        tested.enter()
    assert tested.gate(5.1) is Gate.WAIT, "one more with each success"
    for _ in range(40):
        call(tested, True, 6.0)
    for _ in range(500):
        tested.enter()
    assert tested.gate(6.0) is Gate.PASS


def test_who_is_refused_the_probe_asks_again_a_little_later():
    tested = opened()
    assert tested.claim(4.0)
    tested.refuse(4.0, 1.0)
    assert tested.gate(5.4) is Gate.LAST
    assert tested.gate(5.5) is Gate.PROBE


def test_another_routers_word_opens_moves_and_closes_it():
    tested = breaker()
    tested.heard_open(7.0, 0.0)
    assert (tested.state, tested.probe_at) == (State.OPEN, 7.0)
    tested.heard_open(3.0, 0.0)
    assert tested.probe_at == 7.0, "never earlier than known"
    tested.heard_closed()
    assert tested.state is State.CLOSED


def test_the_open_time_grows_whichever_router_saw_the_openings():
    tested = breaker()
    tested.heard_open(4.0, 0.0)
    call(tested, False, 4.0)
    assert tested.probe_at - 4.0 == 8.0


def test_what_an_operator_forces_open_is_not_even_a_last_resort_and_ends_with_a_probe():
    tested = breaker()
    tested.force(State.FORCED_OPEN, 1.0)
    assert tested.gate(100.0) is Gate.SHUT
    assert not tested.claim(100.0, last_resort=True)
    tested.force(None, 100.0)
    assert (tested.state, tested.gate(100.0)) == (State.OPEN, Gate.PROBE)


def test_what_an_operator_forces_closed_stays_so_whatever_fails():
    tested = breaker()
    tested.force(State.FORCED_CLOSED, 1.0)
    for _ in range(10):
        call(tested, False, 2.0)
    assert (tested.state, tested.gate(2.0)) == (State.FORCED_CLOSED, Gate.PASS)
    tested.force(None, 3.0)
    assert tested.state is State.CLOSED
