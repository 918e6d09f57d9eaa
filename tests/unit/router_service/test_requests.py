"""One request is served once, however often it is sent."""

import pytest
from fixtures.clock import ManualClock
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason
from router_service import requests
from router_service.requests import Requests

ROUTE = router_pb2.Route(request_id="r", offer="alpha/one#1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def known(clock: ManualClock) -> Requests:
    return Requests(clock)


def serve(known: Requests, request_id: str = "r", tenant: str = "t") -> None:
    with known.enter(tenant, request_id) as entry:
        entry.route = ROUTE


def refusal(known: Requests, request_id: str = "r", tenant: str = "t") -> MeshError:
    with pytest.raises(MeshError) as caught, known.enter(tenant, request_id):
        pass
    return caught.value


def test_an_id_that_runs_is_refused_with_a_word_of_when_to_ask_again(known):
    with known.enter("t", "r"):
        error = refusal(known)
    assert (error.reason, error.code, error.retry_after) == (Reason.REQUEST_RUNNING, "ABORTED", 1.0)


def test_an_id_that_was_served_is_refused_with_its_route(known):
    serve(known)
    error = refusal(known)
    assert (error.reason, error.code) == (Reason.REQUEST_REPEATED, "ALREADY_EXISTS")
    assert error.detail(router_pb2.RouteFailure).route == ROUTE


def test_a_refused_repetition_does_not_free_the_id(known):
    with known.enter("t", "r"):
        refusal(known)
        refusal(known)


@pytest.mark.parametrize("error", [MeshError(Reason.NO_OFFER, "nobody"), KeyboardInterrupt(), GeneratorExit()])
def test_an_id_that_was_not_served_is_free_again(known, error):
    with pytest.raises(type(error)), known.enter("t", "r"):
        raise error
    serve(known)


def test_ids_of_different_tenants_are_different(known):
    serve(known, tenant="a")
    serve(known, tenant="b")
    assert refusal(known, tenant="a").reason is Reason.REQUEST_REPEATED


def test_an_id_is_forgotten_ten_minutes_after_it_was_served(known, clock):
    with known.enter("t", "r") as entry:
        clock.advance(500)
        entry.route = ROUTE
    clock.advance(600)
    assert refusal(known).reason is Reason.REQUEST_REPEATED
    clock.advance(0.1)
    serve(known)


def test_a_request_that_runs_for_long_keeps_no_other_from_being_forgotten(known, clock):
    with known.enter("t", "long"):
        serve(known)
        clock.advance(601)
        serve(known)


def test_a_running_id_is_never_forgotten(known, clock):
    with known.enter("t", "r"):
        clock.advance(10_000)
        assert refusal(known).reason is Reason.REQUEST_RUNNING


def test_only_the_last_so_many_are_remembered(known, monkeypatch):
    monkeypatch.setattr(requests, "REMEMBERED", 3)
    for number in range(5):
        serve(known, f"r{number}")
    assert refusal(known, "r4").reason is Reason.REQUEST_REPEATED
    serve(known, "r0")
