"""`llm-mesh doctor`: what is wrong here, and what to do about it; or a checklist, each item a tick or what to do."""

import asyncio
import os
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import typer
from rich.text import Text

from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.doctor.checklists import EVERYDAY, checklists
from llm_mesh.doctor.checks import Finding, examine
from llm_mesh.doctor.evidence import Where, gather


class Profile(StrEnum):
    """Which checklist."""

    MINIMAL = "minimal"
    COMPLETE = "complete"
    PRODUCTION = "production"
    FREE = "free"


def doctor(
    *,
    profile: Annotated[Profile | None, typer.Option(help="A checklist instead of what is usually looked at.")] = None,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Say what is wrong and what to do; the exit code is 1 when anything is. Spends nothing."""
    name = profile or EVERYDAY
    outcome.finish(lambda: asyncio.run(show(name, Where(address, os.environ), as_json=as_json)), as_json=as_json)


async def show(profile: str, where: Where, *, as_json: bool) -> Exit:
    """Look, and tell what was found."""
    found = list(examine(await gather(where), checklists().items(profile)))
    if as_json:
        output.print_json(
            {"profile": profile, "well": not any(each.fails for each in found), "findings": _plain(found)}
        )
    else:
        _print(found)
    return Exit.FAILED if any(each.fails for each in found) else Exit.DONE


def _plain(found: Iterable[Finding]) -> list[dict[str, object]]:
    return [
        {
            "what": each.what,
            "well": each.well,
            "optional": each.optional,
            "detail": each.detail,
            "advice": each.advice,
        }
        for each in found
    ]


def _print(found: list[Finding]) -> None:
    console = output.console()
    table = output.table("", "what", "found", "what to do")
    for each in found:
        table.add_row(_mark(each), each.what, each.detail, each.advice)
    console.print(table)
    wrong = sum(each.fails for each in found)
    console.print(f"\n{output.count(wrong, 'thing')} to do" if wrong else "\nall is well")


def _mark(finding: Finding) -> Text:
    if finding.well:
        return Text("✓", style="green")
    return Text("✗", style="red") if finding.fails else Text("-", style="yellow")
