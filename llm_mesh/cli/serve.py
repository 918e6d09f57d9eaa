"""`llm-mesh serve`: one service in this process, as the supervisor, Docker and Kubernetes start it."""

import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_mesh.parent import die_with

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Run one service in this process.")
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="The configuration; mesh.yaml here by default.")]
Parent = Annotated[int, typer.Option(hidden=True, help="End with this process.")]


@app.command()
def router(*, config: Config = None, parent: Parent = 0) -> None:
    """Serve the router and its HTTP edge."""
    die_with(parent)
    _launch().serve_router(config)


@app.command()
def quota(*, config: Config = None, parent: Parent = 0) -> None:
    """Serve the ledger."""
    die_with(parent)
    _launch().serve_quota(config)


@app.command()
def provider(
    vendors: Annotated[list[str], typer.Argument(help="The vendors to front, by id or alias.")],
    *,
    admin: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where the admin page is.")] = "",
    config: Config = None,
    parent: Parent = 0,
) -> None:
    """Serve provider services, one for each vendor named, each on its own port."""
    die_with(parent)
    _launch().serve_providers(config, vendors, admin)


@app.command()
def simulator(
    *,
    host: str = "127.0.0.1",
    port: int = 7490,
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="Laid over the simulator's own rows.")] = None,
    parent: Parent = 0,
) -> None:
    """Serve simulated vendors over HTTP."""
    die_with(parent)
    # The simulator is a witness of its own: it becomes this process, nothing of it is imported here.
    command = [sys.executable, "-m", "provider_services.simulator", "--host", host, "--port", str(port)]
    command += ["--config", str(config)] if config else []
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter, no shell


def _launch() -> Any:
    """Return what serves; loading it takes half a second that `llm-mesh --help` should not."""
    return importlib.import_module("llm_mesh.launch")
