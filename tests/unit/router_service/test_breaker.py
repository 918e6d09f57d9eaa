"""When a breaker opens, for how long, and what closes it; time and jitter are given, never taken."""

import pytest
from fixtures.clock import ManualClock
from llmmesh.provider.v1 import provider_pb2

from meshkit.errors import MeshError, Reason
from router_service.breaker import Breaker, Settings, State
from router_service.breakers import ENDPOINT_FAULTS, Breakers

SENT = provider_pb2.AttemptFailure
SETTINGS = Settings(
    failures_in_a_row=3, failure_share=0.5, least_calls=6, window=10.0, first_open=4.0, longest_open=20.0
)


def breaker(jitter: float = 0.5) -> Breaker:
    return Breaker(SETTINGS, lambda: jitter)


def call(tested: Breaker, succeeded: bool | None, now: float) -> bool:
    probe = tested.enter(now)
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
    assert tested.enter(4.0)
    assert tested.state is State.HALF_OPEN
    assert not tested.admits(4.0)
    assert not tested.enter(4.0), "a call that goes out all the same is no probe"


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
    assert tested.enter(4.0)


@pytest.mark.parametrize("outcome", [True, False, None])
def test_a_call_from_before_the_opening_decides_nothing_for_the_probe(outcome):
    tested = breaker()
    straggler = tested.enter(0.0)
    for _ in range(3):
        call(tested, False, 0.0)
    probe = tested.enter(4.0)
    tested.record(outcome, 4.1, probe=straggler)
    assert tested.state is State.HALF_OPEN
    assert not tested.admits(4.1), "the probe is still out"
    tested.record(True, 4.2, probe=probe)
    assert tested.state is State.CLOSED


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breakers(clock: ManualClock) -> Breakers:
    return Breakers(["alpha", "beta"], Settings(failures_in_a_row=1, first_open=10.0), clock)


def fault(reason: Reason, sent: int = SENT.SENT_ANSWERED) -> MeshError:
    return MeshError(reason, "it failed", details=[provider_pb2.AttemptFailure(sent=sent)])


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.startswith("VENDOR_")])
def test_only_faults_of_the_endpoint_count_against_it(breakers, reason):
    breakers.failed("alpha", fault(reason), probe=breakers.enter("alpha"))
    assert breakers.admits("alpha") == (reason not in ENDPOINT_FAULTS)
    assert breakers.admits("beta")


def test_the_plan_learns_which_vendors_recover_and_until_when(breakers, clock):
    breakers.failed("alpha", fault(Reason.VENDOR_SERVER), probe=breakers.enter("alpha"))
    (until,) = breakers.open_until().values()
    assert 8.0 <= until - clock.monotonic() <= 12.0
    state, wait = breakers.not_closed()["alpha"]
    assert (state, wait) == (State.OPEN, pytest.approx(until - clock.monotonic()))
    clock.advance(12.0)
    assert breakers.open_until() == {}


@pytest.mark.parametrize(
    ("error", "closes"),
    [
        (fault(Reason.VENDOR_THROTTLED), True),
        (fault(Reason.VENDOR_BAD_REQUEST), True),
        (fault(Reason.VENDOR_NOT_CONFIGURED, SENT.SENT_NOTHING), False),
        (fault(Reason.DEADLINE_EXCEEDED, SENT.SENT_NOTHING), False),
        (MeshError(Reason.INTERNAL, "a defect"), False),
    ],
    ids=lambda value: value.reason.value if isinstance(value, MeshError) else "",
)
def test_a_refusal_closes_a_breaker_only_if_the_vendor_itself_answered(breakers, clock, error, closes):
    breakers.failed("alpha", fault(Reason.VENDOR_SERVER), probe=breakers.enter("alpha"))
    clock.advance(12.0)
    breakers.failed("alpha", error, probe=breakers.enter("alpha"))
    assert ("alpha" not in breakers.not_closed()) == closes
    assert breakers.admits("alpha")
