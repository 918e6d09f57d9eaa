"""Carries what vendors say of our quotas to the ledger."""

from collections.abc import Iterable, Iterator

from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit import durations
from meshkit.errors import MeshError, Reason

SCOPES = {
    provider_pb2.Observation.SCOPE_UNSPECIFIED: "account",
    provider_pb2.Observation.SCOPE_ACCOUNT: "account",
    provider_pb2.Observation.SCOPE_MODEL: "model",
    provider_pb2.Observation.SCOPE_SLOT: "slot",
}
UNITS = {
    provider_pb2.Observation.UNIT_REQUESTS: "requests",
    provider_pb2.Observation.UNIT_TOKENS: "tokens",
    provider_pb2.Observation.UNIT_MONEY: "money",
}
CLOSING = {Reason.VENDOR_THROTTLED: "throttled", Reason.VENDOR_QUOTA: "quota", Reason.VENDOR_AUTH: "auth"}
# A rejected key does not heal by itself, but it may be replaced.
REJECTED_SECONDS = 300
# Throttled without a word of how long; a server of ours that has too much to do may have room any moment.
UNSAID_SECONDS = 5
BUSY_SECONDS = 1
# Throttling passes; a vendor that asks for more has misread its own clock. A quota is believed to its reset.
LONGEST_THROTTLED = 60


def from_answer(offer: str, observations: Iterable[provider_pb2.Observation]) -> Iterator[quota_pb2.Observe]:
    """Translate what came with an answer."""
    return (_observe(offer, observation, "") for observation in observations)


def from_fault(offer: str, fault: MeshError, *, local: bool) -> Iterator[quota_pb2.Observe]:
    """Translate what came with a fault; throttling, used-up quotas and rejected keys always close something."""
    failure = fault.detail(provider_pb2.AttemptFailure) or provider_pb2.AttemptFailure()
    busy = local and fault.reason is Reason.VENDOR_OVERLOAD
    closing = "throttled" if busy else CLOSING.get(fault.reason, "")
    closed = False
    for observation in failure.observations:
        closed = closed or durations.to_seconds(observation.closed_for) > 0
        yield _observe(offer, observation, closing)
    if not closing or closed:
        return
    rejected = closing == "auth"
    unsaid = BUSY_SECONDS if busy else UNSAID_SECONDS
    seconds = REJECTED_SECONDS if rejected else fault.retry_after or unsaid
    yield quota_pb2.Observe(
        offer=offer,
        scope="slot" if rejected else "model",
        closed_for=durations.to_proto(_believed(seconds, closing)),
        reason=closing,
    )


def _believed(seconds: float, closing: str) -> float:
    return min(seconds, LONGEST_THROTTLED) if closing == "throttled" else seconds


def _observe(offer: str, observation: provider_pb2.Observation, closing: str) -> quota_pb2.Observe:
    observe = quota_pb2.Observe(
        offer=offer,
        scope=SCOPES.get(observation.scope, "account"),
        unit=UNITS.get(observation.unit, ""),
        window=observation.window,
        reason=closing,
    )
    if observation.HasField("limit"):
        observe.limit = observation.limit
    if observation.HasField("remaining"):
        observe.remaining = observation.remaining
    if observation.HasField("closed_for"):
        seconds = _believed(durations.to_seconds(observation.closed_for), closing)
        observe.closed_for.CopyFrom(durations.to_proto(seconds))
    return observe
