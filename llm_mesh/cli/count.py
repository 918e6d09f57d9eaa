"""`llm-mesh count`: how many tokens a text is for each model, and what it would cost there; nothing is sent."""

import sys
from typing import Annotated

import typer
from llmmesh.router.v1 import router_pb2
from rich.table import Table

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit


def count(
    prompt: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    *,
    use_case: options.UseCase = "",
    tier: options.TierOption = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME", help="Count for this model; repeat for several."),
    ] = None,
    max_tokens: options.MaxTokens = None,
    system: options.System = "",
    embed: Annotated[bool, typer.Option("--embed", help="The text would be embedded, not answered.")] = False,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Estimate tokens and list price for the models named, or for those that would be tried."""
    text = sys.stdin.read() if prompt == "-" else prompt
    intent = options.intent(use_case, tier, model or (), strict=True)
    request = router_pb2.CountTokensRequest(intent=intent)
    if embed:
        request.texts.append(text)
    else:
        request.prompt.CopyFrom(options.prompt(text, system, max_tokens=max_tokens))
    outcome.run(show(request, address, as_json=as_json), as_json=as_json)


async def show(request: router_pb2.CountTokensRequest, address: str, *, as_json: bool) -> Exit:
    """Ask for the counts and print them."""
    async with session.router(address) as way:
        call = way.stub.CountTokens(request, timeout=session.QUICK, metadata=way.metadata)
        told: router_pb2.CountTokensResponse = await way.answer(call)
    if as_json:
        output.print_json(output.plain(told))
    else:
        output.console().print(_table(told))
    return Exit.DONE


def _table(told: router_pb2.CountTokensResponse) -> Table:
    numbers = ("in", "out at most", "list price", "context")
    table = output.table("model", *numbers, "estimated from", "would not serve", numbers=numbers)
    for each in told.counts:
        learned = output.count(each.learned_from, "answer")
        table.add_row(
            each.model,
            f"{each.input_tokens:,}",
            f"{each.output_tokens:,}",
            output.usd(each.list_cost_nanos) if each.HasField("list_cost_nanos") else "unknown",
            f"{each.context_window:,}" if each.context_window else "unknown",
            f"its last {learned}" if each.learned_from else "sizes alone",
            each.left_out,
        )
    return table
