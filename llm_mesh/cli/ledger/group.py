"""`llm-mesh ledger` as a group: which subcommands there are."""

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from llm_mesh.cli.ledger import override, spend, top, transfer, verify


class OverrideGroup(TyperGroup):
    """Takes `override TARGET …` for `override set TARGET …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `set` in front when the first word is no subcommand and no option."""
        return super().parse_args(ctx, _with_set(args, list(self.commands)))


def _with_set(words: Sequence[str], known: Sequence[str]) -> list[str]:
    if words and words[0] not in known and not words[0].startswith("-"):
        return ["set", *words]
    return list(words)


overrides = typer.Typer(
    cls=OverrideGroup, help="Set, list or remove limits that count instead of declared ones.", no_args_is_help=True
)
overrides.command(name="set")(override.set_)
overrides.command(name="list")(override.list_)
overrides.command()(override.remove)

ledger = typer.Typer(help="Watch, check and steer the budgets.", no_args_is_help=True)
ledger.command()(verify.verify)
ledger.command()(top.top)
ledger.command()(spend.spend)
ledger.command()(transfer.export)
ledger.command(name="import")(transfer.import_)
ledger.add_typer(overrides, name="override")
