"""What is charged for an attempt: whatever may have been spent, and never more than is known to have been."""

from typing import Any

import pytest
from fixtures.small_mesh import catalog, mesh, model, price, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from catalog.model import ModelRef, Plan
from meshkit.errors import MeshError, Reason
from router_service.attempt import Attempt
from router_service.offers import VendorState, offers_of
from router_service.planner import Planned

SENT = provider_pb2.AttemptFailure
Usage, Amounts = chat_pb2.Usage, quota_pb2.Amounts


def attempt(plan: str = "paid", **row: Any) -> Attempt:
    """An attempt that holds 1,000 tokens in, 500 out and 77 nano-dollars, at 1 and 4 dollars per million."""
    known = catalog(vendor("alpha", model("one", **{"price": price(1, 4), **row}), plan=plan))
    (offer,) = offers_of(mesh(known), ModelRef("alpha", "one"), VendorState(slots=(1,)))
    return Attempt("t/r/i/1", Planned(offer, 1_000, 500, 77), began=10.0)


def deltas(*pieces: Any) -> provider_pb2.StreamGenerateResponse.Deltas:
    grown = [chat_pb2.Delta(text=piece) if isinstance(piece, str) else piece for piece in pieces]
    return provider_pb2.StreamGenerateResponse.Deltas(deltas=grown)


def fault(
    sent: int = SENT.SENT_UNKNOWN, usage: Usage | None = None, reason: Reason = Reason.VENDOR_SERVER
) -> MeshError:
    return MeshError(reason, "it broke", details=[provider_pb2.AttemptFailure(sent=sent, usage=usage)])


def test_served_with_usage_is_charged_as_counted():
    tested = attempt()
    tested.serve(Usage(input_tokens=200, output_tokens=50), 12.0)
    assert (tested.outcome, tested.ended, tested.usage.estimated) == ("served", 12.0, False)
    settle = tested.settle()
    assert (settle.attempt_id, settle.outcome) == ("t/r/i/1", quota_pb2.OUTCOME_SERVED)
    assert settle.amounts == Amounts(requests=1, input_tokens=200, output_tokens=50, cost_nanos=400_000)


def test_served_without_usage_is_charged_by_estimate_and_flagged():
    tested = attempt()
    tested.note(deltas("a" * 320), 11.0)
    tested.serve(Usage(), 12.0)
    assert tested.usage.estimated
    assert tested.settle().amounts == Amounts(requests=1, input_tokens=1_000, output_tokens=100, cost_nanos=1_400_000)


def test_a_whole_answer_without_usage_is_charged_for_its_text():
    tested = attempt()
    completion = chat_pb2.Completion(choices=[chat_pb2.Choice(), chat_pb2.Choice()])
    for choice in completion.choices:
        choice.parts.add().text.text = "a" * 320
    tested.note_whole(completion)
    tested.serve(Usage(), 12.0)
    assert 200 <= tested.usage.output_tokens <= 206
    assert tested.first_token_at is None


def test_a_count_of_zero_output_is_zero():
    tested = attempt()
    tested.serve(Usage(input_tokens=200), 12.0)
    assert (tested.usage.output_tokens, tested.usage.estimated) == (0, False)


FAILURES = [
    ("nothing was sent", fault(SENT.SENT_NOTHING), (), "released", Amounts()),
    ("an error was the answer", fault(SENT.SENT_ANSWERED), (), "failed", Amounts(requests=1)),
    (
        "an error was the answer and names tokens",
        fault(SENT.SENT_ANSWERED, Usage(input_tokens=30)),
        (),
        "failed",
        Amounts(requests=1, input_tokens=30, cost_nanos=30_000),
    ),
    (
        "nobody knows",
        fault(SENT.SENT_UNKNOWN),
        (),
        "unknown",
        Amounts(requests=1, input_tokens=1_000, cost_nanos=1_000_000),
    ),
    (
        "nobody says",
        MeshError(Reason.VENDOR_SERVER, "it broke"),
        (),
        "unknown",
        Amounts(requests=1, input_tokens=1_000, cost_nanos=1_000_000),
    ),
    (
        "it broke after pieces",
        fault(SENT.SENT_UNKNOWN),
        ("a" * 32,),
        "unknown",
        Amounts(requests=1, input_tokens=1_000, output_tokens=10, cost_nanos=1_040_000),
    ),
    (
        "it broke after pieces and tells more",
        fault(SENT.SENT_UNKNOWN, Usage(input_tokens=200, output_tokens=40)),
        ("a" * 32,),
        "unknown",
        Amounts(requests=1, input_tokens=200, output_tokens=40, cost_nanos=360_000),
    ),
    (
        "an error came within the stream after pieces",
        fault(SENT.SENT_ANSWERED),
        ("a" * 32,),
        "unknown",
        Amounts(requests=1, input_tokens=1_000, output_tokens=10, cost_nanos=1_040_000),
    ),
    (
        "nothing was sent, they say, after pieces",
        fault(SENT.SENT_NOTHING),
        ("a" * 32,),
        "unknown",
        Amounts(requests=1, input_tokens=1_000, output_tokens=10, cost_nanos=1_040_000),
    ),
]


