"""The command `llm-mesh`: which subcommands there are, and that only the one that is called is loaded."""

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import typer

from meshkit import process

# Each is a function in a module of its own, both of the command's name.
COMMANDS = (
    "up",
    "chat",
    "compare",
    "count",
    "explain",
    "status",
    "breaker",
    "doctor",
    "init",
    "models",
    "savings",
    "simulate",
    "demo",
    "conformance",
)
# Where the commands of a group are put together: module and name.
GROUPS = {
    "config": ("config", "app"),
    "vendors": ("group", "vendors"),
    "providers": ("group", "vendors"),
    "bench": ("bench", "app"),
    "ledger": ("ledger.group", "ledger"),
    "keys": ("keys.group", "keys"),
    "serve": ("serve", "app"),
    "catalog": ("catalog", "app"),
}
OLD_NAMES = ("providers",)


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """Build the command line.

    Args:
        words: what was typed after `llm-mesh`. When they begin with a command, it is the only one loaded: the others
            would take half a second and the memory of every service.
    """
    app = typer.Typer(
        name="llm-mesh",
        help="One address in front of every LLM vendor: budgets held, streams honest, routes explained.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nothing)
    named = {words[0]} & {*COMMANDS, *GROUPS} if words else set()
    for name in COMMANDS:
        if not named or name in named:
            app.command()(_loaded(name, name))
    for name, (module, group) in GROUPS.items():
        if not named or name in named:
            app.add_typer(_loaded(module, group), name=name, hidden=name in OLD_NAMES)
    return app


def main() -> None:
    """Run the command line."""
    process.collect_rarely()  # what is loaded stays: looking through it again and again takes a tenth of the start
    command_line(sys.argv[1:])()


def _nothing() -> None:
    """Do nothing; a command line that has this takes its first word for a command, even if it knows but one."""


def _loaded(module: str, name: str) -> Any:
    """Return a command, or a group of them."""
    return getattr(importlib.import_module(f"llm_mesh.cli.{module}"), name)
