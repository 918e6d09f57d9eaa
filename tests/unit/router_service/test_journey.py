"""The story of a request as its caller hears it."""

import datetime as dt
from typing import Any

import pytest
from fixtures.small_mesh import TIERS, catalog, mesh, model, use_case, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason
from router_service import demand
from router_service.attempt import Attempt
from router_service.estimate import Estimator
from router_service.journey import Journey
from router_service.offers import LOST, UNDESCRIBED, Signals, VendorState
from router_service.planner import Planner
from router_service.prompt_facts import PromptFacts

SENT = provider_pb2.AttemptFailure
Denial = quota_pb2.Denial
LISTED = use_case(candidates={"standard": ("alpha/one", "beta/two", "gamma/three")})
KNOWN = catalog(
    *(vendor(v, model(m)) for v, m in (("alpha", "one"), ("beta", "two"), ("gamma", "three"))), use_cases=(LISTED,)
)
UP = VendorState(slots=(1,))


def journey(states: dict[str, VendorState] | None = None, text_bytes: int = 0, **intent: Any) -> Journey:
    facts = PromptFacts(text_bytes=text_bytes)
    asked = demand.read(router_pb2.Intent(**intent), facts, KNOWN, TIERS, dt.date(2026, 11, 20))
    signals = Signals(dt.date(2026, 11, 20), dict.fromkeys(KNOWN.vendors, UP) | (states or {}))
    return Journey("r", asked, Planner(mesh(KNOWN), Estimator()).plan(asked, signals))


def attempt(told: Journey, number: int) -> Attempt:
    made = Attempt(f"t/r/i/{number}", told.plan.offers[number], began=10.0)
    told.attempts.append(made)
    return made


def fault(reason: Reason, sent: int = SENT.SENT_ANSWERED, **more: Any) -> MeshError:
    return MeshError(reason, f"said {reason}", details=[provider_pb2.AttemptFailure(sent=sent)], **more)


def fail(told: Journey, number: int, reason: Reason, **more: Any) -> MeshError:
    error = fault(reason, **more)
    attempt(told, number).fail(error, 11.0)
    return error


def serve(told: Journey, number: int) -> None:
    attempt(told, number).serve(chat_pb2.Usage(input_tokens=1, output_tokens=1), 12.0)


def denial(offer: str = "alpha/one#1", cause: int = Denial.CAUSE_BUDGET, **row: Any) -> Denial:
    usual = {"budget": "alpha/default/requests/day", "limit": 10, "left": 0, "unit": "requests"}
    return Denial(offer=offer, cause=cause, **{**usual, **row})


def after(seconds: int, **row: Any) -> Denial:
    made = denial(**row)
    made.retry_after.FromSeconds(seconds)
    return made


def test_a_route_without_detours_has_no_fallback_and_no_error():
    told = journey()
    serve(told, 0)
    route = told.route()
    assert (route.offer, route.vendor, route.model) == ("alpha/one#1", "alpha", "one")
    assert (route.fallback_used, route.primary_error, route.tier) == (False, "", router_pb2.TIER_STANDARD)
    assert route.attempts[0].duration.seconds == 2


NO_KEY = VendorState(reason="not_configured", detail="no API key for alpha")


def test_the_primary_error_is_the_planning_reason_when_the_first_was_left_out():
    told = journey({"alpha": NO_KEY})
    serve(told, 0)
    route = told.route()
    assert (route.fallback_used, route.primary_error) == (True, "no API key for alpha")
    assert dict(route.skipped) == {"not_configured": 1}
    assert told.fallback_reason() == "not_configured"


def test_the_primary_error_is_the_fault_when_the_first_failed():
    told = journey()
    fail(told, 0, Reason.VENDOR_SERVER)
    serve(told, 1)
    assert told.route().primary_error == "VENDOR_SERVER: said VENDOR_SERVER"
    assert told.fallback_reason() == "vendor_server"


@pytest.mark.parametrize(
    ("passed", "words", "reason"),
    [
        (denial(), "alpha/default/requests/day has 0 of 10 requests left", "budget"),
        (denial(cause=Denial.CAUSE_TENANT, budget="tenant/t"), "tenant/t has 0 of 10 requests left", "tenant_budget"),
        (denial(cause=Denial.CAUSE_COOLING, budget="alpha/default"), "alpha/default is cooling", "cooling"),
        (
            denial(cause=Denial.CAUSE_EXHAUSTED, budget="alpha/default"),
            "alpha/default is out of credit or quota, says the vendor",
            "exhausted",
        ),
        (
            denial(cause=Denial.CAUSE_REJECTED, budget="alpha#1"),
            "the vendor rejected the key of alpha#1",
            "key_rejected",
        ),
        (
            denial(cause=Denial.CAUSE_TOO_LARGE),
            "the request needs more than alpha/default/requests/day allows at all (10 requests)",
            "too_large",
        ),
        (denial(cause=Denial.CAUSE_UNKNOWN_OFFER), "the ledger does not know alpha/one#1", "unknown_offer"),
    ],
)
def test_the_primary_error_is_the_denial_when_the_first_had_no_room(passed, words, reason):
    told = journey()
    told.passed_over([passed])
    serve(told, 1)
    assert told.route().primary_error == words
    assert dict(told.route().skipped) == {reason: 1}
    assert told.fallback_reason() == reason


