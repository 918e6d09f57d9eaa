"""Asks one model one question through the mesh, or for vectors, and keeps what came back and how long it took."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import grpc
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.checks import content, form
from llm_mesh.checks.content import Content
from llm_mesh.cli import outcome, output
from llm_mesh.cli.session import Session
from meshkit.errors import MeshError, Reason

DENIALS = frozenset({Reason.BUDGET_EXHAUSTED, Reason.VENDOR_THROTTLED, Reason.VENDOR_QUOTA})
Event = router_pb2.StreamGenerateResponse


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of which model ("vendor/model") and how; `vectors` asks for that of the prompt's last text.

    `timeout` is the longest wait for the answer, `patience` the longest for a quota to have room again, in seconds.
    """

    model: str
    prompt: chat_pb2.Prompt
    streamed: bool = True
    vectors: bool = False
    timeout: float = 60.0
    patience: float = 0.0

    @property
    def vendor(self) -> str:
        """Return who is asked."""
        return self.model.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a question; times in seconds, `cost_nanos` is that of all attempts, `faults` are those of form."""

    question: Question
    seconds: float
    first_piece: float | None = None
    content: Content = field(default_factory=Content)
    finish: str = ""
    usage: chat_pb2.Usage = field(default_factory=chat_pb2.Usage)
    cost_nanos: int = 0
    vendor_model: str = ""
    faults: tuple[str, ...] = ()
    error: MeshError | None = None

    @property
    def outcome(self) -> str:
        """Return "ok"; "faulty" for an answer of the wrong form; "denied" when no quota had room; else "failed"."""
        if self.error is not None:
            return "denied" if _is_denial(self.error) else "failed"
        return "faulty" if self.faults else "ok"

    @property
    def tokens_per_second(self) -> float | None:
        """Return the output tokens over the whole time; None without an answer, or of vectors."""
        said = self.error is None and not self.question.vectors
        return self.usage.output_tokens / self.seconds if said and self.seconds > 0 else None

    @property
    def sentence(self) -> str:
        """Say in one line what came of it."""
        if self.error is None:
            return f"wrong form: {'; '.join(self.faults)}" if self.faults else "ok"
        wait = self.error.retry_after
        again = "" if wait is None else f"; try again in {output.seconds(wait)}"
        kind = "no quota" if self.outcome == "denied" else self.error.reason.value
        return f"{kind}: {self.error.message}{again}"


async def ask(way: Session, question: Question) -> Reply:
    """Ask, and again when a quota has room soon enough; every refusal is a reply.

    Raises:
        UnreachableError: the mesh is gone.
    """
    patience = question.patience
    while True:
        reply = await _ask(way, question)
        again = reply.error.retry_after if reply.error and reply.outcome == "denied" else None
        if again is None or again > patience:
            return reply
        patience -= again
        await asyncio.sleep(again)


async def _ask(way: Session, question: Question) -> Reply:
    began = time.monotonic()
    try:
        return await _way_of(question)(way, question, began)
    except MeshError as error:
        failure = error.detail(router_pb2.RouteFailure)
        cost = failure.route.total_cost_nanos if failure else 0
        return Reply(question, time.monotonic() - began, cost_nanos=cost, error=error)


def _way_of(question: Question) -> Callable[[Session, Question, float], Awaitable[Reply]]:
    if question.vectors:
        return _embedded
    return _streamed if question.streamed else _whole


async def _embedded(way: Session, question: Question, began: float) -> Reply:
    texts = [question.prompt.messages[-1].parts[0].text.text]
    request = router_pb2.EmbedRequest(intent=_intent(question), texts=texts)
    call = way.stub.Embed(request, timeout=question.timeout, metadata=way.metadata)
    try:
        response: router_pb2.EmbedResponse = await way.answer(call)
    finally:
        call.cancel()
    return Reply(
        question=question,
        seconds=time.monotonic() - began,
        usage=response.usage,
        cost_nanos=response.route.total_cost_nanos,
        vendor_model=response.vendor_model,
        faults=tuple(form.of_vectors(question.model, response)),
    )


async def _whole(way: Session, question: Question, began: float) -> Reply:
    request = router_pb2.GenerateRequest(intent=_intent(question), prompt=question.prompt)
    call = way.stub.Generate(request, timeout=question.timeout, metadata=way.metadata)
    try:
        response: router_pb2.GenerateResponse = await way.answer(call)
    finally:
        call.cancel()
    seconds = time.monotonic() - began
    completion = response.completion
    first = next((choice for choice in completion.choices if not choice.index), chat_pb2.Choice())
    said = content.of_parts(first.parts)
    return Reply(
        question=question,
        seconds=seconds,
        content=said,
        finish=_word(first.finish_reason),
        usage=completion.usage,
        cost_nanos=response.route.total_cost_nanos,
        vendor_model=completion.vendor_model,
        faults=tuple(form.of_whole(question.model, response, said)),
    )


async def _streamed(way: Session, question: Question, began: float) -> Reply:
    request = router_pb2.StreamGenerateRequest(intent=_intent(question), prompt=question.prompt)
    call = way.stub.StreamGenerate(request, timeout=question.timeout, metadata=way.metadata)
    events: list[Event] = []
    first_piece = None
    try:
        async for event in call:
            events.append(event)
            if first_piece is None and any(map(content.says_something, event.deltas.deltas)):
                first_piece = time.monotonic() - began
    except grpc.aio.AioRpcError as error:
        raise way.explain(error) from None
    finally:
        call.cancel()
    seconds = time.monotonic() - began
    said = content.of_deltas(delta for event in events for delta in event.deltas.deltas)
    finish = next((event.finish for event in events if event.HasField("finish")), None)
    if finish is None:
        raise outcome.incomplete()
    return Reply(
        question=question,
        seconds=seconds,
        first_piece=first_piece,
        content=said,
        finish=_word(next((choice.reason for choice in finish.choices if not choice.choice_index), 0)),
        usage=finish.usage,
        cost_nanos=finish.route.total_cost_nanos,
        vendor_model=finish.vendor_model,
        faults=tuple(form.of_stream(question.model, events, said)),
    )


def _intent(question: Question) -> router_pb2.Intent:
    return router_pb2.Intent(model=question.model, strict=True)


def _word(reason: int) -> str:
    return output.word(chat_pb2.FinishReason.DESCRIPTOR, reason)


def _is_denial(error: MeshError) -> bool:
    """Tell whether only quotas, or the plan of the key, kept the model from being asked; a rejected key does not."""
    failure = error.detail(router_pb2.RouteFailure) or router_pb2.RouteFailure()
    passed_over = set(failure.route.skipped)
    if error.reason in DENIALS:
        return passed_over != {"key_rejected"} or bool(failure.route.attempts)
    return error.reason is Reason.NO_OFFER and passed_over == {"plan"}
