"""`llm-mesh compare`: asks several models the same at once, and shows their answers, times and costs side by side."""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import grpc
import typer
from llmmesh.router.v1 import router_pb2
from rich.console import Console
from rich.live import Live

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.contenders import Contender, side_by_side, table
from llm_mesh.cli.outcome import Exit
from meshkit.errors import MeshError

FRAMES_PER_SECOND = 8


def compare(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="1 to 8 models, by vendor/model or alias.")],
    *,
    use_case: options.UseCase = "",
    tier: options.TierOption = None,
    max_tokens: options.MaxTokens = None,
    temperature: options.Temperature = None,
    system: options.System = "",
    full: Annotated[bool, typer.Option("--full", help="Print the whole answers below the table.")] = False,
    label: options.Labels = None,
    timeout: options.Timeout = 60.0,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Ask several models at once; the exit code is 1 when none of them answers."""
    text = sys.stdin.read() if prompt == "-" else prompt
    request = router_pb2.CompareRequest(
        intent=options.intent(use_case, tier, labels=label),
        models=models,
        prompt=options.prompt(text, system, max_tokens=max_tokens, temperature=temperature),
    )
    outcome.run(show(request, address, full=full, timeout=timeout, as_json=as_json), as_json=as_json)


async def show(
    request: router_pb2.CompareRequest,
    address: str,
    *,
    full: bool = False,
    timeout: float = 60.0,
    as_json: bool = False,
) -> Exit:
    """Ask, show the answers as they grow where there is a terminal, and print the comparison; an interruption, too."""
    contenders = [Contender(model) for model in request.models]
    console = output.console()
    try:
        async with session.router(address) as way:
            with _growing(contenders, console, shown=console.is_terminal and not as_json):
                await _ask(request, way, contenders, timeout)
    except asyncio.CancelledError:
        _tell(contenders, console, full=full, as_json=as_json)
        if not as_json:
            sys.stderr.write("llm-mesh: interrupted; all calls were cancelled\n")
        raise
    _tell(contenders, console, full=full, as_json=as_json)
    return Exit.DONE if any(each.answered for each in contenders) else Exit.FAILED


async def _ask(
    request: router_pb2.CompareRequest, way: session.Session, contenders: Sequence[Contender], timeout: float
) -> None:
    """Take the events; when the mesh gives up midway, that is what became of those who have no answer yet."""
    call = way.stub.Compare(request, timeout=timeout, metadata=way.metadata)
    try:
        async for event in call:
            contenders[event.place].take(event)
        ending: Exception = outcome.incomplete()
    except grpc.aio.AioRpcError as error:
        ending = way.explain(error)
    finally:
        call.cancel()
    if not isinstance(ending, MeshError) or not any(each.began for each in contenders):
        raise ending
    for each in (each for each in contenders if each.ended is None):
        each.failure = router_pb2.CompareResponse.Failure(reason=ending.reason.value, message=ending.message)


def _growing(contenders: Sequence[Contender], console: Console, *, shown: bool) -> AbstractContextManager[object]:
    """Show the answers while they grow; what is shown goes away at the end."""
    if not shown:
        return nullcontext()
    return Live(
        get_renderable=lambda: side_by_side(contenders),
        console=console,
        refresh_per_second=FRAMES_PER_SECOND,
        transient=True,
    )


def _tell(contenders: Sequence[Contender], console: Console, *, full: bool, as_json: bool) -> None:
    if as_json:
        output.print_json({"models": [each.plain() for each in contenders]})
        return
    console.print(table(contenders))
    for each in contenders:
        warnings = each.transcript.finish.warnings if each.transcript.finish else ()
        for warning in warnings:
            console.print(f"{each.model}: {warning.field} {warning.code}: {warning.message}")
    for each in contenders if full else ():
        console.print(f"\n{each.model}\n{each.error or each.text}")
