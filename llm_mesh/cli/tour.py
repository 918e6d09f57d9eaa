"""Guides through the mesh: an answer, a stream, a vendor that fails, a quota that runs out, and what was spent."""

import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from llmmesh.router.v1 import router_pb2

from catalog.offers import OfferId
from llm_mesh.cli import options, outcome, output, route
from llm_mesh.cli.ledger import spend
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.stage import QUOTA, TIER, USE_CASE, Stage, stage
from llm_mesh.cli.transcript import Transcript
from meshkit.errors import StartError

TIMEOUT = 20.0
SHOWN = 90  # characters of an answer
UNAVAILABLE = {"kind": "status", "status": 503}


async def guide() -> Exit:
    """Start a sandbox, show every scene, stop the sandbox.

    Raises:
        StartError: something was not as it should be; the text says what.
    """
    began = time.monotonic()
    say("Everything here runs on this machine. The vendors are simulated and answer in made-up words.")
    say("Starting the router, the quota service, the provider services and the simulated vendors …")
    async with stage() as ground:
        waited = time.monotonic() - began
        say(f"Ready after {waited:.1f} s: {ground.vendors} vendors behind one address, {ground.router}.")
        for number, scene in enumerate(SCENES, start=1):
            sys.stdout.write(f"\n{number}. ")
            await scene(ground)
        say("\nStopping everything …")
    say(f'Done in {time.monotonic() - began:.0f} s. Now yours: `llm-mesh up --sandbox`, then `llm-mesh chat "Hello"`.')
    return Exit.DONE


async def answer(ground: Stage) -> None:
    """Show one answer with its route and cost."""
    say("One question; the mesh chooses who answers, and says what it cost.")
    response = await ask(ground, "What does a lighthouse do?", premium=True)
    transcript = Transcript()
    transcript.take(response.completion, response.route)
    indent(shortened("".join(transcript.text)))
    tell(response.route, response.completion.usage)
    expect(response.route.total_cost_nanos > 0, "an answer of the premium tier cost nothing")


async def stream(ground: Stage) -> None:
    """Show a stream as it comes."""
    say(f"A stream, free of charge: {ground.first} comes first and may be asked {QUOTA} times a day in this demo.")
    prompt = options.prompt("Tell me a story.", max_tokens=60)
    request = router_pb2.StreamGenerateRequest(intent=intent(), prompt=prompt)
    transcript = Transcript()
    call = ground.way.stub.StreamGenerate(request, timeout=TIMEOUT)
    sys.stdout.write("   ")
    try:
        async for event in call:
            if event.HasField("start"):
                transcript.begin(event.start)
            for delta in event.deltas.deltas:
                sys.stdout.write(transcript.add(delta))
                sys.stdout.flush()
            if event.HasField("finish"):
                transcript.finish = event.finish
    except grpc.aio.AioRpcError as error:
        raise ground.way.explain(error) from None
    sys.stdout.write("\n")
    if transcript.finish is None:
        raise outcome.incomplete()
    tell(transcript.finish.route, transcript.finish.usage)
    expect(vendor(transcript.finish.route) == ground.first, f"{transcript.finish.route.offer} served the stream")


async def failing_vendor(ground: Stage) -> None:
    """Show that another vendor serves when the first one fails."""
    say(f"{ground.first} fails now (HTTP 503). The caller gets an answer all the same, in the same call.")
    await ground.set_faults(ground.first, [UNAVAILABLE])
    response = await ask(ground, "Are you still there?")
    await ground.set_faults(ground.first, [])
    tell(response.route, response.completion.usage)
    expect(vendor(response.route) != ground.first, f"{ground.first} served although it fails")
    expect(response.route.fallback_used, "the reply does not say that a fallback was used")


async def quota_runs_out(ground: Stage) -> None:
    """Show that a quota is used to its end and never beyond."""
    say(f"{ground.first} is back. We ask until its {QUOTA} requests are used up.")
    served = ""
    for number in range(1, QUOTA + 2):
        response = await ask(ground, f"Question {number}?")
        served = vendor(response.route)
        indent(f"question {number}: {response.route.offer}, {output.usd(response.route.total_cost_nanos)}")
        if served != ground.first:
            break
    expect(served != ground.first, f"{ground.first} served more often than its quota allows")
    indent(f"why not {ground.first}: {response.route.primary_error or 'its quota is used up'}")
    counted = await ground.arrivals(ground.first)
    indent(f"{ground.first} itself has counted {output.count(counted, 'request')} of {QUOTA}: not one too many.")
    expect(counted == QUOTA, f"{ground.first} has counted {counted} requests, its quota is {QUOTA}")


async def spent(ground: Stage) -> None:
    """Show what the ledger says was spent."""
    say("What was spent, from the ledger.")
    columns = ["vendor", "model", "plan", "outcome"]
    rows = await spend.fetch(ground.quota, columns)
    output.console().print(spend.table(rows, columns))
    expect(any(row.vendor == ground.first for row in rows), f"the ledger does not know of {ground.first}")


SCENES: tuple[Callable[[Stage], Coroutine[Any, Any, None]], ...] = (
    answer,
    stream,
    failing_vendor,
    quota_runs_out,
    spent,
)


async def ask(ground: Stage, text: str, *, premium: bool = False) -> router_pb2.GenerateResponse:
    """Ask for a short answer."""
    request = router_pb2.GenerateRequest(intent=intent(premium=premium), prompt=options.prompt(text, max_tokens=25))
    response: router_pb2.GenerateResponse = await ground.way.answer(ground.way.stub.Generate(request, timeout=TIMEOUT))
    return response


def intent(*, premium: bool = False) -> router_pb2.Intent:
    """Return the intent of a conversation that is free, or of the premium tier."""
    return options.intent(USE_CASE, options.Tier.PREMIUM if premium else options.Tier(TIER))


def vendor(served: router_pb2.Route) -> str:
    """Return who served."""
    return OfferId.parse(served.offer).vendor


def expect(true: bool, otherwise: str) -> None:
    """Check that the demo shows what it says it shows."""
    if not true:
        raise StartError(f"the demo went wrong: {otherwise}")


def tell(served: router_pb2.Route, usage: Any) -> None:
    """Print a route."""
    for line in route.lines(served, usage):
        indent(line)


def say(text: str) -> None:
    """Print a sentence of the guide."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def indent(text: str) -> None:
    """Print a line of what is shown."""
    say(f"   {text}")


def shortened(text: str) -> str:
    """Return the beginning of an answer."""
    return text if len(text) <= SHOWN else text[:SHOWN].rsplit(" ", 1)[0] + " …"
