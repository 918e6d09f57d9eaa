"""`llm-mesh ledger override`: lets other limits count than the declared ones, for a while, and says whose they are."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.quota.v1 import quota_pb2 as pb

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.ledger.target import amount, matching, until
from llm_mesh.cli.outcome import Exit

BY_HAND = "set on the command line"
Target = Annotated[
    str, typer.Argument(metavar="BUDGET", help="A budget's id, or what ids begin with: a vendor, an account, tenant/…")
]
Author = Annotated[str, typer.Option(metavar="NAME", help="Who does it; by default who is logged in.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why.")]


@dataclass(frozen=True, slots=True)
class Wish:
    """Which limit shall count: a limit, or what shall be left; until when; whose wish it is and why."""

    limit: str | None = None
    left: str | None = None
    until: str = ""
    author: str = ""
    reason: str = BY_HAND


def set_(
    budget: Target,
    *,
    limit: Annotated[str | None, typer.Option(metavar="AMOUNT", help="The limit; money in US dollars.")] = None,
    left: Annotated[str | None, typer.Option(metavar="AMOUNT", help="What shall be left of it from now on.")] = None,
    until: Annotated[str, typer.Option(metavar="WHEN", help="reset, 30m, 2h, 7d or a moment; else for ever.")] = "",
    author: Author = "",
    reason: Reason = BY_HAND,
    clear: Annotated[bool, typer.Option("--clear", help="Remove what was set, as `remove` does.")] = False,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Let another limit count for a budget, or for all of a vendor; what is held stays held."""
    if clear:
        outcome.run(take_back(budget, author, reason, quota, as_json=as_json), as_json=as_json)
    if (limit is None) == (left is None):
        raise typer.BadParameter("one of --limit and --left is needed")
    wish = Wish(limit, left, until, author, reason)
    outcome.run(overrule(budget, wish, quota, as_json=as_json), as_json=as_json)


def list_(*, quota: options.QuotaAddress = options.QUOTA, as_json: options.Json = False) -> None:
    """List the limits that count instead of declared ones: whose, why, until when."""
    outcome.run(show(quota, as_json=as_json), as_json=as_json)


def remove(
    budget: Target,
    *,
    author: Author = "",
    reason: Reason = BY_HAND,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Let the declared limits count again."""
    outcome.run(take_back(budget, author, reason, quota, as_json=as_json), as_json=as_json)


async def overrule(target: str, wish: Wish, address: str, *, as_json: bool) -> Exit:
    """Set overrides and tell how the budgets stand then."""
    async with session.quota(address) as way:
        standing = await _standing(way)
        meant = _meant(target, standing)
        told = [
            await way.answer(way.stub.SetOverride(_request(budget, wish, standing.now), timeout=session.QUICK))
            for budget in meant
        ]
    _tell([each.budget for each in told], as_json=as_json)
    return Exit.DONE


async def take_back(target: str, author: str, reason: str, address: str, *, as_json: bool) -> Exit:
    """Remove overrides and tell how the budgets stand then."""
    async with session.quota(address) as way:
        ids = matching(target, [override.budget for override in (await _standing(way)).overrides])
        if not ids:
            raise typer.BadParameter(f"nothing overrules a limit of {target}; `llm-mesh ledger override list`")
        requests = [pb.RemoveOverrideRequest(budget=each, author=author or _me(), reason=reason) for each in ids]
        told = [await way.answer(way.stub.RemoveOverride(request, timeout=session.QUICK)) for request in requests]
    _tell([each.budget for each in told if each.HasField("budget")], as_json=as_json)
    return Exit.DONE


async def show(address: str, *, as_json: bool) -> Exit:
    """Print the overrides beside what is declared."""
    async with session.quota(address) as way:
        standing = await _standing(way)
    known = {budget.id: budget for budget in standing.budgets}
    if as_json:
        output.print_json({"overrides": [_plain(each, known.get(each.budget)) for each in standing.overrides]})
        return Exit.DONE
    table = output.table("budget", "counts", "declared", "until", "by", "reason", numbers=("counts", "declared"))
    for each in standing.overrides:
        declared = known.get(each.budget)
        unit = each.budget.rsplit("/", 2)[-2]
        table.add_row(
            each.budget,
            output.amount(each.limit, unit),
            output.amount(declared.declared_limit, unit) if declared else "not declared",
            _ends(each),
            f"{each.author}, {output.moment(each.made_at)}",
            each.reason,
        )
    output.console().print(table if standing.overrides else "every declared limit counts")
    return Exit.DONE


async def _standing(way: session.Session) -> pb.GetBudgetsResponse:
    standing: pb.GetBudgetsResponse = await way.answer(
        way.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=session.QUICK)
    )
    return standing


def _meant(target: str, standing: pb.GetBudgetsResponse) -> list[pb.BudgetState]:
    """Return the budgets a word means; of several, places of concurrency are not meant."""
    ids = matching(target, [budget.id for budget in standing.budgets])
    found = [budget for budget in standing.budgets if budget.id in ids]
    if len(found) > 1:
        found = [budget for budget in found if budget.unit != "concurrency"]
    if not found:
        raise typer.BadParameter(f"no budget is called {target} or begins so; `llm-mesh ledger top --once` lists them")
    return found


def _request(budget: pb.BudgetState, wish: Wish, now: Timestamp) -> pb.SetOverrideRequest:
    if wish.left is None:
        limit = amount(wish.limit or "", budget.unit)
    else:
        left = amount(wish.left, budget.unit)
        limit = left + budget.used + budget.held + budget.external if left else 0
    return pb.SetOverrideRequest(
        budget=budget.id,
        limit=limit,
        author=wish.author or _me(),
        reason=wish.reason,
        expires_at=until(wish.until, budget, now),
    )


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _tell(budgets: Sequence[pb.BudgetState], *, as_json: bool) -> None:
    if as_json:
        output.print_json({"budgets": [output.plain(budget) for budget in budgets]})
        return
    columns = ("limit", "declared", "used", "held", "left")
    table = output.table("budget", *columns, numbers=columns)
    for budget in budgets:
        figures = (budget.limit, budget.declared_limit, budget.used, budget.held, budget.left)
        table.add_row(budget.id, *(output.amount(figure, budget.unit) for figure in figures))
    output.console().print(table)


def _ends(override: pb.Override) -> str:
    return output.moment(override.expires_at) if override.HasField("expires_at") else "for ever"


def _plain(override: pb.Override, budget: pb.BudgetState | None) -> dict[str, object]:
    return {**output.plain(override), "declared_limit": budget.declared_limit if budget else None}
