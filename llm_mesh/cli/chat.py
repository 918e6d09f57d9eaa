"""`llm-mesh chat`: asks once, prints the answer as it comes, then how it was served and what it cost."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

import grpc
import typer
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import options, outcome, output, route, session
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.transcript import Transcript
from meshkit.errors import MeshError


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked and how the answer is wanted."""

    request: router_pb2.StreamGenerateRequest
    whole: bool = False
    quiet: bool = False
    show_reasoning: bool = False
    timeout: float = 60.0


def chat(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    *,
    use_case: options.UseCase = "",
    tier: options.TierOption = None,
    model: options.Models = None,
    strict: options.Strict = False,
    require: options.Requirements = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    system: options.System = "",
    whole: Annotated[bool, typer.Option("--whole", "--no-stream", help="Wait for the whole answer.")] = False,
    stream_guarantee: Annotated[
        options.Guarantee | None, typer.Option(help="What happens when a stream breaks.")
    ] = None,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Print the model's reasoning too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")] = False,
    label: options.Labels = None,
    timeout: options.Timeout = 60.0,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Ask for a completion; stream it; print its route and cost."""
    text = sys.stdin.read() if prompt == "-" else prompt
    intent = options.intent(use_case, tier, model or (), strict=strict, requirements=require, labels=label)
    if stream_guarantee:
        word = f"STREAM_GUARANTEE_{stream_guarantee.upper()}"
        intent.stream_guarantee = router_pb2.StreamGuarantee.Value(word)
    request = router_pb2.StreamGenerateRequest(
        intent=intent, prompt=options.prompt(text, system, max_tokens=max_tokens, temperature=temperature)
    )
    question = Question(request, whole=whole, quiet=quiet, show_reasoning=reasoning, timeout=timeout)
    outcome.run(ask(question, address, as_json=as_json), as_json=as_json)


async def ask(question: Question, address: str, *, as_json: bool) -> Exit:
    """Ask and print; an interruption says what had been received."""
    transcript = Transcript()
    async with session.router(address) as way:
        try:
            if question.request.intent.candidates:
                transcript.left_out = await _left_out(question, way)
            await (_whole if question.whole else _stream)(question, way, transcript, as_json=as_json)
        except MeshError as error:
            _print_failure(error, transcript, as_json=as_json)
            if as_json:
                return Exit.FAILED
            raise
        except asyncio.CancelledError:
            _print_interruption(transcript, as_json=as_json)
            raise
    _print_end(transcript, question, as_json=as_json)
    return Exit.DONE


async def _left_out(question: Question, way: session.Session) -> list[router_pb2.ExcludedOffer]:
    """Return which of the listed models nobody will be asked for, and why."""
    request = router_pb2.ExplainRouteRequest(intent=question.request.intent, prompt=question.request.prompt)
    call = way.stub.ExplainRoute(request, timeout=question.timeout, metadata=way.metadata)
    plan: router_pb2.ExplainRouteResponse = await way.answer(call)
    usable = {offer.offer.partition("#")[0] for offer in plan.offers}
    return [offer for offer in plan.excluded if offer.offer.partition("#")[0] not in usable]


async def _whole(question: Question, way: session.Session, transcript: Transcript, *, as_json: bool) -> None:
    request = router_pb2.GenerateRequest(intent=question.request.intent, prompt=question.request.prompt)
    call = way.stub.Generate(request, timeout=question.timeout, metadata=way.metadata)
    try:
        answer = await way.answer(call)
    finally:
        call.cancel()
    transcript.take(answer.completion, answer.route)
    if not as_json:
        _write("".join(transcript.reasoning if question.show_reasoning else ()) + "".join(transcript.text))


async def _stream(question: Question, way: session.Session, transcript: Transcript, *, as_json: bool) -> None:
    call = way.stub.StreamGenerate(question.request, timeout=question.timeout, metadata=way.metadata)
    try:
        async for event in call:
            _take(event, question, transcript, silent=as_json)
    except grpc.aio.AioRpcError as error:
        raise way.explain(error) from None
    finally:
        call.cancel()
    if transcript.finish is None:
        raise outcome.incomplete()


def _take(
    event: router_pb2.StreamGenerateResponse, question: Question, transcript: Transcript, *, silent: bool
) -> None:
    """Take one event of the stream and print what of it is for people."""
    if event.HasField("start"):
        if transcript.starts and not silent:
            _write(f"\n--- {transcript.offer} broke off; {event.start.offer} starts again ---\n")
        transcript.begin(event.start)
    elif event.HasField("finish"):
        transcript.finish = event.finish
    for delta in event.deltas.deltas:
        text = transcript.add(delta)
        if not silent:
            _write(delta.reasoning + text if question.show_reasoning else text)


def _print_end(transcript: Transcript, question: Question, *, as_json: bool) -> None:
    if as_json:
        output.print_json(transcript.plain())
        return
    _write("\n")
    finish = transcript.finish
    if question.quiet or finish is None:
        return
    warnings = [f"{warning.field} {warning.code}: {warning.message}" for warning in finish.warnings]
    told = [*_untried(transcript), *route.lines(finish.route, finish.usage)]
    for line in (*told, *(f"warning: {warning}" for warning in warnings)):
        _write(f"  {line}\n")


def _untried(transcript: Transcript) -> list[str]:
    return [f"{offer.offer.partition('#')[0]}: not tried, {offer.detail}" for offer in transcript.left_out]


def _print_failure(error: MeshError, transcript: Transcript, *, as_json: bool) -> None:
    failure = error.detail(router_pb2.RouteFailure)
    if as_json:
        output.print_json({"error": outcome.plain_error(error), **transcript.plain()})
        return
    if transcript.text:
        _write("\n")
    told = _untried(transcript)
    if failure is not None and failure.route.attempts:
        told += route.lines(failure.route, failure.partial_usage if failure.HasField("partial_usage") else None)
    for line in told:
        _write(f"  {line}\n")


def _print_interruption(transcript: Transcript, *, as_json: bool) -> None:
    received = len("".join(transcript.text))
    what = f"{received:,} characters from {transcript.offer}" if transcript.offer else "nothing"
    message = f"interrupted; received {what}; the call was cancelled"
    if as_json:
        output.print_json({"error": {"reason": "INTERRUPTED", "message": message}, **transcript.plain()})
    else:
        sys.stderr.write(f"\nllm-mesh: {message}\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
