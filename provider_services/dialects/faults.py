"""Says what a vendor's error means: one ordered table of rules for each dialect, read by one function.

Status alone lies (429 may mean "no money", 400 a bad key), so a rule looks at the status and at the words of the
error's code, type and message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import Reason
from provider_services.dialects import spans
from provider_services.dialects.interface import Fault, HttpReply, Subject
from provider_services.dialects.rules import Rule

__all__ = ["RETRYABLE", "Rule", "VendorError", "by_status", "closure", "describe", "duration", "fault", "judge"]

MESSAGE_LIMIT = 500
RETRYABLE = frozenset(
    {
        Reason.VENDOR_THROTTLED,
        Reason.VENDOR_OVERLOAD,
        Reason.VENDOR_SERVER,
        Reason.VENDOR_SILENT,
        Reason.VENDOR_UNREACHABLE,
        Reason.VENDOR_INCOMPLETE,
    }
)
# Words for an account that is to pay first, as vendors of several wires use them.
MONEY = (
    "insufficient_quota",
    "billing_hard_limit",
    "billing_not_active",
    "exceeded_current_quota",
    "insufficient balance",
    "insufficient credits",
    "credit balance",
    "prepayment credits",
    "billing account",
    "spend limit",
    "used all available credits",
)
# Words for a model that will not carry on an answer begun for it: another may.
PREFILL = ("prefill", "must end with a user message", "assistant with prefix", "last role user or tool")
# How long a subject stays closed, in seconds, when the vendor does not say.
CLOSED_FOR: Mapping[Reason, float] = {
    Reason.VENDOR_THROTTLED: 5.0,
    Reason.VENDOR_QUOTA: 300.0,
    Reason.VENDOR_AUTH: 300.0,
}


@dataclass(frozen=True, slots=True)
class VendorError:
    """An error as the vendor wrote it; status 0 means that it came inside a stream and named none."""

    status: int
    message: str
    code: str = ""
    kind: str = ""

    @property
    def words(self) -> str:
        """Everything a rule may look for, in lower case."""
        return f"{self.code} {self.kind} {self.message}".lower()


def by_status(*rows: tuple[Reason, Sequence[int]]) -> tuple[Rule, ...]:
    """Make the rules that need no words."""
    return tuple(Rule(reason, frozenset(statuses)) for reason, statuses in rows)


# What a status means at every vendor when no word says otherwise.
STATUSES = by_status(
    (Reason.VENDOR_AUTH, (401,)),
    (Reason.VENDOR_QUOTA, (402,)),
    (Reason.VENDOR_PERMISSION, (403,)),
    (Reason.VENDOR_NOT_FOUND, (404,)),
    (Reason.VENDOR_RETIRED, (410,)),
    (Reason.VENDOR_CONTEXT, (413,)),
    (Reason.VENDOR_THROTTLED, (429,)),
    (Reason.VENDOR_OVERLOAD, (498, 503, 529)),
    (Reason.VENDOR_SERVER, (408, 499)),
)


def judge(error: VendorError, rules: Sequence[Rule], subject: Subject | None = None) -> Reason:
    """Return the reason of the first rule that fits: the vendor's own row, the dialect's table, the status."""
    words = error.words
    for rule in (*(subject.errors if subject else ()), *rules, *STATUSES):
        if rule.fits(error.status, error.code.lower(), words):
            return rule.reason
    return Reason.VENDOR_BAD_REQUEST if 400 <= error.status < 500 else Reason.VENDOR_SERVER


def fault(
    subject: Subject,
    reply: HttpReply,
    error: VendorError,
    reason: Reason,
    *,
    retry_after: float | None = None,
    observations: Sequence[Observation] = (),
    retryable: bool = False,
) -> Fault:
    """Make the fault of an error, with the closure that its reason asks for."""
    after = retry_after if retry_after is not None else _told(reply, error, reason)
    closed = closure(subject, reason, after, money=reason is Reason.VENDOR_QUOTA and _about_money(error))
    return Fault(
        reason=reason,
        message=describe(error),
        retry_after=after,
        observations=(*observations, *([closed] if closed else ())),
        http_status=error.status,
        retryable=retryable or reason in RETRYABLE,
        answered=True,
    )


def describe(error: VendorError) -> str:
    """Return the vendor's words, cut to a bearable length."""
    message = error.message.strip() or error.code or error.kind or f"HTTP {error.status}"
    return message if len(message) <= MESSAGE_LIMIT else message[:MESSAGE_LIMIT] + "…"


def closure(subject: Subject, reason: Reason, after: float | None, *, money: bool = False) -> Observation | None:
    """Return the observation that closes what the error speaks of, or None when it closes nothing.

    Money is an account's, whatever its limits count apart.
    """
    if reason not in CLOSED_FOR:
        return None
    closed = Observation(source=Observation.SOURCE_ERROR_BODY, scope=Observation.SCOPE_ACCOUNT)
    if reason is Reason.VENDOR_AUTH:
        closed.scope = Observation.SCOPE_SLOT
    elif "limits_per_model" in subject.quirks and subject.model and not money:
        closed.scope, closed.model = Observation.SCOPE_MODEL, subject.model
    closed.closed_for.CopyFrom(duration(CLOSED_FOR[reason] if after is None else after))
    return closed


def duration(length: float) -> Duration:
    """Turn seconds into a protobuf Duration."""
    seconds, nanos = divmod(round(length * 1e9), 10**9)
    return Duration(seconds=seconds, nanos=nanos)


def _about_money(error: VendorError) -> bool:
    """Say whether an error is about the money of the account rather than about a limit."""
    return error.status == 402 or any(word in error.words for word in MONEY)


def _told(reply: HttpReply, error: VendorError, reason: Reason) -> float | None:
    # A retry-after was seen on plain successes: where another attempt is of no use it means nothing.
    if reason not in CLOSED_FOR and reason not in RETRYABLE:
        return None
    after = spans.retry_after(reply.headers)
    return spans.mentioned(error.message) if after is None else after
