"""One call to one offer: what it held, what came of it, and what is charged for it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from catalog.model import cost_nanos
from meshkit.errors import MeshError
from router_service.breakers import Passage
from router_service.estimate import text_tokens
from router_service.planner import Planned
from router_service.probes import Probe

SERVED = "served"
OUTCOMES = {
    SERVED: quota_pb2.OUTCOME_SERVED,
    "failed": quota_pb2.OUTCOME_FAILED,
    "unknown": quota_pb2.OUTCOME_UNKNOWN,
    "cancelled": quota_pb2.OUTCOME_CANCELLED,
    "released": quota_pb2.OUTCOME_RELEASED,
}
SENT = provider_pb2.AttemptFailure
OUTCOME_OF_SENT = {SENT.SENT_NOTHING: "released", SENT.SENT_ANSWERED: "failed"}


@dataclass(slots=True)
class Attempt:
    """A call under way or over. `committed` once a piece of its answer was forwarded to the caller.

    Moments are monotonic seconds; `usage` is complete once `outcome` is set; `passage` is what breakers were told,
    `probe` what is held because one of them waits for its end; `retry_after` is how long the vendor asked to be left
    alone, `lease` how long its hold lives unless it is extended, 0 when it need not be, both in seconds; `unmetered`
    says that nothing is held, for the ledger is silent.
    """

    id: str
    planned: Planned
    began: float
    first_token_at: float | None = None
    ended: float | None = None
    committed: bool = False
    passage: Passage | None = None
    probe: Probe | None = None
    lease: float = 0.0
    unmetered: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    received_bytes: int = 0
    outcome: str = ""
    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    usage: chat_pb2.Usage = field(default_factory=chat_pb2.Usage)

    @property
    def offer_text(self) -> str:
        """Return "vendor/model#slot"."""
        return self.planned.offer.text

    def leases(self) -> Iterator[tuple[str, float]]:
        """Give what must be kept alive while the call lasts, each with how long it lives, in seconds."""
        yield self.id, self.lease
        if self.probe is not None:
            yield from ((attempt_id, self.probe.lease) for attempt_id in self.probe.holds)

    def note(self, deltas: provider_pb2.StreamGenerateResponse.Deltas, now: float) -> None:
        """Pieces of an answer arrived; the first token is the first one with something in it."""
        self.received_bytes += sum(_piece_bytes(delta) for delta in deltas.deltas)
        if self.first_token_at is None and self.received_bytes:
            self.first_token_at = now

    def note_whole(self, completion: chat_pb2.Completion) -> None:
        """A whole answer arrived."""
        self.received_bytes += sum(part.ByteSize() for choice in completion.choices for part in choice.parts)

    def serve(self, usage: chat_pb2.Usage, now: float) -> None:
        """The answer is complete."""
        self._end(SERVED, now, self._whole(usage))

    def fail(self, error: MeshError, now: float) -> None:
        """The vendor, or the way to it, failed."""
        failure = error.detail(provider_pb2.AttemptFailure) or provider_pb2.AttemptFailure()
        # Whatever is said of it: what came with pieces of an answer was sent and is worth money.
        outcome = "unknown" if self.received_bytes else OUTCOME_OF_SENT.get(failure.sent, "unknown")
        self.reason, self.message, self.retry_after = error.reason.value, error.message, error.retry_after
        usage = chat_pb2.Usage() if outcome == "released" else self._counted(failure.usage)
        if outcome == "unknown":
            usage = self._partial(failure.usage)
        self._end(outcome, now, usage)

    def cancel(self, now: float) -> None:
        """The caller went away."""
        self._end("cancelled", now, self._partial(chat_pb2.Usage()))

    def settle(self) -> quota_pb2.Settle:
        """Return the ledger operation that ends this attempt's hold."""
        amounts = quota_pb2.Amounts(
            requests=self._requests(),
            input_tokens=self.usage.input_tokens,
            output_tokens=self.usage.output_tokens,
            cost_nanos=self.usage.cost_nanos,
        )
        return quota_pb2.Settle(
            attempt_id=self.id,
            outcome=OUTCOMES[self.outcome],
            amounts=amounts,
            unpriced=self.usage.unpriced,
            labels=dict(self.labels),
        )

    def _requests(self) -> int:
        """Count the call against the vendor's quota, unless it was not sent or was an error that is not counted."""
        offer = self.planned.offer
        free = self.outcome == "failed" and not offer.vendor.plans[offer.plan].errors_count
        return 0 if free or self.outcome == "released" else self.planned.requests

    def _end(self, outcome: str, now: float, usage: chat_pb2.Usage) -> None:
        self.outcome, self.ended, self.usage = outcome, now, usage

    def _whole(self, usage: chat_pb2.Usage) -> chat_pb2.Usage:
        if usage.input_tokens or usage.output_tokens:
            return self._counted(usage)
        return self._partial(usage)  # an answer without counts: zero would be free of charge

    def _partial(self, told: chat_pb2.Usage) -> chat_pb2.Usage:
        """What may have been spent: what the vendor told, else estimated input and received output."""
        usage = chat_pb2.Usage()
        usage.CopyFrom(told)
        usage.input_tokens = told.input_tokens or self.planned.input_tokens
        usage.output_tokens = max(told.output_tokens, text_tokens(self.received_bytes))
        heard = (told.input_tokens, told.output_tokens) == (usage.input_tokens, usage.output_tokens)
        usage.estimated = told.estimated or not heard
        return self._counted(usage)

    def _counted(self, usage: chat_pb2.Usage) -> chat_pb2.Usage:
        priced = chat_pb2.Usage()
        priced.CopyFrom(usage)
        offer = self.planned.offer
        sizes = (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens)
        if offer.price is not None:
            priced.cost_nanos = cost_nanos(offer.price, *sizes)
        elif any(sizes):  # an error without tokens costs nothing, whatever the price is
            priced.cost_nanos, priced.unpriced = self.planned.cost, True
        if offer.model.price is not None:
            priced.list_cost_nanos = cost_nanos(offer.model.price, *sizes)
        return priced


def _piece_bytes(delta: chat_pb2.Delta) -> int:
    kind = delta.WhichOneof("piece")
    if kind == "tool_call":
        return len(delta.tool_call.name) + len(delta.tool_call.arguments_json)
    if kind in (None, "citation"):
        return 0
    return len(getattr(delta, kind).encode())