def test_when_every_key_was_rejected_no_budget_is_named_as_the_reason():
    told = journey()
    rejected = denial(cause=Denial.CAUSE_REJECTED, budget="alpha#1")
    rejected.retry_after.FromSeconds(200)
    told.passed_over([rejected])
    error = failure(told)
    assert (error.reason, error.code, error.retry_after) == (Reason.VENDOR_AUTH, "FAILED_PRECONDITION", 200)
    assert error.message == "the vendor rejected the key of alpha#1"
    told.passed_over([denial()])
    assert failure(told).reason is Reason.BUDGET_EXHAUSTED


def test_a_key_rejected_just_now_beside_one_rejected_before_is_the_same_story():
    told = journey()
    told.passed_over([denial(cause=Denial.CAUSE_REJECTED, budget="alpha#1")])
    assert failure(told, fail(told, 1, Reason.VENDOR_AUTH)).reason is Reason.VENDOR_AUTH


def test_the_total_cost_is_that_of_all_attempts():
    told = journey()
    attempt(told, 0).fail(fault(Reason.VENDOR_SERVER, SENT.SENT_UNKNOWN), 11.0)
    serve(told, 1)
    assert told.route().total_cost_nanos == sum(a.usage.cost_nanos for a in told.attempts) > 2_000


def failure(told: Journey, cause: MeshError | None = None) -> MeshError:
    error = told.failure(cause)
    assert error.detail(router_pb2.RouteFailure).route.request_id == "r"
    return error


def test_one_fault_alone_is_told_as_it_is():
    told = journey()
    error = failure(told, fail(told, 0, Reason.VENDOR_AUTH, retry_after=3.0))
    assert (error.reason, error.message, error.code) == (Reason.VENDOR_AUTH, "said VENDOR_AUTH", "FAILED_PRECONDITION")
    assert error.retry_after == 3.0


def test_several_faults_are_an_exhausted_route_with_the_first_ones_words():
    told = journey()
    fail(told, 0, Reason.VENDOR_SERVER)
    error = failure(told, fail(told, 1, Reason.VENDOR_OVERLOAD))
    assert (error.reason, error.code) == (Reason.ROUTE_EXHAUSTED, "UNAVAILABLE")
    told_of_both = (
        "the first choice: VENDOR_SERVER: said VENDOR_SERVER; beta/two: VENDOR_OVERLOAD: said VENDOR_OVERLOAD"
    )
    assert error.message == f"no offer could serve; {told_of_both}"


def test_a_final_fault_is_told_as_it_is_even_after_others():
    told = journey()
    fail(told, 0, Reason.VENDOR_SERVER)
    assert failure(told, fail(told, 1, Reason.VENDOR_BAD_REQUEST)).reason is Reason.VENDOR_BAD_REQUEST


def test_only_denials_are_an_exhausted_budget_with_the_soonest_moment():
    told = journey()
    told.passed_over([after(30), after(20, offer="beta/two#1", budget="beta"), denial(offer="gamma/three#1")])
    error = failure(told)
    assert (error.reason, error.code, error.retry_after) == (Reason.BUDGET_EXHAUSTED, "RESOURCE_EXHAUSTED", 20)
    assert [violation.subject for violation in error.quota] == [
        "alpha/default/requests/day",
        "beta",
        "alpha/default/requests/day",
    ]


def test_denials_that_waiting_cannot_cure_name_no_moment():
    told = journey()
    told.passed_over([denial(cause=Denial.CAUSE_TOO_LARGE)])
    assert failure(told).retry_after is None


def test_denials_and_throttling_together_are_exhausted_too():
    told = journey()
    told.passed_over([after(30)])
    error = failure(told, fail(told, 1, Reason.VENDOR_THROTTLED, retry_after=8.0))
    assert (error.reason, error.retry_after) == (Reason.BUDGET_EXHAUSTED, 8.0)
    assert [violation.subject for violation in error.quota] == ["alpha/default/requests/day", "beta/two#1"]


@pytest.mark.parametrize("gone", [True, False], ids=["lost", "breaker open"])
def test_denials_are_no_exhausted_budget_while_another_offer_is_out_of_order_just_now(gone):
    told = journey({"gamma": LOST} if gone else {})
    if not gone:
        told.skip("breaker_open")
    told.passed_over([after(3600), after(7200, offer="beta/two#1")])
    error = told.failure(None)
    assert (error.reason, error.code, error.retry_after) == (Reason.ROUTE_EXHAUSTED, "UNAVAILABLE", 1.0)


