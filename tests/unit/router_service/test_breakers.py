"""What counts against whom, and what the routers of a mesh tell one another of their breakers."""

from dataclasses import dataclass, field

import pytest
from fixtures.clock import ManualClock
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit.errors import MeshError, Reason
from router_service.breaker import Settings, State
from router_service.breaker_news import BreakerNews
from router_service.breakers import AFTERLIFE, ENDPOINT_FAULTS, OFFER_FAULTS, TOO_SLOW, Breakers, Passage

SENT = provider_pb2.AttemptFailure


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breakers(clock: ManualClock) -> Breakers:
    return Breakers(["alpha", "beta"], Settings(failures_in_a_row=1, first_open=10.0), clock)


def fault(reason: Reason, sent: int = SENT.SENT_ANSWERED) -> MeshError:
    return MeshError(reason, "it failed", details=[provider_pb2.AttemptFailure(sent=sent)])


def fails(tested: Breakers, reason: Reason, vendor: str = "alpha", times: int = 1) -> None:
    for _ in range(times):
        tested.failed(entered(tested, vendor), fault(reason))


def entered(tested: Breakers, vendor: str = "alpha") -> Passage:
    return tested.claim(vendor, f"{vendor}/one") or tested.enter(vendor, f"{vendor}/one")


VENDOR_REASONS = [reason for reason in Reason if reason.startswith("VENDOR_")]


@pytest.mark.parametrize("reason", VENDOR_REASONS)
def test_only_faults_of_the_endpoint_count_against_it(breakers, reason):
    fails(breakers, reason)
    assert breakers.admits("alpha") == (reason not in ENDPOINT_FAULTS)
    assert breakers.admits("beta")


@pytest.mark.parametrize("reason", VENDOR_REASONS)
def test_only_faults_of_a_model_count_against_its_offer_and_leave_other_models_alone(breakers, reason):
    fails(breakers, reason)
    assert ("alpha/one" in breakers.open_until()) == (reason in OFFER_FAULTS)
    assert breakers.admits("alpha", "alpha/two") == (reason not in ENDPOINT_FAULTS)


def test_a_model_that_begins_too_late_again_and_again_opens_its_own_breaker(clock):
    tested = Breakers(["alpha"], Settings(failures_in_a_row=2), clock)
    for slow in (True, False, True):
        assert tested.admits("alpha", "alpha/one")
        tested.served(entered(tested), slow=slow)
        if not slow:
            tested.failed(entered(tested), MeshError(Reason.VENDOR_SILENT, "drips", metadata={TOO_SLOW: "stream"}))
    assert not tested.admits("alpha", "alpha/one")
    assert tested.admits("alpha", "alpha/two")


def test_the_plan_learns_which_vendors_recover_and_until_when(breakers, clock):
    fails(breakers, Reason.VENDOR_SERVER)
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
    fails(breakers, Reason.VENDOR_SERVER)
    clock.advance(12.0)
    breakers.failed(entered(breakers), error)
    assert ("alpha" not in breakers.not_closed()) == closes
    assert breakers.admits("alpha")


class Ledger:
    """Remembers what it was told: subject, reason, and for how many seconds."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float]] = []

    def observe(self, observe: quota_pb2.Observe) -> None:
        assert observe.scope == "slot"
        assert observe.opened != observe.HasField("closed_for")
        self.told.append((observe.offer, observe.reason, observe.closed_for.ToMilliseconds() / 1_000))


def test_openings_and_closings_are_told_once_and_what_was_heard_is_not_told_on(clock):
    ledger = Ledger()
    tested = Breakers(["alpha"], Settings(failures_in_a_row=1, first_open=10.0), clock, ledger)
    fails(tested, Reason.VENDOR_SERVER, times=3)
    ((subject, reason, seconds),) = ledger.told
    assert (subject, reason) == ("breaker/alpha#1", "failing")
    assert AFTERLIFE + 8.0 <= seconds <= AFTERLIFE + 12.0
    clock.advance(12.0)
    tested.served(entered(tested))
    assert ledger.told[1:] == [("breaker/alpha#1", "failing", 0.0)]
    tested.heard_open("alpha", 5.0)
    tested.heard_closed("alpha")
    assert len(ledger.told) == 2


@dataclass
class Heard:
    """News as it is passed on."""

    told: list[tuple[object, ...]] = field(default_factory=list)

    def heard_open(self, subject: str, seconds: float) -> None:
        self.told.append(("open", subject, seconds))

    def heard_closed(self, subject: str) -> None:
        self.told.append(("closed", subject))

    def heard_forced(self, subject: str, state: State | None) -> None:
        self.told.append(("forced", subject, state))


def closures(**subjects: tuple[str, int]) -> list[quota_pb2.Closure]:
    """Make closures of breakers: why, and until when, Unix seconds."""
    return [
        quota_pb2.Closure(subject=f"breaker/{name}", reason=why, until=Timestamp(seconds=until))
        for name, (why, until) in subjects.items()
    ]


def test_news_is_only_what_has_changed():
    heard = Heard()
    news = BreakerNews(None, heard)
    failing = closures(alpha=("failing", 1_040))
    news.heard([*failing, quota_pb2.Closure(subject="alpha/default", reason="throttled")], 1_000.0)
    news.heard(failing, 1_001.0)
    assert heard.told == [("open", "alpha", 10.0)]
    news.heard(closures(alpha=("failing", 1_060)), 1_010.0)
    news.heard([], 1_020.0)
    assert heard.told[1:] == [("open", "alpha", 20.0), ("closed", "alpha")]


def test_a_closure_that_ends_by_itself_closes_nothing():
    heard = Heard()
    news = BreakerNews(None, heard)
    news.heard(closures(alpha=("failing", 1_040)), 1_000.0)
    news.heard([], 1_040.0)
    assert heard.told == [("open", "alpha", 10.0)]


def test_news_of_an_operator_is_heard_whatever_the_breaker_says_itself():
    heard = Heard()
    news = BreakerNews(None, heard)
    news.heard(closures(alpha=("forced_open", 9_000)), 1_000.0)
    news.heard(closures(alpha=("failing", 1_050)), 1_010.0)
    news.heard(closures(alpha=("forced_closed", 9_000)), 1_011.0)
    news.heard([], 1_012.0)
    assert heard.told == [
        ("forced", "alpha", State.FORCED_OPEN),
        ("forced", "alpha", None),
        ("open", "alpha", 10.0),
        ("forced", "alpha", State.FORCED_CLOSED),
        ("forced", "alpha", None),
    ]
