"""What vendors say of our quotas, as the ledger is told."""

import pytest
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from meshkit.errors import MeshError, Reason
from router_service import observations

Observation = provider_pb2.Observation
OFFER = "alpha/one#1"


def closes(seconds: float, **row: object) -> Observation:
    return Observation(closed_for=durations.to_proto(seconds), **row)


def fault(reason: Reason, *said: Observation, retry_after: float | None = None) -> MeshError:
    detail = provider_pb2.AttemptFailure(observations=said)
    return MeshError(reason, "it failed", retry_after=retry_after, details=[detail])


def learned(error: MeshError, *, local: bool = False) -> list[tuple[str, float, str]]:
    found = observations.from_fault(OFFER, error, local=local)
    return [(o.scope, durations.to_seconds(o.closed_for), o.reason) for o in found]


def test_figures_are_passed_on_as_said_and_silence_stays_silence():
    said = Observation(
        scope=Observation.SCOPE_MODEL, unit=Observation.UNIT_TOKENS, window="minute", limit=100, remaining=0
    )
    (told,) = observations.from_answer(OFFER, [said])
    assert told == quota_pb2.Observe(offer=OFFER, scope="model", unit="tokens", window="minute", limit=100, remaining=0)
    (silent,) = observations.from_answer(OFFER, [Observation(unit=Observation.UNIT_MONEY)])
    assert (silent.unit, silent.HasField("limit"), silent.HasField("remaining")) == ("money", False, False)
    assert not silent.HasField("closed_for")


@pytest.mark.parametrize(("scope", "word"), [*observations.SCOPES.items(), (77, "account")])
def test_an_unknown_scope_is_the_account(scope, word):
    (told,) = observations.from_answer(OFFER, [Observation(scope=scope)])
    assert told.scope == word


@pytest.mark.parametrize(
    ("error", "closures"),
    [
        (fault(Reason.VENDOR_THROTTLED), [("model", 5, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, retry_after=9.0), [("model", 9, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, retry_after=86_400.0), [("model", 60, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, closes(7)), [("account", 7, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, closes(999)), [("account", 60, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, closes(0)), [("account", 0, "throttled"), ("model", 5, "throttled")]),
        (fault(Reason.VENDOR_THROTTLED, Observation()), [("account", 0, "throttled"), ("model", 5, "throttled")]),
        (fault(Reason.VENDOR_QUOTA, retry_after=86_400.0), [("model", 86_400, "quota")]),
        (fault(Reason.VENDOR_QUOTA, closes(86_400)), [("account", 86_400, "quota")]),
        (fault(Reason.VENDOR_AUTH), [("slot", 300, "auth")]),
        (fault(Reason.VENDOR_AUTH, closes(60, scope=Observation.SCOPE_SLOT)), [("slot", 60, "auth")]),
        (fault(Reason.VENDOR_SERVER), []),
        (fault(Reason.VENDOR_PERMISSION), []),
        (MeshError(Reason.VENDOR_THROTTLED, "bare"), [("model", 5, "throttled")]),
    ],
)
def test_throttling_quotas_and_rejected_keys_always_close_something(error, closures):
    assert learned(error) == closures


def test_figures_of_any_other_fault_are_passed_on_too():
    assert learned(fault(Reason.VENDOR_SERVER, Observation(unit=Observation.UNIT_REQUESTS))) == [("account", 0, "")]


def test_a_server_of_ours_that_has_too_much_to_do_is_left_alone_for_a_moment():
    assert learned(fault(Reason.VENDOR_OVERLOAD), local=True) == [("model", 1, "throttled")]
    assert learned(fault(Reason.VENDOR_OVERLOAD, retry_after=3.0), local=True) == [("model", 3, "throttled")]
    assert learned(fault(Reason.VENDOR_OVERLOAD)) == []