def test_a_vendor_that_never_was_there_does_not_hide_that_all_others_are_exhausted():
    told = journey({"gamma": UNDESCRIBED})
    told.passed_over([after(3600), after(7200, offer="beta/two#1")])
    assert told.failure(None).reason is Reason.BUDGET_EXHAUSTED


def test_denials_and_another_fault_are_an_exhausted_route():
    told = journey()
    told.passed_over([after(30)])
    error = failure(told, fail(told, 1, Reason.VENDOR_SERVER))
    assert (error.reason, error.retry_after) == (Reason.ROUTE_EXHAUSTED, 30)


def test_a_prompt_too_long_for_each_that_was_tried_is_the_callers_error():
    told = journey()
    fail(told, 0, Reason.VENDOR_CONTEXT)
    error = failure(told, fail(told, 1, Reason.VENDOR_CONTEXT))
    assert (error.reason, error.code) == (Reason.VENDOR_CONTEXT, "INVALID_ARGUMENT")


def test_what_broke_after_content_is_incomplete_whatever_came_later():
    told = journey()
    broken = attempt(told, 0)
    broken.committed, broken.received_bytes = True, 32
    broken.fail(fault(Reason.VENDOR_INCOMPLETE, SENT.SENT_UNKNOWN), 11.0)
    error = failure(told, fail(told, 1, Reason.VENDOR_BAD_REQUEST))
    assert (error.reason, error.message) == (Reason.STREAM_INCOMPLETE, "the answer broke off: said VENDOR_BAD_REQUEST")
    assert error.detail(router_pb2.RouteFailure).partial_usage.output_tokens == 10


def test_what_the_mesh_itself_stops_keeps_its_reason_and_tells_the_route():
    told = journey()
    error = told.stopped(MeshError(Reason.QUOTA_UNAVAILABLE, "away", retry_after=1.0))
    assert (error.reason, error.code, error.retry_after) == (Reason.QUOTA_UNAVAILABLE, "UNAVAILABLE", 1.0)
    assert error.detail(router_pb2.RouteFailure).route.request_id == "r"
    attempt(told, 0).committed = True
    assert told.stopped(error).reason is Reason.STREAM_INCOMPLETE


def test_a_plan_without_offers_for_lasting_reasons_will_not_get_better_by_asking_again():
    error = failure(journey(dict.fromkeys(KNOWN.vendors, NO_KEY)))
    assert (error.reason, error.code) == (Reason.NO_OFFER, "FAILED_PRECONDITION")
    told = {"first_reason": "no API key for alpha", "left_out": "3 not_configured", "remedy": ""}
    assert (error.message, error.metadata) == ("no API key for alpha", told)


def test_a_plan_without_offers_for_passing_reasons_may():
    gone = VendorState(reason="unreachable", detail="gone")
    error = failure(journey({"alpha": NO_KEY, "beta": gone, "gamma": NO_KEY}))
    assert (error.reason, error.code) == (Reason.NO_OFFER, "UNAVAILABLE")


def test_a_prompt_that_no_window_takes_is_the_callers_error():
    error = failure(journey({"beta": NO_KEY}, text_bytes=100_000))
    assert (error.reason, error.code) == (Reason.VENDOR_CONTEXT, "INVALID_ARGUMENT")
    assert [violation.field for violation in error.fields] == ["prompt.messages"]


def test_a_prompt_is_not_called_too_long_while_a_candidate_is_away():
    gone = VendorState(reason="unreachable", detail="gone")
    assert failure(journey({"beta": gone}, text_bytes=100_000)).reason is Reason.NO_OFFER


def test_a_pinned_model_that_cannot_do_what_is_asked_is_the_callers_error():
    error = failure(journey(model="alpha/one", requirements=["reasoning"]))
    assert (error.reason, error.code) == (Reason.INVALID_REQUEST, "INVALID_ARGUMENT")
    assert [(violation.field, violation.description) for violation in error.fields] == [
        ("intent.model", "alpha/one has no reasoning")
    ]


def test_a_route_names_the_budget_of_every_offer_that_was_passed_over():
    told = journey()
    told.passed_over([denial(), denial("beta/two#1", Denial.CAUSE_COOLING, budget="beta/default")])
    serve(told, 2)
    route = told.route()
    passed = [(each.offer, each.budget, each.reason) for each in route.passed_over]
    assert passed == [
        ("alpha/one#1", "alpha/default/requests/day", "budget"),
        ("beta/two#1", "beta/default", "cooling"),
    ]
    assert route.skipped == {"budget": 1, "cooling": 1}
