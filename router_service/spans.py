"""How long each step of a pursuit may take: the wait for room, and the silences of an attempt."""

from catalog.mesh import Timeouts
from router_service.attempt import Attempt
from router_service.offers import Offer
from router_service.offers_left import Batch
from router_service.vendors import Limits

# The share of the remaining time one attempt may be silent for while others could still be tried.
SHARE = 0.6
# The ledger's word that patience has ended must be back before the deadline.
LAST_WORD = 0.15
# How long a local offer's turn is waited for that has some of its share left, while others may go beyond theirs.
WITHIN_SHARE = 5.0
# Seconds of silence that say something of an endpoint, whatever the caller's deadline.
PATIENT = 5.0
# Of a model that takes more than this share of the time for its first token too long.
SLOW = 0.5
BYTES_PER_TOKEN = 3.2
# A vendor that is well writes so many times as fast as `timeouts.minimum_rate` at least.
PACE = 10.0


def patience(batch: Batch, remaining: float, usual: float) -> float:
    """Return how long to wait for a turn: until the rest of the deadline is what an answer usually takes.

    Who were let in later would get no whole answer and only keep the server from those behind. However slow answers
    were lately, half of the time is for waiting. Where only a rate is in the way, a moment is enough; within shares it
    is a few seconds, for others may serve beyond theirs.
    """
    if batch.wait:
        return min(batch.wait, remaining / 2)
    if batch.patient and batch.within_share:
        return min(remaining / 2, WITHIN_SHARE)
    return max(remaining - max(usual, LAST_WORD), remaining / 2) if batch.patient else 0.0


def limits(timeouts: Timeouts, offer: Offer, remaining: float, *, others: bool) -> Limits:
    """Return the limits of a streamed attempt, in a share of the remaining time while there are others to try."""
    first_token = min(timeouts.first_token[offer.model.model_class], _share(remaining, others=others))
    return Limits(total=min(remaining, timeouts.total), first_token=first_token, idle=timeouts.idle)


def whole_limits(timeouts: Timeouts, offer: Offer, remaining: float, most: int | None, *, others: bool) -> Limits:
    """Return the limits of an attempt whose answer comes in one piece: nothing tells a slow one from none.

    While there are others to try it may take as long as the longest answer of a vendor that is well: the time for a
    first token, and for all others at a fair pace. Where nobody has said how long it may be at most, where any rate
    will do and for models of ours a share of the remaining time is all there is to go by.

    Args:
        timeouts: the configured limits.
        offer: whom to call.
        remaining: seconds until the deadline.
        most: tokens the answer can have.
        others: whether others could still be tried.
    """
    whole, pace = min(_share(remaining, others=others), timeouts.total), PACE * timeouts.minimum_rate
    if others and most is not None and pace and not offer.vendor.local:
        whole = min(whole, timeouts.first_token[offer.model.model_class] + most / pace)
    return Limits(total=whole, first_token=whole, idle=timeouts.idle)


def _share(remaining: float, *, others: bool) -> float:
    return remaining * SHARE if others else remaining


def hurried(timeouts: Timeouts, attempt: Attempt, now: float) -> bool:
    """Tell whether it was the caller's own deadline that made a silence too long: no fault of the endpoint."""
    usual = timeouts.first_token[attempt.planned.offer.model.model_class]
    return now - attempt.began < min(usual, PATIENT)


def late(timeouts: Timeouts, attempt: Attempt) -> bool:
    """Tell whether a model took so long for its first token that another would be better; ours are waited for."""
    offer = attempt.planned.offer
    if attempt.first_token_at is None or offer.vendor.local:
        return False
    return attempt.first_token_at - attempt.began > SLOW * timeouts.first_token[offer.model.model_class]


def drips(timeouts: Timeouts, attempt: Attempt, now: float) -> bool:
    """Tell whether a stream that has run for a while comes slower than is worth waiting for; ours are waited for."""
    if attempt.first_token_at is None or attempt.planned.offer.vendor.local:
        return False
    elapsed = now - attempt.first_token_at
    return elapsed >= timeouts.idle and attempt.received_bytes < timeouts.minimum_rate * BYTES_PER_TOKEN * elapsed
