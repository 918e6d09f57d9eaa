"""The figures of a request, whatever became of it."""

import asyncio
import datetime as dt

import pytest
from fixtures.clock import ManualClock
from fixtures.small_mesh import TIERS, catalog, mesh, model, price, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.router.v1 import router_pb2
from prometheus_client import REGISTRY

from meshkit.errors import MeshError, Reason
from router_service import demand, report
from router_service.attempt import Attempt
from router_service.estimate import Estimator
from router_service.journey import Journey
from router_service.offers import Signals, VendorState
from router_service.planner import Planner
from router_service.prompt_facts import PromptFacts

TODAY = dt.date(2026, 11, 20)
SENT = provider_pb2.AttemptFailure


class Figures:
    """How much each figure has grown since the beginning."""

    def __init__(self) -> None:
        self._before = self._now()

    def _now(self) -> dict[tuple[str, tuple[str, ...]], float]:
        return {
            (sample.name, tuple(sample.labels.values())): sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name.startswith("mesh_")
        }

    def grown(self, name: str, *labels: str) -> float:
        key = (name, labels)
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journey() -> Journey:
    case = use_case("report", candidates={"standard": ("alpha/one", "beta/two")})
    known = catalog(
        vendor("alpha", model("one", price=price(1))), vendor("beta", model("two", price=None)), use_cases=(case,)
    )
    asked = demand.read(router_pb2.Intent(use_case="report"), PromptFacts(), known, TIERS | {"standard": None}, TODAY)
    signals = Signals(TODAY, dict.fromkeys(known.vendors, VendorState(slots=(1,))))
    return Journey("r", asked, Planner(mesh(known), Estimator()).plan(asked, signals))


def attempt(journey: Journey, number: int, clock: ManualClock) -> Attempt:
    made = Attempt(f"a{number}", journey.plan.offers[number], clock.monotonic())
    journey.attempts.append(made)
    return made


USAGE = chat_pb2.Usage(input_tokens=100, output_tokens=20, cached_input_tokens=40, reasoning_tokens=5)


def test_a_served_request_is_counted_with_its_tokens_money_and_times(journey, clock, figures):
    with report.following(journey, clock):
        assert figures.grown("mesh_in_flight_requests") == 1
        served = attempt(journey, 0, clock)
        clock.advance(2.0)
        served.first_token_at = clock.monotonic()
        clock.advance(3.0)
        served.serve(USAGE, clock.monotonic())
    assert figures.grown("mesh_in_flight_requests") == 0
    assert figures.grown("mesh_requests_total", "report", "standard", "alpha", "one", "served") == 1
    assert figures.grown("mesh_request_duration_seconds_sum", "report", "alpha") == 5.0
    assert figures.grown("mesh_time_to_first_token_seconds_sum", "report", "alpha") == 2.0
    assert figures.grown("mesh_attempts_total", "alpha", "one", "served") == 1
    tokens = {
        kind: figures.grown("mesh_tokens_total", "alpha", "one", kind)
        for kind in ("input", "output", "cached", "reasoning")
    }
    assert tokens == {"input": 100, "output": 20, "cached": 40, "reasoning": 5}
    assert figures.grown("mesh_cost_usd_total", "alpha", "one", "report", "standard") == pytest.approx(
        served.usage.cost_nanos / 1e9
    )
    assert figures.grown("mesh_fallbacks_total", "alpha", "beta", "vendor_server") == 0


def test_how_far_an_estimate_was_off_is_seen_by_vendor_class_and_kind(journey, clock, figures):
    with report.following(journey, clock):
        told = attempt(journey, 0, clock)
        told.serve(USAGE, clock.monotonic())
        untold = attempt(journey, 1, clock)
        untold.serve(chat_pb2.Usage(), clock.monotonic())
    planned = told.planned
    for kind, counted, estimated in (("input", 100, planned.input_tokens), ("output", 20, planned.output_tokens)):
        assert figures.grown("mesh_estimate_ratio_sum", "alpha", "chat", kind) == pytest.approx(counted / estimated)
        assert figures.grown("mesh_estimate_ratio_count", "beta", "chat", kind) == 0


def test_a_fallback_is_counted_with_its_reason_and_every_attempt_with_its_outcome(journey, clock, figures):
    with report.following(journey, clock):
        failure = provider_pb2.AttemptFailure(sent=SENT.SENT_UNKNOWN)
        attempt(journey, 0, clock).fail(MeshError(Reason.VENDOR_SERVER, "x", details=[failure]), clock.monotonic())
        attempt(journey, 1, clock).serve(USAGE, clock.monotonic())
    assert figures.grown("mesh_fallbacks_total", "alpha", "beta", "vendor_server") == 1
    assert figures.grown("mesh_attempts_total", "alpha", "one", "unknown") == 1
    assert figures.grown("mesh_attempts_total", "beta", "two", "served") == 1
    assert figures.grown("mesh_usage_estimated_total", "alpha") == 1
    assert figures.grown("mesh_unpriced_total", "beta", "two") == 1


def test_a_failed_request_is_counted_as_failed_even_without_an_attempt(journey, clock, figures):
    with pytest.raises(MeshError), report.following(journey, clock):
        raise MeshError(Reason.NO_OFFER, "nobody")
    assert figures.grown("mesh_requests_total", "report", "standard", "none", "none", "failed") == 1
    assert figures.grown("mesh_in_flight_requests") == 0


def test_a_stream_that_broke_after_content_is_counted_where_it_broke(journey, clock, figures):
    broken = attempt(journey, 0, clock)
    broken.committed = True
    broken.fail(MeshError(Reason.VENDOR_INCOMPLETE, "x"), clock.monotonic())
    attempt(journey, 1, clock).fail(MeshError(Reason.VENDOR_SERVER, "x"), clock.monotonic())
    with pytest.raises(MeshError), report.following(journey, clock):
        raise journey.failure(MeshError(Reason.VENDOR_SERVER, "x"))
    assert figures.grown("mesh_stream_incomplete_total", "alpha") == 1
    assert figures.grown("mesh_stream_incomplete_total", "beta") == 0


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
@pytest.mark.parametrize("outcome", ["cancelled", "served"])
def test_a_caller_that_goes_away_cancels_unless_it_was_served(journey, clock, figures, error, outcome):
    last = attempt(journey, 0, clock)
    last.serve(USAGE, clock.monotonic()) if outcome == "served" else last.cancel(clock.monotonic())
    with pytest.raises(error), report.following(journey, clock):
        raise error
    assert figures.grown("mesh_requests_total", "report", "standard", "alpha", "one", outcome) == 1


def test_a_defect_is_counted_as_failed_and_never_as_served(journey, clock, figures):
    with pytest.raises(KeyError), report.following(journey, clock):
        raise KeyError("a defect")
    assert figures.grown("mesh_requests_total", "report", "standard", "none", "none", "failed") == 1


def test_the_log_line_of_a_request_tells_its_end_and_never_its_words(journey, clock, capsys):
    with report.following(journey, clock):
        attempt(journey, 0, clock).serve(USAGE, clock.monotonic())
    line = capsys.readouterr().err
    assert '"operation":"chat"' in line
    assert '"outcome":"served"' in line
    assert '"offer":"alpha/one#1"' in line
