"""Reads requests of the contract into operations, refusing what is malformed, and writes answers back."""

from collections.abc import Callable, Sequence
from sys import intern

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.quota.v1 import quota_pb2 as pb

from catalog import caller_labels
from catalog.words import TIERS
from meshkit.errors import invalid
from quota_service.observing import SCOPES
from quota_service.operations import (
    DEFAULT_TTL,
    Amounts,
    Answer,
    Cause,
    Denial,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    OfferAmounts,
    Operation,
    Outcome,
    Refused,
    Release,
    Reserve,
    Settle,
)
from quota_service.spend import labels_text

MOST_OPERATIONS = 512
MOST_OFFERS = 8
LONGEST_NAME = 200
LARGEST_AMOUNT = 10**15
LONGEST_TTL = 3_600_000
LONGEST_PATIENCE = 3_600_000
LONGEST_CLOSING = 32 * 86_400_000
UNITS = ("", "requests", "tokens", "money")
WINDOWS = ("", "minute", "hour", "day", "month")
REASONS = ("throttled", "quota", "auth", "failing", "forced_open", "forced_closed")

_OUTCOMES = {
    pb.OUTCOME_SERVED: Outcome.SERVED,
    pb.OUTCOME_FAILED: Outcome.FAILED,
    pb.OUTCOME_UNKNOWN: Outcome.UNKNOWN,
    pb.OUTCOME_CANCELLED: Outcome.CANCELLED,
    pb.OUTCOME_RELEASED: Outcome.RELEASED,
}
_CAUSES = {cause: pb.Denial.Cause.Value(f"CAUSE_{cause.name}") for cause in Cause}


def operations_of(request: pb.ApplyRequest) -> list[Operation]:
    """Return the operations of a request.

    Raises:
        MeshError: INVALID_REQUEST naming the field.
    """
    if len(request.operations) > MOST_OPERATIONS:
        raise invalid("operations", f"{len(request.operations)} operations; at most {MOST_OPERATIONS}")
    return [_operation(operation, f"operations[{place}]") for place, operation in enumerate(request.operations)]


def _operation(operation: pb.Operation, where: str) -> Operation:
    kind = operation.WhichOneof("kind")
    if kind is None:
        raise invalid(where, "empty; allowed: reserve, settle, release, extend, observe")
    return _READERS[kind](getattr(operation, kind), f"{where}.{kind}")


def _reserve(said: pb.Reserve, where: str) -> Reserve:
    if not 1 <= len(said.offers) <= MOST_OFFERS:
        raise invalid(f"{where}.offers", f"{len(said.offers)} offers; allowed: 1 to {MOST_OFFERS}")
    replaced = said.HasField("instead_of")
    if replaced and said.instead_of.attempt_id == said.attempt_id:
        raise invalid(f"{where}.instead_of.attempt_id", "an attempt cannot replace itself")
    if said.declared and (len(said.offers) > 1 or replaced or said.dry_run):
        raise invalid(f"{where}.declared", "allowed: with the one offer that was held, and nothing in its place")
    return Reserve(
        attempt_id=_name(said.attempt_id, f"{where}.attempt_id"),
        tenant=intern(_name(said.tenant, f"{where}.tenant")),
        use_case=intern(_name(said.use_case, f"{where}.use_case")),
        offers=tuple(_offer(offer, f"{where}.offers[{place}]") for place, offer in enumerate(said.offers)),
        instead_of=_settle(said.instead_of, f"{where}.instead_of") if replaced else None,
        patience=min(_millis(said.patience, f"{where}.patience"), LONGEST_PATIENCE),
        ttl=_ttl(said.ttl, f"{where}.ttl"),
        dry_run=said.dry_run,
        declared=said.declared,
        tier=_tier(said.tier, f"{where}.tier"),
        beyond_share=said.beyond_share,
    )


def _offer(said: pb.OfferAmounts, where: str) -> OfferAmounts:
    return OfferAmounts(
        intern(_name(said.offer, f"{where}.offer")),  # holds remember the name: one text for all of them
        _amount(said.input_tokens, f"{where}.input_tokens"),
        _amount(said.output_tokens, f"{where}.output_tokens"),
        _amount(said.cost_nanos, f"{where}.cost_nanos"),
        _amount(said.requests, f"{where}.requests") or 1,
    )


def _settle(said: pb.Settle, where: str) -> Settle:
    outcome = _OUTCOMES.get(said.outcome)
    if outcome is None:
        raise invalid(f"{where}.outcome", "allowed: SERVED, FAILED, UNKNOWN, CANCELLED, RELEASED")
    told = said.amounts
    amounts = Amounts(
        _amount(told.requests, f"{where}.amounts.requests"),
        _amount(told.input_tokens, f"{where}.amounts.input_tokens"),
        _amount(told.output_tokens, f"{where}.amounts.output_tokens"),
        _amount(told.cost_nanos, f"{where}.amounts.cost_nanos"),
    )
    for name, allowed in caller_labels.faults(said.labels):
        raise invalid(f"{where}.labels.{name}" if name else f"{where}.labels", allowed)
    labels = labels_text(said.labels)
    return Settle(_name(said.attempt_id, f"{where}.attempt_id"), outcome, amounts, said.unpriced, labels)


