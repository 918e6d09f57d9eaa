"""`llm-mesh vendors` as a group: it lists by itself, and has subcommands that check vendors and begin new ones."""

import typer

from llm_mesh.cli import check, new_vendor
from llm_mesh.cli import vendors as listing

vendors = typer.Typer(rich_markup_mode=None)
vendors.callback(invoke_without_command=True)(listing.vendors)
vendors.command()(check.check)
vendors.command()(new_vendor.new)
