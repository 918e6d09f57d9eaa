"""The rules of the ledger: who is admitted, what is charged, how a hold may end. No clock, no store, no state."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from quota_service.budgets import Budget, Terms
from quota_service.holds import Hold, State, settlement
from quota_service.levels import Level, Line
from quota_service.operations import (
    ALREADY,
    NOTHING,
    Amounts,
    Cause,
    Denial,
    Done,
    Outcome,
    Refused,
    Settle,
)
from quota_service.windows import FOREVER, SECOND


class Ending(Struct, frozen=True, gc=False):
    """How a hold ends: its new state and what is charged; under which labels it is summed."""

    state: State
    outcome: Outcome
    charged: Amounts
    settlement: int = 0
    unpriced: bool = False
    labels: str = ""


class Closure(NamedTuple):
    """Until when a vendor closed a subject, and why."""

    until: int
    reason: str


NEVER_CLOSED = Closure(0, "")
CLOSED_BECAUSE: Mapping[str, Cause] = {"auth": Cause.REJECTED, "quota": Cause.EXHAUSTED}


def admits(line: Line, budget: Budget, amount: int, own: Mapping[str, int] | None, kept: int = 0) -> bool:
    """Tell whether a leg may be taken that leaves what is kept from its tier.

    A leg that takes nothing is never denied. `own` is what the attempt being replaced frees: a payer's budget lets
    its holder keep that much even when neighbours have overdrawn it meanwhile.
    """
    if not amount:
        return True
    for level in line.weighed:
        if amount > level.room(budget.limit, hard=budget.hard, kept=kept):
            return own is not None and budget.payer and amount <= own.get(budget.id, 0)
    return True


def closed(terms: Terms, closures: Mapping[str, Closure], now: int) -> Denial | None:
    """Return the denial of an offer whose account, model or slot a vendor closed; the longest closing counts."""
    subject = max(terms.subjects(), key=lambda name: closures.get(name, NEVER_CLOSED).until)
    closure = closures.get(subject, NEVER_CLOSED)
    if closure.until <= now:
        return None
    cause = closing_cause(closure.reason)
    wait = closure.until - now
    return Denial(terms.offer, subject, cause, retry_after=wait, fits_in=wait)


def closing_cause(reason: str) -> Cause:
    """Return what a vendor's reason for closing means for an offer."""
    return CLOSED_BECAUSE.get(reason, Cause.COOLING)


def denial(offer: str, line: Line, budget: Budget, amount: int, now: int, *, kept: int = 0) -> Denial:
    """Explain why a leg does not fit: the limit, what is left, and when waiting would help (I17)."""
    level = max(line.weighed, key=lambda level: level.taken)
    limit = level.limit(budget.limit)
    left = max(0, limit - level.taken)
    if budget.hard and amount + kept > budget.limit:
        cause = Cause.TOO_LARGE if amount > budget.limit else Cause.HEADROOM
        return Denial(offer, budget.id, cause, limit=budget.limit, left=left, unit=budget.unit)
    wait = _fits_in(line, budget, amount, now, kept=kept)
    rooms = [(level.room(budget.limit, hard=budget.hard, kept=kept), level.held) for level in line.weighed]
    by_holds = budget.hard and all(amount <= room + held for room, held in rooms)
    return Denial(
        offer,
        budget.id,
        _cause(line, budget, amount),
        retry_after=min(SECOND, wait or SECOND) if by_holds else wait,
        fits_in=wait,
        limit=limit,
        left=left,
        unit=budget.unit,
        by_holds=by_holds,
    )


def queued(offer: str, line: Line, budget: Budget) -> Denial:
    """Explain that what is left is kept for somebody who came first and waits for it; he may have it any moment."""
    level = max(line.weighed, key=lambda level: level.taken)
    limit = level.limit(budget.limit)
    left = max(0, limit - level.taken)
    return Denial(offer, budget.id, Cause.QUEUED, SECOND, SECOND, limit, left, budget.unit, by_holds=True)


def _cause(line: Line, budget: Budget, amount: int) -> Cause:
    """Say what kind of limit a leg met: what is kept from its tier, or has expired, when it would fit otherwise."""
    if admits(line, budget, amount, None):
        return Cause.HEADROOM
    if budget.grants and amount <= Level.room(line.weighed[0], budget.limit, hard=budget.hard):
        return Cause.EXPIRED
    return Cause.TENANT if budget.payer else Cause.BUDGET


def most_limiting(denials: list[Denial]) -> Denial:
    """Return the denial that lasts longest; one that waiting cannot cure beats all."""
    return max(denials, key=lambda denial: FOREVER if denial.fits_in is None else denial.fits_in)


def worth_waiting(denials: tuple[Denial, ...], patience: int) -> bool:
    """Tell whether any offer may come to fit within the caller's patience."""
    return any(denial.by_holds or (denial.fits_in is not None and denial.fits_in <= patience) for denial in denials)


