"""`llm-mesh bench vendors`: how fast, how good and how dear each model is, measured by ten questions asked for real."""

from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

import typer
from llmmesh.router.v1 import router_pb2
from rich.table import Table

from llm_mesh.checks import crew, figures, models
from llm_mesh.checks.ask import Question, Reply, ask
from llm_mesh.checks.figures import Measured, Times
from llm_mesh.checks.questions import QuestionRow, questions, wrong
from llm_mesh.cli import check, options, outcome, output, session
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.progress import Meter
from meshkit.errors import StartError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure vendors with real calls.")
NUMBERS = ("first token", "first p95", "seconds", "p95", "tokens/s", "quality", "passed", "cost", "relative cost")


@dataclass(frozen=True, slots=True)
class Trial:
    """One question, to be asked of one model."""

    name: str
    row: QuestionRow
    question: Question

    @property
    def vendor(self) -> str:
        """Return who is asked."""
        return self.question.vendor


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be measured."""

    vendors: tuple[str, ...] = ()
    rounds: int = 1
    timeout: float = 60.0
    patience: float = 0.0


@app.command()
def vendors(
    names: check.Names = None,
    *,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="How often each question is asked.")] = 1,
    timeout: check.Timeout = 60.0,
    wait: check.Patience = 0.0,
    sandbox: check.Sandbox = False,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Ask every model ten questions and compare times, quality and cost; the calls are real and cost what they cost."""
    wish = Wish(tuple(names or ()), rounds, timeout, wait)
    outcome.run(show(wish, address, sandboxed=sandbox, as_json=as_json), as_json=as_json)


async def show(wish: Wish, address: str, *, sandboxed: bool, as_json: bool) -> Exit:
    """Measure, and tell of it; an interruption tells of what is done so far."""
    async with check.mesh_at(address, sandboxed=sandboxed) as reached, session.router(reached) as way:
        listed = [model for model in await models.fetch(way, wish.vendors) if models.answers(model)]
        if not listed:
            whom = ", ".join(wish.vendors) or "any vendor"
            raise StartError(f"no model of {whom} can be asked (`llm-mesh vendors` says why)")
        measured = {model.id: Measured(model.id, models.list_price(model)) for model in listed}
        finished = False
        try:
            await _measure(wish, way, listed, measured)
            finished = True
        finally:
            _tell(list(measured.values()), finished=finished, as_json=as_json)
    return Exit.DONE if _went_well(measured.values()) else Exit.FAILED


def _went_well(measured: Iterable[Measured]) -> bool:
    """Tell whether something was measured and every model that was asked has answered at least once."""
    asked = [each for each in measured if each.asked]
    return bool(asked) and all(each.answered for each in asked)


async def _measure(
    wish: Wish, way: session.Session, listed: Iterable[router_pb2.Model], measured: dict[str, Measured]
) -> None:
    trials = [
        Trial(name, row, Question(model.id, row.prompt(), timeout=wish.timeout, patience=wish.patience))
        for model in listed
        for _ in range(wish.rounds)
        for name, row in questions().items()
    ]

    async def one(trial: Trial) -> tuple[Trial, Reply]:
        return trial, await ask(way, trial.question)

    with Meter("questions", len(trials)) as meter:
        async with aclosing(crew.spread(trials, one, per_vendor=1)) as replies:
            async for trial, reply in replies:
                meter.advance()
                measured[trial.question.model].add(trial.name, reply, wrong(trial.row, reply))


def _tell(measured: list[Measured], *, finished: bool, as_json: bool) -> None:
    relative = figures.relative_costs(measured)
    if as_json:
        rows = [each.plain(relative[each.model]) for each in measured]
        output.print_json({"finished": finished, "models": rows})
        return
    console = output.console()
    console.print(_table(measured, relative))
    console.print("\nquality: the share of the questions passed, on a scale to 5; relative cost: the list price, (3 x")
    console.print("input + output) / 4, beside the cheapest model here that has one. --json says what was wrong.")
    if not finished:
        console.print("\nInterrupted: this is what was measured until then.")


def _table(measured: list[Measured], relative: dict[str, float | None]) -> Table:
    table = output.table("vendor", "model", *NUMBERS, numbers=NUMBERS)
    for each in measured:
        vendor, _, model = each.model.partition("/")
        speed = each.tokens_per_second
        table.add_row(
            vendor,
            model,
            *_times(each.first_token),
            *_times(each.total),
            "" if speed is None else f"{speed:.1f}",
            "" if each.quality is None else f"{each.quality:g}",
            _passed(each),
            output.usd(each.cost_nanos),
            _relative(relative[each.model]),
        )
    return table


def _times(times: Times | None) -> tuple[str, str]:
    return ("", "") if times is None else (f"{times.mean:.2f}", f"{times.p95:.2f}")


def _passed(each: Measured) -> str:
    told = f"{each.passed}/{each.asked}"
    return f"{told} ({each.unasked} without quota)" if each.unasked else told


def _relative(cost: float | None) -> str:
    if cost is None:
        return "unknown"
    return f"{cost:.1f}x" if cost else "free"
