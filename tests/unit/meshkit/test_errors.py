"""The error vocabulary: one list in two languages, and errors that cross a hop whole."""

import pytest
from llmmesh.error.v1 import error_pb2
from llmmesh.provider.v1 import provider_pb2

from meshkit import status
from meshkit.errors import CODES, FieldViolation, MeshError, QuotaViolation, Reason


def test_the_reasons_in_code_are_exactly_the_reasons_of_the_contract() -> None:
    names = error_pb2.ErrorReason.keys()
    contract = {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}
    assert {reason.value for reason in Reason} == contract
    assert set(CODES) == set(Reason)


def test_an_error_survives_the_way_through_a_status() -> None:
    failure = provider_pb2.AttemptFailure(http_status=429, retryable=True)
    error = MeshError(
        Reason.VENDOR_THROTTLED,
        "slow down",
        metadata={"vendor": "groq"},
        fields=[FieldViolation("a.b", "too long")],
        quota=[QuotaViolation("groq/default", "none left")],
        retry_after=1.5,
        details=[failure],
    )
    back = status.from_proto(status.to_proto(error))
    assert (back.reason, back.message, back.code, back.metadata) == (
        Reason.VENDOR_THROTTLED,
        "slow down",
        "RESOURCE_EXHAUSTED",
        {"vendor": "groq"},
    )
    assert back.fields == error.fields
    assert back.quota == error.quota
    assert back.retry_after == pytest.approx(1.5)
    assert back.detail(provider_pb2.AttemptFailure) == failure