def _fits_in(line: Line, budget: Budget, amount: int, now: int, *, kept: int) -> int | None:
    """Return when a leg would fit if nothing else happened; None when it never would."""
    if budget.unit == "concurrency":
        return max(1, line.latest_expiry - now)
    if budget.window.kind == "once":
        return None
    if line.total is not None:
        return _rolls_free_in(line, line.total, budget, amount + kept if budget.hard else kept, now)
    blocking = [cell for cell in line.current if amount > cell.room(budget.limit, hard=budget.hard, kept=kept)]
    return max((cell.counts_until for cell in blocking), default=now + 1) - now


def _rolls_free_in(line: Line, total: Level, budget: Budget, wanted: int, now: int) -> int:
    """Return when enough of a rolling window's cells weigh no longer: so much that what is wanted is left."""
    if budget.hard:
        excess = wanted - total.room(budget.limit, hard=True)
    else:
        excess = total.used + total.external + wanted - total.limit(budget.limit) + 1
    last = now + 1
    for cell in line.spread():
        last = cell.counts_until
        excess -= cell.taken if budget.hard else cell.used + cell.external
        if excess <= 0:
            break
    return last - now


def charge(hold: Hold, settle: Settle) -> Amounts:
    """Return what a settle charges: what may have been spent is charged (I5, I13, I15).

    Served: as reported, without a word about requests those that were held. Failed: as reported. Unknown or cancelled:
    as served; without a word about the prompt its estimate; without a word about anything the estimated cost too.
    Unpriced: never less than the estimated cost. Released: nothing.
    """
    told, estimate, outcome = settle.amounts, hold.estimate, settle.outcome
    if outcome == Outcome.SERVED and told.requests and not settle.unpriced:
        return told
    if outcome == Outcome.RELEASED:
        return NOTHING
    requests, prompt, cost = told.requests, told.input_tokens, told.cost_nanos
    if outcome != Outcome.FAILED:
        requests = requests or estimate.requests
    if outcome in (Outcome.UNKNOWN, Outcome.CANCELLED) and prompt == 0:
        prompt = estimate.input_tokens
        if told.output_tokens == 0 and cost == 0:
            cost = estimate.cost_nanos
    if settle.unpriced:
        cost = max(cost, estimate.cost_nanos)
    return Amounts(requests, prompt, told.output_tokens, cost)


def end(hold: Hold | None, settle: Settle) -> Ending | Done | Refused:
    """Decide how a settle or release ends a hold: once, and a lapsed one is corrected once (I4, I5, I6)."""
    if hold is None:
        return unknown_hold(settle.attempt_id)
    token = settlement(settle)
    if hold.state == State.HELD:
        state = State.RELEASED if settle.outcome == Outcome.RELEASED else State.SETTLED
    elif hold.state == State.LAPSED:
        state = State.CORRECTED
    elif hold.settlement == token:
        return ALREADY
    else:
        return ended_otherwise(hold.attempt_id, hold.outcome or "")
    return Ending(state, settle.outcome, charge(hold, settle), token, settle.unpriced, settle.labels)


def lapse(hold: Hold) -> Ending:
    """Decide how a hold ends that nobody ended: charged in full, only its concurrency returns (I5)."""
    return Ending(State.LAPSED, Outcome.LAPSED, hold.in_full)


def unknown_hold(attempt_id: str) -> Refused:
    """Refuse to end what is not there."""
    return Refused("HOLD_CONFLICT", f"no hold of attempt {attempt_id}: it was never held, or long ago")


def ended_otherwise(attempt_id: str, outcome: str) -> Refused:
    """Refuse to end a hold twice."""
    return Refused("HOLD_CONFLICT", f"attempt {attempt_id} has ended as {outcome} with other amounts")


def other_contents(attempt_id: str) -> Refused:
    """Refuse a second reserve under an id that is taken."""
    return Refused("ATTEMPT_CONFLICT", f"attempt {attempt_id} was reserved with other contents")


def not_open(attempt_id: str, outcome: str) -> Refused:
    """Refuse to extend what is not open; an outcome says how it ended."""
    why = f"has ended as {outcome}" if outcome else "was never held, or long ago"
    return Refused("HOLD_CONFLICT", f"attempt {attempt_id} {why}: only an open hold can be extended")


def unknown_offer(offer: str) -> Refused:
    """Refuse what is said of an offer nobody knows."""
    return Refused("UNKNOWN_MODEL", f"no definitions for the offer {offer}")


def beyond_counting(attempt_id: str, budget_id: str) -> Refused:
    """Refuse amounts that would take a budget where a store no longer counts exactly."""
    return Refused("HOLD_CONFLICT", f"attempt {attempt_id}: the amounts take {budget_id} beyond 2^53; allowed: less")
