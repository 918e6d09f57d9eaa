"""Groups of commands: `llm-mesh vendors` lists by itself and has subcommands; `llm-mesh bench` has subcommands only."""

import typer

from llm_mesh.cli import check
from llm_mesh.cli import vendors as listing

vendors = typer.Typer(rich_markup_mode=None)
vendors.callback(invoke_without_command=True)(listing.vendors)
vendors.command()(check.check)
