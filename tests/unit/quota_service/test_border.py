"""What the border lets in, and the field it names when it does not."""

import pytest
from google.protobuf.duration_pb2 import Duration
from llmmesh.quota.v1 import quota_pb2 as pb

from meshkit.errors import MeshError, Reason
from quota_service.border import answer_to, operations_of
from quota_service.operations import (
    Amounts,
    Cause,
    Denial,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    OfferAmounts,
    Outcome,
    Refused,
    Release,
    Reserve,
    Settle,
)


def offer(**more) -> pb.OfferAmounts:
    return pb.OfferAmounts(**{"offer": "groq/m#1", "input_tokens": 1, "output_tokens": 2, "cost_nanos": 3} | more)


def reserve(**more) -> pb.Operation:
    said = {"attempt_id": "a", "tenant": "t", "use_case": "u", "offers": [offer()]} | more
    return pb.Operation(reserve=pb.Reserve(**said))


def settle(**more) -> pb.Operation:
    return pb.Operation(settle=pb.Settle(**{"attempt_id": "a", "outcome": pb.OUTCOME_SERVED} | more))


def observe(**more) -> pb.Operation:
    return pb.Operation(observe=pb.Observe(**{"offer": "groq/m#1", "scope": "account"} | more))


BROKEN = [
    (pb.Operation(), "operations[0]"),
    (reserve(attempt_id=""), "operations[0].reserve.attempt_id"),
    (reserve(attempt_id="x" * 201), "operations[0].reserve.attempt_id"),
    (reserve(tenant=""), "operations[0].reserve.tenant"),
    (reserve(use_case=""), "operations[0].reserve.use_case"),
    (reserve(offers=[]), "operations[0].reserve.offers"),
    (reserve(offers=[offer()] * 9), "operations[0].reserve.offers"),
    (reserve(offers=[offer(), offer(offer="")]), "operations[0].reserve.offers[1].offer"),
    (reserve(offers=[offer(input_tokens=-1)]), "operations[0].reserve.offers[0].input_tokens"),
    (reserve(offers=[offer(output_tokens=-1)]), "operations[0].reserve.offers[0].output_tokens"),
    (reserve(offers=[offer(cost_nanos=10**15 + 1)]), "operations[0].reserve.offers[0].cost_nanos"),
    (reserve(patience=Duration(seconds=-1)), "operations[0].reserve.patience"),
    (reserve(ttl=Duration(seconds=3_601)), "operations[0].reserve.ttl"),
    (reserve(tier="gold"), "operations[0].reserve.tier"),
    (reserve(instead_of=pb.Settle(attempt_id="b")), "operations[0].reserve.instead_of.outcome"),
    (
        reserve(instead_of=pb.Settle(attempt_id="a", outcome=pb.OUTCOME_FAILED)),
        "operations[0].reserve.instead_of.attempt_id",
    ),
    (settle(attempt_id=""), "operations[0].settle.attempt_id"),
    (settle(outcome=pb.OUTCOME_UNSPECIFIED), "operations[0].settle.outcome"),
    (settle(labels={"Team": "a"}), "operations[0].settle.labels.Team"),
    (settle(labels={f"l{n}": "a" for n in range(5)}), "operations[0].settle.labels"),
    (settle(outcome=pb.OUTCOME_LAPSED), "operations[0].settle.outcome"),
    (settle(amounts=pb.Amounts(requests=-1)), "operations[0].settle.amounts.requests"),
    (settle(amounts=pb.Amounts(output_tokens=-1)), "operations[0].settle.amounts.output_tokens"),
    (pb.Operation(release=pb.Release()), "operations[0].release.attempt_id"),
    (pb.Operation(extend=pb.Extend(attempt_id="a", ttl=Duration(seconds=-5))), "operations[0].extend.ttl"),
    (observe(offer=""), "operations[0].observe.offer"),
    (observe(scope="galaxy"), "operations[0].observe.scope"),
    (observe(unit="nanodollars"), "operations[0].observe.unit"),
    (observe(window="week"), "operations[0].observe.window"),
    (observe(limit=-1), "operations[0].observe.limit"),
    (observe(closed_for=Duration(seconds=3)), "operations[0].observe.reason"),
    (observe(opened=True), "operations[0].observe.reason"),
    (observe(opened=True, closed_for=Duration(seconds=3), reason="auth"), "operations[0].observe.opened"),
]


