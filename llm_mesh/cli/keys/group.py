"""`llm-mesh keys` as a group: which subcommands there are."""

import typer

from llm_mesh.cli.keys import commands

keys = typer.Typer(help="Make, list, revoke and rotate the keys of callers.", no_args_is_help=True)
keys.command()(commands.create)
keys.command(name="list")(commands.list_)
keys.command()(commands.revoke)
keys.command()(commands.rotate)
