"""`llm-mesh ledger top`: the budgets as they fill, with what will become of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.duration_pb2 import Duration
from llmmesh.quota.v1 import quota_pb2 as pb
from rich.console import Console
from rich.live import Live
from rich.table import Table

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit, UnreachableError
from meshkit.errors import MeshError

# As long as anybody looks at a screen; a watch lasts as long as its deadline.
A_WEEK = 7 * 86_400.0
FORECAST_EVERY = 5.0
WORDS = {
    pb.BudgetForecast.OUTLOOK_LASTS: "lasts",
    pb.BudgetForecast.OUTLOOK_RESETS_FIRST: "resets first",
    pb.BudgetForecast.OUTLOOK_USED_UP: "used up",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at, and how often."""

    prefix: str = ""
    every: float = 1.0
    everything: bool = False


@dataclass(slots=True)
class Seen:
    """How the budgets stand as far as has been told, and what was forecast of them."""

    budgets: dict[str, pb.BudgetState] = field(default_factory=dict)
    forecasts: dict[str, pb.BudgetForecast] = field(default_factory=dict)
    open_holds: int = 0

    def take(self, told: pb.WatchBudgetsResponse | pb.GetBudgetsResponse) -> None:
        """Take in what was told: all, or what has changed."""
        self.budgets.update({budget.id: budget for budget in told.budgets})
        self.open_holds = told.open_holds

    def foresee(self, told: pb.ForecastResponse) -> None:
        """Take in a forecast."""
        self.forecasts = {each.budget: each for each in told.budgets}


def top(
    prefix: Annotated[str, typer.Argument(metavar="[SUBJECT]", help="Only what begins so: a vendor, tenant/ …")] = "",
    *,
    once: Annotated[bool, typer.Option("--once", help="Print the table once and end, for scripts.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show budgets nothing is used of, too.")] = False,
    every: Annotated[
        float, typer.Option(min=0.1, max=60, metavar="SECONDS", help="Shortest time between looks.")
    ] = 1.0,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Show what is used, held and left of each budget as it changes, when it resets and whether it lasts.

    The forecast is a straight line at the faster of two paces: of the last minutes and of the window so far. Where the
    output is no terminal the table is printed once; with --json and without --once each change is a line.
    """
    wish, console = Wish(prefix, every, everything), output.console()
    if once or not (as_json or console.is_terminal):
        outcome.run(show(wish, quota, as_json=as_json), as_json=as_json)
    follow = lines(wish, quota) if as_json else live(wish, quota, console)
    outcome.run(follow, as_json=as_json)


async def show(wish: Wish, address: str, *, as_json: bool) -> Exit:
    """Print how the budgets stand."""
    async with session.quota(address) as way:
        request = pb.GetBudgetsRequest(prefix=wish.prefix)
        standing: pb.GetBudgetsResponse = await way.answer(way.stub.GetBudgets(request, timeout=session.QUICK))
        seen = Seen()
        seen.take(standing)
        await _foresee(way, wish, seen)
    if as_json:
        output.print_json(
            {"open_holds": seen.open_holds, "budgets": [_plain(each, seen) for each in _shown(seen, wish)]}
        )
    else:
        output.console().print(_table(seen, wish))
    return Exit.DONE


async def live(wish: Wish, address: str, console: Console) -> Exit:
    """Show the table and let it change, until the quota service ends or Ctrl-C."""
    seen = Seen()
    with Live(console=console, auto_refresh=False) as screen:
        async with session.quota(address) as way, _foreseeing(way, wish, seen):
            async for told in _watched(way, wish):
                seen.take(told)
                screen.update(_table(seen, wish), refresh=True)
    raise _ended(address)


async def lines(wish: Wish, address: str) -> Exit:
    """Print each change as a line of JSON, until the quota service ends or Ctrl-C."""
    async with session.quota(address) as way:
        async for told in _watched(way, wish):
            output.print_json(output.plain(told))
    raise _ended(address)


def _ended(address: str) -> UnreachableError:
    return UnreachableError(f"the quota service at {address} has stopped")


async def _watched(way: session.Session, wish: Wish) -> AsyncIterator[pb.WatchBudgetsResponse]:
    every = Duration()
    every.FromNanoseconds(int(wish.every * output.NANOS))
    request = pb.WatchBudgetsRequest(prefix=wish.prefix, every=every)
    try:
        async for told in way.stub.WatchBudgets(request, timeout=A_WEEK):
            yield told
    except grpc.aio.AioRpcError as error:
        raise way.explain(error) from None


@asynccontextmanager
async def _foreseeing(way: session.Session, wish: Wish, seen: Seen) -> AsyncIterator[None]:
    """Ask for the forecast every few seconds meanwhile; without one the table goes on."""

    async def ask() -> None:
        while True:
            with suppress(MeshError, UnreachableError):
                await _foresee(way, wish, seen)
            await asyncio.sleep(FORECAST_EVERY)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()


async def _foresee(way: session.Session, wish: Wish, seen: Seen) -> None:
    request = pb.ForecastRequest(prefix=wish.prefix)
    seen.foresee(await way.answer(way.stub.Forecast(request, timeout=session.QUICK)))


def _shown(seen: Seen, wish: Wish) -> list[pb.BudgetState]:
    """Return the budgets to show, the fullest first."""
    shown = [
        each for each in seen.budgets.values() if wish.everything or _share(each) or each.limit < each.declared_limit
    ]
    return sorted(shown, key=lambda each: (-_share(each), each.id))


def _share(budget: pb.BudgetState) -> float:
    taken = budget.used + budget.held + budget.external
    return taken / budget.limit if budget.limit else float(taken > 0)


def _table(seen: Seen, wish: Wish) -> Table:
    numbers = ("limit", "used", "held", "others", "left", "%")
    table = output.table("budget", *numbers, "resets", "forecast", numbers=numbers)
    shown = _shown(seen, wish)
    for budget in shown:
        figures = (budget.used, budget.held, budget.external, budget.left)
        table.add_row(
            budget.id,
            _limit(budget),
            *(output.amount(figure, budget.unit) for figure in figures),
            f"{100 * _share(budget):.0f}",
            output.moment(budget.resets_at) if budget.HasField("resets_at") else "",
            _outlook(seen.forecasts.get(budget.id)),
        )
    unused = len(seen.budgets) - len(shown)
    holds = output.count(seen.open_holds, "open hold")
    table.caption = f"{holds}; {output.count(unused, 'budget')} nothing is used of" if unused else holds
    table.caption_justify = "left"
    return table


def _limit(budget: pb.BudgetState) -> str:
    counts = output.amount(budget.limit, budget.unit)
    if budget.limit == budget.declared_limit:
        return counts
    return f"{counts} (declared {output.amount(budget.declared_limit, budget.unit)})"


def _outlook(forecast: pb.BudgetForecast | None) -> str:
    if forecast is None:
        return ""
    if forecast.HasField("exhausted_at"):
        return f"out {output.moment(forecast.exhausted_at)}"
    return WORDS.get(forecast.outlook, "")


def _plain(budget: pb.BudgetState, seen: Seen) -> dict[str, Any]:
    forecast = seen.forecasts.get(budget.id)
    return {**output.plain(budget), "forecast": None if forecast is None else output.plain(forecast)}
