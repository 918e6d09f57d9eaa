"""`llm-mesh breaker`: lists breakers, forces one open or closed in the whole mesh, or leaves it to itself again."""

from enum import StrEnum
from typing import Annotated

import typer
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit


class Mode(StrEnum):
    """What may be wished for a breaker."""

    OPEN = "open"
    CLOSE = "close"
    AUTO = "auto"
    RESET = "reset"


MODES = {
    Mode.OPEN: router_pb2.BREAKER_MODE_OPEN,
    Mode.CLOSE: router_pb2.BREAKER_MODE_CLOSED,
    Mode.AUTO: router_pb2.BREAKER_MODE_AUTOMATIC,
    Mode.RESET: router_pb2.BREAKER_MODE_RESET,
}


def breaker(
    subject: Annotated[str, typer.Argument(metavar="[NAME]", help="A vendor, or vendor/model; none: list them.")] = "",
    mode: Annotated[
        Mode | None, typer.Argument(help="Force it open or closed, leave it to itself, or forget its failures.")
    ] = None,
    *,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """List breakers, or force one: nothing goes through an open one, everything through a closed one."""
    if subject and mode is None:
        raise typer.BadParameter("open, close, auto or reset is needed")
    outcome.run(show(address, subject, mode, as_json=as_json), as_json=as_json)


async def show(address: str, subject: str, mode: Mode | None, *, as_json: bool) -> Exit:
    """Force a breaker if one is named, and print it, or all of them."""
    async with session.router(address) as way:
        if mode is None:
            asked = way.stub.ListBreakers(
                router_pb2.ListBreakersRequest(), timeout=session.QUICK, metadata=way.metadata
            )
            breakers = list((await way.answer(asked)).breakers)
        else:
            request = router_pb2.SetBreakerRequest(subject=subject, mode=MODES[mode])
            told = await way.answer(way.stub.SetBreaker(request, timeout=session.QUICK, metadata=way.metadata))
            breakers = [told.breaker]
    if as_json:
        output.print_json({"breakers": [output.plain(each) for each in breakers]})
        return Exit.DONE
    table = output.table("breaker", "state", "tried again")
    for each in breakers:
        table.add_row(each.subject, each.state, output.moment(each.probe_at) if each.HasField("probe_at") else "")
    output.console().print(table)
    return Exit.DONE
