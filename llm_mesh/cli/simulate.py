"""`llm-mesh simulate`: what would become of so many requests, by the real plans and the real rules of the ledger."""

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.progress import Meter

if TYPE_CHECKING:
    from llm_mesh.simulation.scenario import Scenario

NOON = dt.time(12)
SPAN = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>[smhd])")
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST_SPAN = 31 * UNITS["d"]


def _span(text: str) -> float:
    """Read a length of time; return its seconds."""
    found = SPAN.fullmatch(text)
    seconds = float(found["count"]) * UNITS[found["unit"]] if found else -1.0
    if not 0 <= seconds <= LONGEST_SPAN:
        raise typer.BadParameter(f"`{text}`; allowed: a number and s, m, h or d, up to 31d", param_hint="--over")
    return seconds


def _moment(text: str) -> float:
    """Read a day, which means its noon, or a moment; without a zone it is UTC. Return Unix seconds."""
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        allowed = "allowed: 2026-01-31 or 2026-01-31T23:59:30"
        raise typer.BadParameter(f"`{text}`; {allowed}", param_hint="--at") from None
    if len(text) <= len("2026-01-31"):
        read = dt.datetime.combine(read, NOON)
    return (read if read.tzinfo else read.replace(tzinfo=dt.UTC)).timestamp()


ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", exists=True, dir_okay=False, help="A mesh.yaml.")]
Requests = Annotated[int, typer.Option("--requests", "-n", min=1, max=10_000_000, metavar="N", help="How many.")]
Strategy = Annotated[str, typer.Option(metavar="NAME", help="Order the offers by this strategy.")]
SpreadShare = Annotated[
    int, typer.Option(min=0, metavar="N", help="With spread: requests a day of each account before the next one.")
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at",
        metavar="DAY",
        help="When they begin to arrive: a day (at noon) or a moment, UTC. Several follow one another on one ledger.",
    ),
]
Over = Annotated[str, typer.Option(metavar="TIME", help="How long they take to arrive: 1m, 24h …")]
Callers = Annotated[int, typer.Option(min=1, max=10_000, metavar="N", help="How many are under way at one time.")]
InputTokens = Annotated[int, typer.Option(min=1, metavar="N", help="Tokens of a prompt.")]
OutputTokens = Annotated[int, typer.Option(min=1, metavar="N", help="Tokens of an answer.")]
Estimates = Annotated[float, typer.Option(min=0.01, max=100, metavar="F", help="They are estimated at so many times.")]


def simulate(
    scenario: ScenarioFile,
    *,
    requests: Requests = 1_000,
    strategy: Strategy = "",
    spread_share: SpreadShare = 0,
    use_case: options.UseCase = "",
    tier: options.TierOption = None,
    at: At = None,
    over: Over = "1m",
    callers: Callers = 16,
    input_tokens: InputTokens = 200,
    output_tokens: OutputTokens = 300,
    estimates: Estimates = 1.0,
    as_json: options.Json = False,
) -> None:
    """Say what would become of so many requests: real plans and real ledger rules in virtual time, and no network.

    Every vendor that is not switched off has its keys and answers at once; the budgets are whole at first.
    """
    seconds = _span(over)
    starts = [_moment(text) for text in at or [f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"]]
    tiers = router_pb2.Tier.Value(f"TIER_{tier.upper()}") if tier else router_pb2.TIER_UNSPECIFIED

    def simulated() -> Exit:
        # Half a second that no other command needs.
        from llm_mesh.simulation.scenario import Wanted, load  # noqa: PLC0415

        wanted = Wanted(
            use_case, strategy, spread_share, tiers, input_tokens, output_tokens, estimates, callers, seconds
        )
        return _run(load(scenario, os.environ, wanted), starts, requests, as_json=as_json)

    outcome.finish(simulated, as_json=as_json)


def _run(scenario: "Scenario", starts: list[float], requests: int, *, as_json: bool) -> Exit:
    from llm_mesh.simulation import report  # noqa: PLC0415
    from llm_mesh.simulation.run import Simulation  # noqa: PLC0415

    simulation = Simulation(scenario)
    with Meter("simulating", requests * len(starts)) as meter:
        found = [simulation.run(start, requests, meter.advance) for start in starts]
    if as_json:
        output.print_json({"runs": [report.plain(scenario, each) for each in found]})
    else:
        console = output.console()
        for each in found:
            report.show(scenario, each, console)
    return Exit.DONE
