"""Measures what a hold and its settle cost a quota process that is asked over gRPC."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fixtures.quota_process import PATIENCE, QuotaProcess, certainly
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from meshkit.channel import open_channel
from router_service.quota_client import QuotaClient
from tests.bench import processes
from tests.bench.cpu import Figure, a_figure

IN_FLIGHT, HOLDS, ROUNDS, MOST = 64, 2_000, 5, 220.0
OFFER = "groq/openai/gpt-oss-120b#1"
MESH = """
vendors:
  groq:
    limits:
      free:
        - {unit: requests, window: day, amount: 1000000000}
        - {unit: tokens, window: minute, amount: 1000000000}
budgets:
  - {subject: tenant/team, unit: usd, window: month, amount: 1000000}
"""
Stub = quota_pb2_grpc.QuotaServiceStub
Ask = Callable[[str], Awaitable[None]]


async def calls(directory: Path) -> AsyncIterator[Figure]:
    """Measure a process over a file: as routers ask it, in batches, and one operation at a time."""
    (directory / "mesh.yaml").write_text(MESH)
    quota = QuotaProcess(directory)
    await quota.start()
    try:
        async with AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(open_channel(quota.address)) for _ in range(2)]
            await asyncio.wait_for(channels[0].channel_ready(), PATIENCE)
            one, two = map(Stub, channels)
            ask = await stack.enter_async_context(by_router(one, two))
            yield a_figure(f"quota process, {IN_FLIGHT} in flight at a router", await rounds(quota, ask), MOST)
            found = await rounds(quota, one_by_one(one))
            yield a_figure(f"quota process, {IN_FLIGHT} in flight, a call for each operation", found, MOST)
    finally:
        await quota.end(signal.SIGTERM)


async def rounds(quota: QuotaProcess, ask: Ask) -> list[float]:
    """Return the microseconds the process took for a hold and its settle, round by round."""
    assert quota.running is not None
    pids, found = {"quota": quota.running.pid}, []
    for number in range(ROUNDS + 1):
        before = processes.read(pids)
        todo = iter(range(HOLDS))

        async def caller(todo=todo, number=number) -> None:
            for place in todo:
                await ask(f"{id(ask)}-{number}-{place}")

        await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
        found.append(processes.read(pids).since(before).by_name["quota"] / HOLDS * 1e6)
    return found[1:]


def reserved(attempt: str) -> pb.Reserve:
    offer = pb.OfferAmounts(offer=OFFER, input_tokens=200, output_tokens=300, cost_nanos=1_000)
    return pb.Reserve(attempt_id=attempt, tenant="team", use_case="quick", offers=[offer])


def settled(attempt: str) -> pb.Settle:
    amounts = pb.Amounts(requests=1, input_tokens=200, output_tokens=100, cost_nanos=500)
    return pb.Settle(attempt_id=attempt, outcome=pb.OUTCOME_SERVED, amounts=amounts)


@asynccontextmanager
async def by_router(stub: Stub, turns: Stub) -> AsyncIterator[Ask]:
    """Ask as a router does: what comes while a batch is under way travels in the next one."""
    async with QuotaClient(stub, turns, grace=PATIENCE, silence=PATIENCE) as client:

        async def ask(attempt: str) -> None:
            if not isinstance(await client.reserve(reserved(attempt), PATIENCE), pb.Held):
                raise SystemExit(f"{attempt} was denied")
            client.settle(settled(attempt))

        yield ask


def one_by_one(stub: Stub) -> Ask:
    """Ask with a call for each operation."""

    async def ask(attempt: str) -> None:
        for operation in (pb.Operation(reserve=reserved(attempt)), pb.Operation(settle=settled(attempt))):
            (answer,) = (await certainly(stub, operation)).answers
            if answer.WhichOneof("kind") not in ("held", "done"):
                raise SystemExit(f"{attempt}: {answer}")

    return ask