@pytest.mark.parametrize(
    ("error", "pieces", "outcome", "amounts"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES]
)
def test_a_failure_is_charged_for_what_may_have_been_spent(error, pieces, outcome, amounts):
    tested = attempt()
    for piece in pieces:
        tested.note(deltas(piece), 11.0)
    tested.fail(error, 12.0)
    assert (tested.outcome, tested.reason, tested.message) == (outcome, "VENDOR_SERVER", "it broke")
    settle = tested.settle()
    assert quota_pb2.Outcome.Name(settle.outcome) == f"OUTCOME_{outcome.upper()}"
    assert settle.amounts == amounts


@pytest.mark.parametrize(
    ("sent", "requests"), [(SENT.SENT_ANSWERED, 0), (SENT.SENT_UNKNOWN, 1), (SENT.SENT_NOTHING, 0)]
)
def test_an_error_is_no_request_where_the_vendor_does_not_count_errors(sent, requests):
    known = catalog(vendor("alpha", model("one"), plans={"paid": Plan("paid", errors_count=False)}))
    (offer,) = offers_of(mesh(known), ModelRef("alpha", "one"), VendorState(slots=(1,)))
    tested = Attempt("t/r/i/1", Planned(offer, 1_000, 500, 77), began=10.0)
    tested.fail(fault(sent), 12.0)
    assert tested.settle().amounts.requests == requests


@pytest.mark.parametrize(
    ("told", "received", "estimated"),
    [
        (Usage(), 0, True),
        (Usage(input_tokens=200), 0, False),
        (Usage(input_tokens=200), 320, True),
        (Usage(input_tokens=200, output_tokens=1), 320, True),
        (Usage(input_tokens=200, output_tokens=100), 320, False),
        (Usage(input_tokens=200, output_tokens=100, estimated=True), 320, True),
    ],
)
def test_partial_usage_is_flagged_where_the_vendor_did_not_say_it(told, received, estimated):
    tested = attempt()
    tested.note(deltas("a" * received), 11.0)
    tested.fail(fault(usage=told), 12.0)
    assert tested.usage.estimated == estimated


def test_a_caller_that_goes_away_pays_the_estimated_prompt_and_the_received_output():
    tested = attempt()
    tested.note(deltas("a" * 32), 11.0)
    tested.cancel(12.0)
    settle = tested.settle()
    assert settle.outcome == quota_pb2.OUTCOME_CANCELLED
    assert settle.amounts == Amounts(requests=1, input_tokens=1_000, output_tokens=10, cost_nanos=1_040_000)
    assert tested.usage.estimated


@pytest.mark.parametrize(("plan", "cost"), [("paid", 3_000_000), ("credit", 3_000_000), ("free", 0), ("local", 0)])
def test_the_cost_is_the_slots_plans_and_the_list_cost_is_told_beside_it(plan, cost):
    tested = attempt(plan)
    tested.serve(Usage(input_tokens=1_000_000, output_tokens=500_000), 12.0)
    assert (tested.usage.cost_nanos, tested.usage.list_cost_nanos) == (cost * 1_000, 3_000_000_000)
    assert not tested.usage.unpriced


def test_cached_input_costs_its_own_price():
    tested = attempt()
    tested.serve(Usage(input_tokens=1_000_000, output_tokens=0, cached_input_tokens=1_000_000), 12.0)
    assert tested.usage.cost_nanos == 100_000_000


def test_a_model_without_a_price_costs_what_was_held_and_is_flagged():
    tested = attempt(price=None)
    tested.serve(Usage(input_tokens=5, output_tokens=5), 12.0)
    assert (tested.usage.cost_nanos, tested.usage.unpriced, tested.settle().unpriced) == (77, True, True)
    assert tested.usage.list_cost_nanos == 0


def test_an_error_without_tokens_costs_nothing_where_the_price_is_unknown_too():
    tested = attempt(price=None)
    tested.fail(fault(SENT.SENT_ANSWERED), 12.0)
    assert tested.settle().amounts == Amounts(requests=1)
    assert not tested.settle().unpriced


def test_the_first_token_is_the_first_piece_with_something_in_it():
    tested = attempt()
    tested.note(deltas(""), 11.0)
    tested.note(deltas(chat_pb2.Delta(citation=chat_pb2.Citation(uri="https://a.test"))), 11.5)
    assert tested.first_token_at is None
    tested.note(deltas(chat_pb2.Delta(reasoning="hm")), 12.0)
    tested.note(deltas("b"), 13.0)
    assert tested.first_token_at == 12.0


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        (chat_pb2.Delta(text="é"), 2),
        (chat_pb2.Delta(reasoning="abc"), 3),
        (chat_pb2.Delta(refusal="no"), 2),
        (chat_pb2.Delta(tool_arguments="{}"), 2),
        (chat_pb2.Delta(tool_call=chat_pb2.ToolCall(id="c1", name="look", arguments_json="{")), 5),
        (chat_pb2.Delta(citation=chat_pb2.Citation(uri="https://a.test")), 0),
        (chat_pb2.Delta(), 0),
    ],
)
def test_every_kind_of_generated_piece_counts(delta, size):
    tested = attempt()
    tested.note(deltas(delta), 11.0)
    assert tested.received_bytes == size