@pytest.mark.parametrize(("operation", "field"), BROKEN)
def test_a_malformed_operation_is_refused_naming_its_field(operation, field):
    with pytest.raises(MeshError) as caught:
        operations_of(pb.ApplyRequest(operations=[operation]))
    assert caught.value.reason == Reason.INVALID_REQUEST
    assert [violation.field for violation in caught.value.fields] == [field]


def test_more_than_512_operations_are_refused():
    with pytest.raises(MeshError, match="513 operations; at most 512"):
        operations_of(pb.ApplyRequest(operations=[reserve()] * 513))


def test_operations_are_read_whole():
    request = pb.ApplyRequest(
        operations=[
            reserve(
                instead_of=pb.Settle(attempt_id="z", outcome=pb.OUTCOME_UNKNOWN, amounts=pb.Amounts(requests=1)),
                patience=Duration(seconds=1, nanos=500_000_000),
                ttl=Duration(seconds=9),
                dry_run=True,
            ),
            settle(amounts=pb.Amounts(requests=1, input_tokens=2, output_tokens=3, cost_nanos=4), unpriced=True),
            pb.Operation(release=pb.Release(attempt_id="r")),
            pb.Operation(extend=pb.Extend(attempt_id="e")),
            observe(unit="requests", window="day", limit=0, closed_for=Duration(nanos=2_000_000), reason="quota"),
            observe(scope="slot", opened=True, reason="auth"),
        ]
    )
    assert operations_of(request) == [
        Reserve(
            "a",
            "t",
            "u",
            (OfferAmounts("groq/m#1", 1, 2, 3, 1),),
            Settle("z", Outcome.UNKNOWN, Amounts(1)),
            patience=1_500,
            ttl=9_000,
            dry_run=True,
        ),
        Settle("a", Outcome.SERVED, Amounts(1, 2, 3, 4), unpriced=True),
        Release("r"),
        Extend("e", 120_000),
        Observe("groq/m#1", "account", "requests", "day", limit=0, closed_for=2, reason="quota"),
        Observe("groq/m#1", "slot", reason="auth", opened=True),
    ]


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_name_in_the_contract(cause):
    told = answer_to(Denied((Denial("o", "b", cause, 1_500, None, 10, 2, "requests"),))).denied.denials[0]
    assert pb.Denial.Cause.Name(told.cause) == f"CAUSE_{cause.name}"
    assert (told.retry_after.ToMilliseconds(), told.HasField("fits_in"), told.limit, told.left) == (1_500, False, 10, 2)


def test_answers_are_written_whole():
    held = answer_to(Held("o", 1_790_000_000_123, 7, "free", (Denial("p", "b", Cause.BUDGET, fits_in=5),))).held
    assert (held.offer, held.expires_at.ToMilliseconds(), held.version, held.plan) == (
        "o",
        1_790_000_000_123,
        7,
        "free",
    )
    assert held.passed_over[0].fits_in.ToMilliseconds() == 5
    assert answer_to(Done(corrected=True)).done == pb.Done(corrected=True)
    assert answer_to(Refused("HOLD_CONFLICT", "why")).refused == pb.Refused(reason="HOLD_CONFLICT", message="why")


@pytest.mark.parametrize(("said", "read"), [(0, 1), (1, 1), (100, 100)])
def test_an_offer_takes_one_request_unless_it_says_how_many(said, read):
    request = pb.ApplyRequest(
        operations=[
            pb.Operation(reserve=pb.Reserve(attempt_id="a", tenant="t", use_case="u", offers=[offer(requests=said)]))
        ]
    )
    assert operations_of(request)[0].offers[0].requests == read
