"""How long each step of a pursuit may take."""

import pytest
from fixtures.small_mesh import catalog, mesh, model, timeouts, vendor

from catalog.model import ModelRef
from router_service import spans
from router_service.attempt import Attempt
from router_service.offers import VendorState, offers_of
from router_service.offers_left import Batch
from router_service.planner import Planned

LIMITS = timeouts(first_token={"chat": 10.0, "local": 60.0}, idle=20.0, minimum_rate=1.0)


def attempt(*, local: bool = False, first_token_at: float | None = None, received: int = 0) -> Attempt:
    """Make an attempt that began at 100 s."""
    known = catalog(vendor("alpha", model("one"), local=local, plan="local" if local else "paid"))
    (offer,) = offers_of(mesh(known), ModelRef("alpha", "one"), VendorState(slots=(1,)))
    return Attempt("a", Planned(offer, 10, 10, 0), began=100.0, first_token_at=first_token_at, received_bytes=received)


@pytest.mark.parametrize(
    ("received", "elapsed", "local", "drips"),
    [
        (50, 19.9, False, False),
        (50, 20.0, False, True),
        (64, 20.0, False, False),
        (0, 3_600.0, True, False),
    ],
    ids=["it has only begun", "too slow", "slow enough", "ours"],
)
def test_a_stream_drips_when_it_has_been_too_slow_for_a_while(received, elapsed, local, drips):
    tested = attempt(local=local, first_token_at=105.0, received=received)
    assert spans.drips(LIMITS, tested, 105.0 + elapsed) is drips


def test_a_stream_that_has_not_begun_does_not_drip():
    assert not spans.drips(LIMITS, attempt(), 1_000.0)


@pytest.mark.parametrize(
    ("first_token_at", "local", "late"),
    [(104.9, False, False), (105.1, False, True), (150.0, True, False), (None, False, False)],
)
def test_a_first_token_is_late_after_half_of_its_time(first_token_at, local, late):
    assert spans.late(LIMITS, attempt(local=local, first_token_at=first_token_at)) is late


@pytest.mark.parametrize(
    ("batch", "seconds"),
    [
        (Batch(()), 0.0),
        (Batch((), wait=2.0), 2.0),
        (Batch((), wait=50.0), 20.0),
        (Batch((), patient=True), 35.0),
    ],
    ids=["at once", "a moment", "half of the deadline at most", "its turn"],
)
def test_patience_leaves_time_for_an_answer(batch, seconds):
    assert spans.patience(batch, 40.0, 5.0) == seconds


@pytest.mark.parametrize(
    ("most", "remaining", "more", "seconds"),
    [
        (50, 100.0, {}, 15.0),
        (50, 100.0, {"rate": 2.0}, 12.5),
        (5_000, 100.0, {}, 60.0),
        (None, 100.0, {}, 60.0),
        (50, 100.0, {"others": False}, 100.0),
        (50, 100.0, {"local": True}, 60.0),
        (50, 100.0, {"rate": 0.0}, 60.0),
        (50, 10.0, {}, 6.0),
        (None, 10_000.0, {"others": False}, 300.0),
    ],
    ids=[
        "a first token and fifty at a fair pace",
        "a higher rate is asked for",
        "a long answer",
        "nobody has said how long",
        "nobody else could serve",
        "ours",
        "any rate will do",
        "the deadline is near",
        "one attempt has an end",
    ],
)
def test_a_whole_answer_is_waited_for_as_long_as_the_longest_takes(most, remaining, more, seconds):
    first_token = {"chat": 10.0, "local": 60.0}
    allowed = timeouts(first_token=first_token, total=300.0, minimum_rate=more.get("rate", 1.0))
    offer = attempt(local=more.get("local", False)).planned.offer
    told = spans.whole_limits(allowed, offer, remaining, most, others=more.get("others", True))
    assert (told.total, told.first_token) == (seconds, seconds)
