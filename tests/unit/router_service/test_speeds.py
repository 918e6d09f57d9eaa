"""How soon offers begin to answer: peaks count at once, calls under way count double, old measurements fade."""

from contextlib import suppress
from math import exp

import pytest
from fixtures.clock import ManualClock
from fixtures.small_mesh import catalog, mesh, model, vendor

from catalog.model import ModelRef
from router_service.attempt import Attempt
from router_service.offers import Planned, VendorState, offers_of
from router_service.speeds import MEMORY, UNMEASURED, Speeds

KNOWN = catalog(vendor("alpha", model("one")))
(OFFER,) = offers_of(mesh(KNOWN), ModelRef("alpha", "one"), VendorState(slots=(1,)))


def attempt(began: float) -> Attempt:
    return Attempt("t/r/i/1", Planned(OFFER, 10, 10, 1), began)


def wait(speeds: Speeds, now: float, *, streamed: bool = True) -> float:
    return speeds.wait(now, streamed=streamed)(OFFER.text)


def test_a_slower_answer_counts_at_once_and_a_quicker_one_by_and_by():
    speeds = Speeds()
    speeds.observe(OFFER.text, 1.0, 0.0, streamed=True)
    speeds.observe(OFFER.text, 3.0, 0.0, streamed=True)
    assert wait(speeds, 0.0) == 3.0
    for moment in (6.0, 12.0):
        speeds.observe(OFFER.text, 1.0, moment, streamed=True)
    assert 2.5 < wait(speeds, 12.0) < 3.0
    speeds.observe(OFFER.text, 1.0, 12.0 + 10 * MEMORY, streamed=True)
    assert wait(speeds, 12.0 + 10 * MEMORY) == pytest.approx(1.0, rel=0.001)


def test_who_was_slow_is_worth_another_try_after_a_while():
    speeds = Speeds()
    speeds.observe(OFFER.text, 5.0, 0.0, streamed=True)
    assert wait(speeds, 5 * MEMORY) < 0.05


def test_each_call_under_way_makes_the_next_one_wait_longer():
    speeds, clock = Speeds(), ManualClock(0.0)
    now = clock.monotonic()
    assert wait(speeds, now) == 0.0
    with speeds.following(attempt(now), clock, streamed=True):
        assert wait(speeds, now) == UNMEASURED  # a crowd does not go where nobody has measured
        speeds.observe(OFFER.text, 0.5, now, streamed=True)
        with speeds.following(attempt(now), clock, streamed=True):
            assert wait(speeds, now) == 1.5
    assert wait(speeds, now) == 0.5


def test_streams_and_whole_answers_are_measured_apart():
    speeds = Speeds()
    speeds.observe(OFFER.text, 4.0, 0.0, streamed=False)
    assert (wait(speeds, 0.0), wait(speeds, 0.0, streamed=False)) == (0.0, 4.0)


def test_a_stream_teaches_when_it_began_and_a_whole_answer_when_it_came():
    speeds, clock = Speeds(), ManualClock(0.0)
    for streamed in (True, False):
        call = attempt(clock.monotonic())
        with speeds.following(call, clock, streamed=streamed):
            clock.advance(2.0)
            if streamed:
                call.first_token_at = clock.monotonic()
            clock.advance(5.0)
            call.ended = clock.monotonic()
    assert wait(speeds, clock.monotonic(), streamed=False) == 7.0
    assert wait(speeds, clock.monotonic()) == pytest.approx(2.0 * exp(-7.0 / MEMORY))


def test_a_quick_failure_makes_nobody_look_fast_and_a_long_silence_makes_slow():
    speeds, clock = Speeds(), ManualClock(0.0)

    def fails(seconds: float) -> None:
        with suppress(RuntimeError), speeds.following(attempt(clock.monotonic()), clock, streamed=True):
            clock.advance(seconds)
            raise RuntimeError

    fails(0.01)
    assert wait(speeds, clock.monotonic()) == 0.0
    speeds.observe(OFFER.text, 1.0, clock.monotonic(), streamed=True)
    fails(0.01)
    assert wait(speeds, clock.monotonic()) == pytest.approx(1.0, rel=0.01)
    fails(10.0)
    assert wait(speeds, clock.monotonic()) == 10.0