def _release(said: pb.Release, where: str) -> Release:
    return Release(_name(said.attempt_id, f"{where}.attempt_id"))


def _extend(said: pb.Extend, where: str) -> Extend:
    return Extend(_name(said.attempt_id, f"{where}.attempt_id"), _ttl(said.ttl, f"{where}.ttl"))


def _observe(said: pb.Observe, where: str) -> Observe:
    _one_of(said.scope, SCOPES, f"{where}.scope")
    _one_of(said.unit, UNITS, f"{where}.unit")
    _one_of(said.window, WINDOWS, f"{where}.window")
    closed_for = _millis(said.closed_for, f"{where}.closed_for")
    if closed_for or said.opened:
        _one_of(said.reason, REASONS, f"{where}.reason")
    if closed_for and said.opened:
        raise invalid(f"{where}.opened", "nothing is closed and opened at once; allowed: closed_for or opened")
    return Observe(
        offer=_name(said.offer, f"{where}.offer"),
        scope=said.scope,
        unit=said.unit,
        window=said.window,
        limit=_amount(said.limit, f"{where}.limit") if said.HasField("limit") else None,
        remaining=_amount(said.remaining, f"{where}.remaining") if said.HasField("remaining") else None,
        closed_for=min(closed_for, LONGEST_CLOSING),
        reason=said.reason,
        opened=said.opened,
    )


_READERS: dict[str, Callable[..., Operation]] = {
    "reserve": _reserve,
    "settle": _settle,
    "release": _release,
    "extend": _extend,
    "observe": _observe,
}


def _name(text: str, where: str) -> str:
    if not 1 <= len(text) <= LONGEST_NAME:
        raise invalid(where, f"{len(text)} characters; allowed: 1 to {LONGEST_NAME}")
    return text


def _tier(text: str, where: str) -> str:
    if text and text not in TIERS:
        raise invalid(where, f"`{text}`; allowed: {', '.join(TIERS)}")
    return text


def _amount(number: int, where: str) -> int:
    if not 0 <= number <= LARGEST_AMOUNT:
        raise invalid(where, f"{number}; allowed: 0 to {LARGEST_AMOUNT}")
    return number


def _one_of(text: str, allowed: Sequence[str], where: str) -> None:
    if text not in allowed:
        raise invalid(where, f"`{text}`; allowed: {', '.join(filter(None, allowed))}")


def _millis(duration: Duration, where: str) -> int:
    millis = duration.seconds * 1_000 + duration.nanos // 1_000_000
    if millis < 0:
        raise invalid(where, "negative; allowed: 0 or more")
    return millis


def _ttl(duration: Duration, where: str) -> int:
    millis = _millis(duration, where)
    if millis > LONGEST_TTL:
        raise invalid(where, f"{millis / 1_000:g} s; allowed: up to {LONGEST_TTL // 1_000} s, and extend")
    return millis or DEFAULT_TTL


def answer_to(answer: Answer) -> pb.Answer:
    """Return an answer of the contract."""
    match answer:
        case Held():
            return pb.Answer(held=_held(answer))
        case Denied():
            return pb.Answer(denied=pb.Denied(denials=[_denial(denial) for denial in answer.denials]))
        case Done():
            return pb.Answer(done=pb.Done(already=answer.already, corrected=answer.corrected))
        case Refused():
            return pb.Answer(refused=pb.Refused(reason=answer.reason, message=answer.message))
    raise AssertionError(answer)


def _held(held: Held) -> pb.Held:
    return pb.Held(
        offer=held.offer,
        expires_at=timestamp(held.expires_at),
        version=held.version,
        plan=held.plan,
        passed_over=[_denial(denial) for denial in held.passed_over],
        lease=_duration(held.lease or None),
    )


def _denial(denial: Denial) -> pb.Denial:
    return pb.Denial(
        offer=denial.offer,
        budget=denial.budget,
        cause=_CAUSES[denial.cause],
        retry_after=_duration(denial.retry_after),
        fits_in=_duration(denial.fits_in),
        limit=denial.limit,
        left=denial.left,
        unit=denial.unit,
    )


def _duration(millis: int | None) -> Duration | None:
    if millis is None:
        return None
    return Duration(seconds=millis // 1_000, nanos=millis % 1_000 * 1_000_000)


def timestamp(millis: int) -> Timestamp:
    """Return a moment of the contract."""
    return Timestamp(seconds=millis // 1_000, nanos=millis % 1_000 * 1_000_000)
