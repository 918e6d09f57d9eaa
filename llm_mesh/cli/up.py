"""`llm-mesh up`: the options of starting the whole mesh."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llm_mesh.cli import options, outcome
from llm_mesh.order import Manner, Order, Wishes
from llm_mesh.parent import die_with


class Ports(StrEnum):
    """How ports are chosen."""

    FIXED = "fixed"
    AUTO = "auto"


Listen = "HOST:PORT"


def up(
    *,
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Simulate all vendors; no key is needed.")] = False,
    isolated: Annotated[bool, typer.Option("--isolated", help="One process for each vendor.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the sandbox's ledger in var/sandbox.")] = False,
    router: Annotated[str, typer.Option(metavar=Listen, help="Where the router listens.")] = "",
    quota: Annotated[str, typer.Option(metavar=Listen, help="Where the quota service listens.")] = "",
    edge: Annotated[str, typer.Option(metavar=Listen, help="Where the HTTP edge listens.")] = "",
    simulator: Annotated[str, typer.Option(metavar=Listen, help="Where the simulated vendors listen.")] = "",
    port_base: Annotated[int, typer.Option(min=0, max=65_000, help="Use a block of ports from this one on.")] = 0,
    ports: Annotated[Ports, typer.Option(help="auto: choose free ports.")] = Ports.FIXED,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="mesh.yaml here by default.")] = None,
    logs: Annotated[bool, typer.Option("--logs", help="Write the services' logs to standard error.")] = False,
    parent: Annotated[int, typer.Option(hidden=True, help="End with this process.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Start the mesh and keep it running until Ctrl-C or SIGTERM."""
    die_with(parent)
    wishes = Wishes(router, quota, edge, simulator, port_base, free_ports=ports is Ports.AUTO)
    order = Order(wishes, config, sandbox=sandbox, isolated=isolated)
    from llm_mesh.cli import running  # noqa: PLC0415 - half a second that no other command needs

    outcome.finish(lambda: running.run(order, Manner(logs, as_json), keep=keep), as_json=as_json)
