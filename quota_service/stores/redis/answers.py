"""Reads what the script answered into the ledger's own values."""

from collections.abc import Callable, Sequence
from typing import Any

from quota_service import rules
from quota_service.operations import (
    ALREADY,
    DONE,
    Answer,
    Cause,
    Denial,
    Denied,
    Done,
    Held,
    Refused,
    Waiting,
)

Said = list[Any]
_CAUSES = {cause.value: cause for cause in Cause}


def other_answer(said: Said) -> Answer:
    """Read the answer to a settle, release, extend or observe."""
    if said[0] == "refused":
        return _refused(said)
    _, already, corrected = said
    return ALREADY if already else Done(corrected=True) if corrected else DONE


def reserve_answer(said: Said, draws: Sequence[Said], version: int) -> Answer | None:
    """Read the answer to a reserve; None when it is the one remembered from just now."""
    match said[0]:
        case "held":
            _, place, expires, passed_over, lease = said
            offer, plan, *_ = draws[place - 1]
            return Held(offer, expires, version, plan, _denials(passed_over), lease)
        case "held before":
            _, offer, expires, version, plan, passed_over, lease = said
            return Held(offer, expires, version, plan, _denials(passed_over), lease)
        case "denied":
            return Denied(_denials(said[1]))
        case "waiting":
            return Waiting(_denials(said[1]), said[2])
        case "remembered":
            return None
    return _refused(said)


def _denials(said: list[Said] | int) -> tuple[Denial, ...]:
    return tuple(_denial(row) for row in said) if isinstance(said, list) else ()


def _denial(said: Said) -> Denial:
    offer, budget, why, again, fits, limit, left, unit, by_holds = said
    word, _, closed_for = why.partition(":")
    cause = rules.closing_cause(closed_for) if word == "closed" else _CAUSES[word]
    return Denial(offer, budget, cause, _moment(again), _moment(fits), limit, left, unit, by_holds)


def _moment(said: int) -> int | None:
    return None if said < 0 else said


_REFUSALS: dict[str, Callable[..., Refused]] = {
    "no hold": rules.unknown_hold,
    "ended": rules.ended_otherwise,
    "other contents": rules.other_contents,
    "not open": rules.not_open,
    "too much": rules.beyond_counting,
}


def _refused(said: Said) -> Refused:
    return _REFUSALS[said[1]](*said[2:])
