"""Keeps the books of attempts: what came of each, and who must hear of it."""

from collections.abc import Iterable

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2

from meshkit.errors import MeshError, Reason
from router_service import observations, spans
from router_service.attempt import Attempt
from router_service.breakers import Passage
from router_service.order import Tools
from router_service.prompt_facts import PromptFacts
from router_service.stops import too_slow
from router_service.vendors import Event


class Books:
    """The books of one request; `facts` are what is known of its prompt."""

    def __init__(self, tools: Tools, facts: PromptFacts) -> None:
        self._tools = tools
        self._facts = facts

    def failed(self, attempt: Attempt, passage: Passage, error: MeshError) -> None:
        """Note a fault in the attempt's books, and tell whom it concerns."""
        now, offer, tools = self._tools.clock.monotonic(), attempt.planned.offer, self._tools
        attempt.fail(error, now)
        if error.reason is Reason.VENDOR_SILENT and spans.hurried(tools.timeouts, attempt, now):
            tools.breakers.abandoned(passage)
        else:
            tools.breakers.failed(passage, error)
        if error.reason is Reason.VENDOR_AUTH:
            tools.rejections.rejected(offer.ref.vendor, offer.slot)
        self._observe(observations.from_fault(attempt.offer_text, error, local=offer.vendor.local))

    def note(self, attempt: Attempt, event: Event) -> bool:
        """Keep the books of one event; tell whether it was the last."""
        now = self._tools.clock.monotonic()
        if isinstance(event, provider_pb2.EmbedResponse):
            self._served(attempt, event.usage, event.observations, now)
            return True
        if isinstance(event, provider_pb2.GenerateResponse):
            attempt.note_whole(event.completion)
            self._served(attempt, event.completion.usage, event.observations, now)
            return True
        if event.HasField("finish"):
            self._served(attempt, event.finish.usage, event.finish.observations, now)
            return True
        attempt.note(event.deltas, now)
        if spans.drips(self._tools.timeouts, attempt, now):
            raise too_slow(self._tools.timeouts.minimum_rate)
        return False

    def _served(
        self, attempt: Attempt, usage: chat_pb2.Usage, learned: Iterable[provider_pb2.Observation], now: float
    ) -> None:
        attempt.serve(usage, now)
        offer = attempt.planned.offer
        if offer.vendor.local:
            self._tools.estimator.answered(offer.model_text, now - attempt.began)
        if attempt.passage is not None:
            self._tools.breakers.served(attempt.passage, slow=spans.late(self._tools.timeouts, attempt))
        self._tools.retries.served()
        self._tools.rejections.served(offer.ref.vendor, offer.slot)
        self._observe(observations.from_answer(offer.text, learned))
        if not attempt.usage.estimated:
            counted = attempt.usage.input_tokens, attempt.usage.output_tokens
            self._tools.estimator.learn(self._facts, offer.model_text, *counted)

    def _observe(self, learned: Iterable[quota_pb2.Observe]) -> None:
        for observe in learned:
            self._tools.quota.observe(observe)
