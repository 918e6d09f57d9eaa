"""`llm-mesh explain`: says which offers a request would be tried on and why every other one is left out."""

import sys
from typing import Annotated

import typer
from llmmesh.router.v1 import router_pb2
from rich.console import Console
from rich.table import Table

from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit


def explain(
    prompt: Annotated[str, typer.Argument(help="What would be asked; - reads it from standard input.")] = "",
    *,
    use_case: options.UseCase = "",
    tier: options.TierOption = None,
    model: options.Models = None,
    strict: options.Strict = False,
    require: options.Requirements = None,
    max_tokens: options.MaxTokens = None,
    system: options.System = "",
    embed: Annotated[bool, typer.Option("--embed", help="The text would be embedded, not answered.")] = False,
    address: options.RouterAddress = options.ROUTER,
    as_json: options.Json = False,
) -> None:
    """Say how a request would be served; nothing is sent and nothing is held."""
    text = sys.stdin.read() if prompt == "-" else prompt
    intent = options.intent(use_case, tier, model or (), strict=strict, requirements=require)
    if embed:
        if not text:
            raise typer.BadParameter("say what would be embedded", param_hint="PROMPT")
        request = router_pb2.ExplainRouteRequest(intent=intent, texts=[text])
    else:
        told = options.prompt(text, system, max_tokens=max_tokens)
        request = router_pb2.ExplainRouteRequest(intent=intent, prompt=told)
    outcome.run(show(request, address, as_json=as_json), as_json=as_json)


async def show(request: router_pb2.ExplainRouteRequest, address: str, *, as_json: bool) -> Exit:
    """Ask for the plan and print it."""
    async with session.router(address) as way:
        call = way.stub.ExplainRoute(request, timeout=session.QUICK, metadata=way.metadata)
        plan: router_pb2.ExplainRouteResponse = await way.answer(call)
    if as_json:
        output.print_json(output.plain(plan))
    else:
        _print(plan, output.console())
    return Exit.DONE if plan.offers else Exit.FAILED


def _print(plan: router_pb2.ExplainRouteResponse, console: Console) -> None:
    tier = output.word(router_pb2.Tier.DESCRIPTOR, plan.tier)
    cap = "no price cap"
    if plan.HasField("price_cap_nanos"):
        cap = f"at most {output.usd(plan.price_cap_nanos)} per million tokens"
    console.print(f"use case {plan.use_case}, tier {tier} ({cap}), strategy {plan.strategy}")
    if plan.offers:
        console.print(_planned(plan))
    else:
        console.print("no offer can serve this")
    if plan.excluded:
        console.print("\nleft out")
        console.print(_excluded(plan))


def _planned(plan: router_pb2.ExplainRouteResponse) -> Table:
    numbers = ("price/1M", "in", "out", "cost")
    table = output.table("", "offer", "plan", *numbers, "room now", numbers=("", *numbers))
    for place, offer in enumerate(plan.offers, start=1):
        table.add_row(
            str(place),
            offer.offer,
            offer.plan,
            output.usd(offer.blended_price_nanos),
            f"{offer.input_tokens:,}",
            f"{offer.output_tokens:,}",
            output.usd(offer.cost_nanos),
            room(offer),
        )
    return table


def room(offer: router_pb2.PlannedOffer) -> str:
    """Say whether budgets have room for an offer, else which one has not and until when."""
    if offer.has_room:
        return "yes"
    again = f", again in {output.duration(offer.retry_after)}" if offer.HasField("retry_after") else ""
    return f"no: {offer.why_no_room or f'{offer.limiting_budget} is used up'}{again}"


def _excluded(plan: router_pb2.ExplainRouteResponse) -> Table:
    table = output.table("offer", "reason", "detail")
    for offer in plan.excluded:
        table.add_row(offer.offer, offer.reason, offer.detail)
    return table
