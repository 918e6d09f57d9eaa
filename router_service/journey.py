"""The story of one request: attempts, what was passed over and why, told as a Route."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit import durations
from meshkit.errors import FieldViolation, MeshError, QuotaViolation, Reason
from router_service.attempt import SERVED, Attempt
from router_service.demand import TIERS, Demand
from router_service.offers import LOST
from router_service.planner import Exclusion, Plan
from router_service.remedies import REMEDIES

TIER_NUMBERS = {name: number for number, name in TIERS.items()}
CAUSES = {
    quota_pb2.Denial.CAUSE_BUDGET: "budget",
    quota_pb2.Denial.CAUSE_COOLING: "cooling",
    quota_pb2.Denial.CAUSE_TOO_LARGE: "too_large",
    quota_pb2.Denial.CAUSE_TENANT: "tenant_budget",
    quota_pb2.Denial.CAUSE_REJECTED: "key_rejected",
    quota_pb2.Denial.CAUSE_UNKNOWN_OFFER: "unknown_offer",
    quota_pb2.Denial.CAUSE_EXHAUSTED: "exhausted",
    quota_pb2.Denial.CAUSE_RECOVERING: "recovering",
    quota_pb2.Denial.CAUSE_HEADROOM: "headroom",
    quota_pb2.Denial.CAUSE_EXPIRED: "credit_expired",
    quota_pb2.Denial.CAUSE_QUEUED: "queued",
}
# What people are told of a denial; of all others, what is left of the budget.
WHY = {
    quota_pb2.Denial.CAUSE_COOLING: "{0.budget} is cooling",
    quota_pb2.Denial.CAUSE_EXHAUSTED: "{0.budget} is out of credit or quota, says the vendor",
    quota_pb2.Denial.CAUSE_REJECTED: "the vendor rejected the key of {0.budget}",
    quota_pb2.Denial.CAUSE_TOO_LARGE: "the request needs more than {0.budget} allows at all ({0.limit} {0.unit})",
    quota_pb2.Denial.CAUSE_UNKNOWN_OFFER: "the ledger does not know {0.offer}",
    quota_pb2.Denial.CAUSE_EXPIRED: "{0.budget} has {0.left} {0.unit} left, the rest of it has expired",
    quota_pb2.Denial.CAUSE_HEADROOM: "{0.budget} has {0.left} of {0.limit} {0.unit} left, kept for higher tiers",
    quota_pb2.Denial.CAUSE_QUEUED: "{0.budget} has {0.left} of {0.limit} {0.unit} left, kept for who came first",
    quota_pb2.Denial.CAUSE_RECOVERING: "{0.budget} is closed until the ledger knows again what is held",
}
# Faults that say nothing would be better elsewhere or later; the caller gets them as they are.
FINAL = frozenset({Reason.VENDOR_BAD_REQUEST, Reason.VENDOR_CONTENT_FILTER})
# Faults of what was asked: when every attempt ended so, it is the caller's error and no outage.
ASKED_TOO_MUCH = frozenset({Reason.VENDOR_CONTEXT.value, Reason.VENDOR_UNSUPPORTED.value})
# Vendors that have no more for us now, like budgets of ours that are used up.
SPENT = frozenset({Reason.VENDOR_THROTTLED.value, Reason.VENDOR_QUOTA.value})
# Vendors that refuse our key, like slots that are closed because they did.
REFUSED = frozenset({Reason.VENDOR_AUTH.value})
REJECTED = quota_pb2.Denial.CAUSE_REJECTED
# Reasons to leave an offer out that may be gone when the caller asks again.
PASSING = frozenset({"unreachable", "breaker_open"})
# Reasons to leave an offer out that are the caller's to mend, and the error that says so.
TOO_MUCH = {
    "context": (Reason.VENDOR_CONTEXT, "too long for every candidate"),
    "texts": (Reason.VENDOR_UNSUPPORTED, "too many for every candidate"),
    "dimensions": (Reason.VENDOR_UNSUPPORTED, "too many for every candidate"),
}
# Reasons to leave an offer out that are a wish of the caller's: which ones emptied the plan is theirs to know.
WISHES = REMEDIES.keys()
# How many reasons an error tells beside that of the first choice.
MOST_REASONS = 8
# When to ask again after such a reason.
RECOVERY_SECONDS = 1.0


class Journey:
    """What has become of one request so far."""

    def __init__(self, request_id: str, demand: Demand, plan: Plan) -> None:
        self.request_id = request_id
        self.demand = demand
        self.plan = plan
        self.attempts: list[Attempt] = []
        self._denials: dict[str, quota_pb2.Denial] = {}
        self._skipped = Counter(exclusion.reason for exclusion in plan.excluded)

    @property
    def denials(self) -> list[quota_pb2.Denial]:
        """Return why the ledger passed over each offer that was not tried since."""
        return list(self._denials.values())

    @property
    def serving(self) -> Attempt | None:
        """Return the attempt that served, if one did."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.outcome == SERVED else None

    @property
    def broken(self) -> Attempt | None:
        """Return the last attempt whose pieces the caller has and that did not serve, if there is one."""
        return next((a for a in reversed(self.attempts) if a.committed and a.outcome != SERVED), None)

    @property
    def fell_back(self) -> bool:
        """Tell whether another than the first choice served."""
        return self.serving is not None and self.serving.planned.offer.model_text != f"{self.plan.first}"

    def begin(self, attempt: Attempt) -> None:
        """Note an attempt; an offer that was waited for is no longer one that was passed over."""
        self.attempts.append(attempt)
        self._denials.pop(attempt.offer_text, None)

    def passed_over(self, denials: Iterable[quota_pb2.Denial]) -> None:
        """Note offers the ledger had no room for; of one that was asked for again the last word counts."""
        self._denials |= {denial.offer: denial for denial in denials}

    def skip(self, reason: str, offers: int = 1) -> None:
        """Note offers left out while the request was under way."""
        self._skipped[reason] += offers

    def fallback_reason(self) -> str:
        """Say in one word why the first choice did not serve: a fault, a ledger cause or a planning reason."""
        first = f"{self.plan.first}"
        for attempt in self.attempts:
            if attempt.planned.offer.model_text == first:
                return attempt.reason.lower()
        for denial in self.denials:
            if denial.offer.partition("#")[0] == first:
                return _cause(denial)
        return next((e.reason for e in self.plan.excluded if e.text.partition("#")[0] == first), "other")

    def primary_error(self) -> str:
        """Say why the first choice did not serve; empty when it did."""
        first = f"{self.plan.first}"
        if self.serving is not None and self.serving.planned.offer.model_text == first:
            return ""
        for attempt in self.attempts:
            if attempt.planned.offer.model_text == first and attempt.reason:
                return f"{attempt.reason}: {attempt.message}"
        for denial in self.denials:
            if denial.offer.partition("#")[0] == first:
                return why_denied(denial)
        return self.plan.why_not_first() or self._why_shut()

    def route(self) -> router_pb2.Route:
        """Tell the story."""
        serving, fallback = self.serving, self.fell_back
        route = router_pb2.Route(
            request_id=self.request_id,
            use_case=self.demand.use_case.name,
            tier=TIER_NUMBERS[self.demand.tier],
            attempts=[_attempt(attempt) for attempt in self.attempts],
            skipped=self._skipped + Counter(map(_cause, self.denials)),
            passed_over=[
                router_pb2.PassedOver(offer=denial.offer, budget=denial.budget, reason=_cause(denial))
                for denial in self.denials
            ],
            fallback_used=fallback,
            primary_error=self.primary_error() if fallback or serving is None else "",
            total_cost_nanos=sum(attempt.usage.cost_nanos for attempt in self.attempts),
        )
        if serving is not None:
            offer = serving.planned.offer
            route.offer, route.vendor, route.model = offer.text, offer.ref.vendor, offer.ref.model
            route.vendor_reply_name = offer.vendor.reply_name
            route.model_reply_name = offer.model.reply_name or offer.ref.model
        return route

    def stopped(self, cause: MeshError) -> MeshError:
        """Make the error for a request that the mesh itself could not carry on with."""
        if self.broken is not None:
            return self._broken_off(cause)
        return _with_route(cause, self._details())

    def failure(self, cause: MeshError | None) -> MeshError:
        """Make the error for a request that nobody served, or that broke off."""
        if cause is not None and self.broken is not None:
            return self._broken_off(cause)
        if cause is not None and (cause.reason in FINAL or self._all_failed_alike()):
            return _with_route(cause, self._details())
        reasons = {attempt.reason for attempt in self.attempts}
        if reasons <= REFUSED and self.denials and all(denial.cause == REJECTED for denial in self.denials):
            return self._rejected()
        if reasons <= SPENT and (self.denials or self.attempts) and not self._recovering():
            return self._exhausted()
        if not self.plan.offers:
            return self._no_offer()
        text = "; ".join(["no offer could serve", f"the first choice: {self.primary_error()}", *self._other_reasons()])
        again = RECOVERY_SECONDS if self._recovering() else self._soonest()
        return MeshError(Reason.ROUTE_EXHAUSTED, text, details=self._details(), retry_after=again)

    def _why_shut(self) -> str:
        shut = self.serving is None and self._skipped["breaker_open"] > 0
        return f"{self.plan.first} keeps failing; its breaker is open" if shut else ""

    def _other_reasons(self) -> list[str]:
        """Say why the others did not serve, each reason once; of those that never could, nothing."""
        first = f"{self.plan.first}"
        told = {a.planned.offer.model_text: f"{a.reason}: {a.message}" for a in self.attempts}
        told |= {denial.offer.partition("#")[0]: why_denied(denial) for denial in self.denials}
        told |= {e.text.partition("#")[0]: e.detail for e in self.plan.excluded if e.reason in PASSING}
        others = dict.fromkeys(f"{model}: {why}" for model, why in told.items() if model != first)
        return list(others)[:MOST_REASONS]

    def _recovering(self) -> bool:
        """Tell whether an offer was left out only because something is out of order just now, whatever its budgets."""
        gone = any(exclusion.detail == LOST.detail for exclusion in self.plan.excluded)
        return gone or self._skipped["breaker_open"] > 0

    def _all_failed_alike(self) -> bool:
        """Tell whether the fault is the whole story: one attempt, or a request that was too much for all."""
        if self.denials:
            return False
        return len(self.attempts) == 1 or {attempt.reason for attempt in self.attempts} <= ASKED_TOO_MUCH

    def _details(self) -> list[router_pb2.RouteFailure]:
        partial = None if self.broken is None else self.broken.usage
        return [router_pb2.RouteFailure(route=self.route(), partial_usage=partial)]

    def _broken_off(self, cause: MeshError) -> MeshError:
        text = f"the answer broke off: {cause.message}"
        return MeshError(Reason.STREAM_INCOMPLETE, text, details=self._details(), retry_after=cause.retry_after)

    def _no_offer(self) -> MeshError:
        reasons = {exclusion.reason for exclusion in self.plan.excluded}
        beyond = next((e for e in self.plan.excluded if e.reason in TOO_MUCH), None)
        if beyond is not None and not reasons & PASSING:
            return self._too_much(beyond)
        why = self.plan.why_not_first() or next((e.detail for e in self.plan.excluded), "no candidate at all")
        counts, remedy = self._left_out(), "; ".join(self.plan.remedies)
        several = f"left out: {counts}" if len(self.plan.excluded) > 1 else ""
        told = "; ".join(filter(None, (why, several, remedy))) if reasons & WISHES else why
        if self.demand.pinned and reasons == {"capability"}:
            field = FieldViolation("intent.model", why)
            return MeshError(Reason.INVALID_REQUEST, why, fields=[field], details=self._details())
        return MeshError(
            Reason.NO_OFFER,
            told,
            code="UNAVAILABLE" if reasons & PASSING else "FAILED_PRECONDITION",
            metadata={"first_reason": why, "left_out": counts, "remedy": remedy},
            details=self._details(),
        )

    def _left_out(self) -> str:
        """Say how many offers each reason has left out, the most frequent first."""
        reasons = Counter(exclusion.reason for exclusion in self.plan.excluded).most_common()
        return ", ".join(f"{number} {reason}" for reason, number in reasons)

    def _rejected(self) -> MeshError:
        """Make the error for a request whose every offer has a key its vendor rejected: no quota is the matter."""
        text = why_denied(self.denials[0])
        return MeshError(Reason.VENDOR_AUTH, text, retry_after=self._soonest(), details=self._details())

    def _too_much(self, beyond: Exclusion) -> MeshError:
        reason, words = TOO_MUCH[beyond.reason]
        content = "texts" if self.demand.embeds else "prompt.messages"
        field = FieldViolation("dimensions" if beyond.reason == "dimensions" else content, f"{words}: {beyond.detail}")
        return MeshError(reason, field.description, fields=[field], details=self._details())

    def _exhausted(self) -> MeshError:
        violations = [_violation(denial) for denial in self.denials]
        violations += [QuotaViolation(attempt.offer_text, attempt.message) for attempt in self.attempts]
        return MeshError(
            Reason.BUDGET_EXHAUSTED,
            f"no budget has room: {violations[0].description}",
            quota=violations,
            retry_after=self._soonest(),
            details=self._details(),
        )

    def _soonest(self) -> float | None:
        waits = [durations.to_seconds(d.retry_after) for d in self.denials if d.HasField("retry_after")]
        waits += [attempt.retry_after for attempt in self.attempts if attempt.retry_after is not None]
        return min(waits, default=None)


