"""`llm-mesh models`: the models, their price, what they can do, and who serves in a retired one's place."""

from typing import Annotated

import typer
from llmmesh.router.v1 import router_pb2
from rich.table import Table

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit


def models(
    *,
    vendor: Annotated[str, typer.Option(metavar="NAME", help="Only this vendor.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Also models of vendors without a key.")] = False,
    retired: Annotated[bool, typer.Option("--retired", help="Only retired models, with their successors.")] = False,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """List the models."""
    request = router_pb2.ListModelsRequest(vendor=vendor, all=everything or retired)
    outcome.run(show(request, address, retired=retired, as_json=as_json), as_json=as_json)


async def show(request: router_pb2.ListModelsRequest, address: str, *, retired: bool, as_json: bool) -> Exit:
    """Ask for the models and print them."""
    async with session.router(address) as way:
        call = way.stub.ListModels(request, timeout=session.QUICK, metadata=way.metadata)
        answer: router_pb2.ListModelsResponse = await way.answer(call)
    listed = [model for model in answer.models if not retired or model.status == "retired"]
    if as_json:
        output.print_json({"models": [output.plain(model) for model in listed]})
        return Exit.DONE
    console = output.console()
    console.print(_ended(listed) if retired else _table(listed))
    console.print(f"\n{output.count(len(listed), 'model')}")
    return Exit.DONE


def _table(listed: list[router_pb2.Model]) -> Table:
    numbers = ("input/1M", "output/1M", "context")
    table = output.table("model", "status", "key", *numbers, "can", numbers=numbers)
    for model in listed:
        table.add_row(
            model.id,
            model.status,
            "yes" if model.usable else "no",
            output.usd(model.input_price_nanos) if model.HasField("input_price_nanos") else "unknown",
            output.usd(model.output_price_nanos) if model.HasField("output_price_nanos") else "unknown",
            f"{model.context_window:,}" if model.context_window else "",
            ", ".join(model.capabilities),
        )
    return table


def _ended(listed: list[router_pb2.Model]) -> Table:
    table = output.table("model", "ended", "served in its place by")
    for model in listed:
        table.add_row(model.id, model.retired_on, model.successor or "nobody")
    return table
