"""Reads requests to overrule limits, refusing what makes no sense with what is allowed (I14)."""

from difflib import get_close_matches

from llmmesh.quota.v1 import quota_pb2 as pb

from meshkit.errors import MeshError, invalid
from quota_service.border import LARGEST_AMOUNT, LONGEST_NAME
from quota_service.operations import RemoveOverride, SetOverride
from quota_service.standing import Standing
from quota_service.windows import FOREVER

LONGEST_REASON = 500


def set_override(request: pb.SetOverrideRequest, standing: Standing) -> SetOverride:
    """Return the operation a request asks for.

    Raises:
        MeshError: INVALID_REQUEST naming the field.
    """
    known = [row.budget.id for row in standing.budgets]
    if request.budget not in known:
        raise _unknown(request.budget, known, "no such budget; allowed: the ids of GetBudgets")
    if not request.HasField("limit"):
        raise invalid("limit", "missing; allowed: 0 or more")
    if not 0 <= request.limit <= LARGEST_AMOUNT:
        raise invalid("limit", f"{request.limit}; allowed: 0 to {LARGEST_AMOUNT}")
    author, reason = _who_and_why(request.author, request.reason)
    return SetOverride(request.budget, request.limit, author, reason, _until(request, standing.now))


def remove_override(request: pb.RemoveOverrideRequest, standing: Standing) -> RemoveOverride:
    """Return the operation a request asks for.

    Raises:
        MeshError: INVALID_REQUEST naming the field.
    """
    if request.budget not in standing.overrides:
        raise _unknown(request.budget, list(standing.overrides), "has no override")
    author, reason = _who_and_why(request.author, request.reason)
    return RemoveOverride(request.budget, author, reason)


def _unknown(budget: str, known: list[str], what: str) -> MeshError:
    close = get_close_matches(budget, known, n=1)
    return invalid("budget", f"`{budget[:LONGEST_NAME]}`: {what}" + (f"; perhaps `{close[0]}`" if close else ""))


def _who_and_why(author: str, reason: str) -> tuple[str, str]:
    for field, text, longest in (("author", author, LONGEST_NAME), ("reason", reason, LONGEST_REASON)):
        if not text.strip() or len(text) > longest:
            said = f"{len(text)} characters" if text.strip() else "missing"
            raise invalid(field, f"{said}; allowed: 1 to {longest} characters")
    return author.strip(), reason.strip()


def _until(request: pb.SetOverrideRequest, now: int) -> int:
    if not request.HasField("expires_at"):
        return 0
    until = request.expires_at.seconds * 1_000 + request.expires_at.nanos // 1_000_000
    if until <= now:
        raise invalid("expires_at", f"is {(now - until) / 1_000:g} s in the past by the ledger's clock; allowed: later")
    return min(until, FOREVER - 1)
