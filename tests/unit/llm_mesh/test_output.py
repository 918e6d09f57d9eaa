"""How values look."""

import pytest
from fixtures import fake_mesh
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import output, route


@pytest.mark.parametrize(
    ("nanos", "text"),
    [(0, "$0"), (1, "$0.000000001"), (1_234_000, "$0.001234"), (2_500_000_000, "$2.5"), (10_000_000_000, "$10")],
)
def test_money_is_written_exactly(nanos: int, text: str) -> None:
    assert output.usd(nanos) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0421, "42 ms"), (1.26, "1.3 s"), (89, "89.0 s"), (90, "1 min 30 s"), (3600, "60 min"), (70_000, "19 h 26 min")],
)
def test_time_is_written_in_the_unit_a_person_would_choose(value: float, text: str) -> None:
    assert output.seconds(value) == text


def test_a_message_becomes_json_with_numbers_words_and_money() -> None:
    plain = output.plain(fake_mesh.route(fallback=True))
    assert plain["tier"] == "standard"
    assert plain["total_cost_nanos"] == 1_234_000
    assert plain["total_cost_usd"] == 0.001234
    assert plain["attempts"][1]["duration"] == 0.42
    assert plain["skipped"] == {}


def test_what_was_never_set_is_left_out_of_json() -> None:
    assert "input_price_nanos" not in output.plain(router_pb2.Model(id="a/b"))
    assert output.plain(router_pb2.Model(input_price_nanos=0))["input_price_usd"] == 0


def test_a_route_tells_every_attempt_the_fallback_tokens_and_cost() -> None:
    told = "\n".join(route.lines(fake_mesh.route(fallback=True), fake_mesh.usage()))
    assert "1. alpha/a-1#1: failed (VENDOR_OVERLOAD) in 20 ms, $0 on plan free" in told
    assert "2. beta/b-1#1: served in 420 ms (first piece 90 ms), $0.001234 on plan paid" in told
    assert "fallback: alpha is overloaded" in told
    assert "tokens: 12 in, 4 out" in told
    assert "cost: $0.001234" in told


def test_estimates_and_unknown_prices_are_said_to_be_such() -> None:
    usage = chat_pb2.Usage(input_tokens=1_200, cached_input_tokens=1_000, reasoning_tokens=7, estimated=True)
    assert route.tokens(usage) == "1,200 in, 0 out (1,000 cached, 7 reasoning), estimated"
    assert "price is unknown" in route.cost(router_pb2.Route(total_cost_nanos=5), chat_pb2.Usage(unpriced=True))
    free = chat_pb2.Usage(cost_nanos=0, list_cost_nanos=2_000)
    assert route.cost(router_pb2.Route(), free) == "$0 (list price $0.000002)"