def _cause(denial: quota_pb2.Denial) -> str:
    return CAUSES.get(denial.cause, "budget")


def _with_route(cause: MeshError, details: list[router_pb2.RouteFailure]) -> MeshError:
    return MeshError(
        cause.reason,
        cause.message,
        code=cause.code,
        fields=cause.fields,
        retry_after=cause.retry_after,
        details=details,
    )


def _violation(denial: quota_pb2.Denial) -> QuotaViolation:
    again = durations.to_seconds(denial.retry_after) if denial.HasField("retry_after") else None
    told = QuotaViolation(denial.budget, why_denied(denial), again=again)
    return replace(told, unit=denial.unit, limit=denial.limit, left=denial.left) if denial.unit else told


def why_denied(denial: quota_pb2.Denial) -> str:
    """Say why the ledger passed an offer over."""
    return WHY.get(denial.cause, "{0.budget} has {0.left} of {0.limit} {0.unit} left").format(denial)


def _attempt(attempt: Attempt) -> router_pb2.Attempt:
    told = router_pb2.Attempt(
        offer=attempt.offer_text,
        outcome=attempt.outcome,
        reason=attempt.reason,
        usage=attempt.usage,
        plan=attempt.planned.offer.plan,
        unmetered=attempt.unmetered,
    )
    if attempt.ended is not None:
        told.duration.CopyFrom(durations.to_proto(attempt.ended - attempt.began))
    if attempt.first_token_at is not None:
        told.first_token.CopyFrom(durations.to_proto(attempt.first_token_at - attempt.began))
    return told
