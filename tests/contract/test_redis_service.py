"""Quota services over one store, from their configuration to their gRPC face."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from fixtures.quota import definitions
from fixtures.valkey import PATIENCE, fresh_prefix, shared
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc
from prometheus_client import CollectorRegistry

from catalog.mesh import load_mesh
from llm_mesh.ports import free_addresses
from meshkit.errors import StartError
from quota_service.app import serve
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore

GROQ = "groq/openai/gpt-oss-120b#1"
DAY = "groq/default/requests/day"
MESH = """
ledger: {{prefix: "{prefix}"}}
vendors:
  groq:
    limits:
      free:
        - {{unit: requests, window: day, amount: 10}}
"""


async def begun(prefix: str) -> None:
    """Make the ledger, and let the seconds go by in which a new one is closed."""
    store = await RedisStore.open(shared().url, definitions(fingerprint=0), prefix=prefix, recovery=Recovery(0, 0))
    await store.apply([])
    await store.close()


@asynccontextmanager
async def service(directory: Path, prefix: str) -> AsyncIterator[quota_pb2_grpc.QuotaServiceStub]:
    file = directory / "mesh.yaml"
    file.write_text(MESH.format(prefix=prefix))
    address, admin = free_addresses(2)
    settings = {
        "MESH_QUOTA_ADDRESS": address,
        "MESH_QUOTA_ADMIN": admin,
        "MESH_LEDGER_URL": shared().url.reveal(),
    }
    mesh, stop = load_mesh(file, settings), asyncio.Event()
    serving = asyncio.create_task(serve(mesh, mesh.catalog, stop, registry=CollectorRegistry()))
    async with grpc.aio.insecure_channel(address) as channel:
        ready = asyncio.create_task(channel.channel_ready())
        await asyncio.wait([ready, serving], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        yield quota_pb2_grpc.QuotaServiceStub(channel)
    stop.set()
    await asyncio.wait_for(serving, PATIENCE)


async def certainly(call, request):
    """Ask as a router does: the same once more while the service says that its store is slow."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await call(request, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise


async def test_three_services_over_one_store_hold_exactly_what_there_is(tmp_path):
    """I1: a hundred callers, wherever they ask; and what one held another one settles."""
    prefix = fresh_prefix()
    await begun(prefix)
    async with AsyncExitStack() as stack:
        stubs = [await stack.enter_async_context(service(tmp_path, prefix)) for _ in range(3)]

        async def ask(number: int) -> pb.ApplyResponse:
            reserve = pb.Reserve(attempt_id=f"a{number}", tenant="team", use_case="quick")
            reserve.offers.add(offer=GROQ, input_tokens=10)
            request = pb.ApplyRequest(operations=[pb.Operation(reserve=reserve)])
            return await certainly(stubs[number % 3].Apply, request)

        told = await asyncio.gather(*(ask(number) for number in range(100)))
        held = [number for number, each in enumerate(told) if each.answers[0].HasField("held")]
        assert len(held) == 10
        assert len({each.epoch for each in told}) == 1
        settle = pb.Settle(attempt_id=f"a{held[0]}", outcome=pb.OUTCOME_SERVED)
        await certainly(stubs[(held[0] + 1) % 3].Apply, pb.ApplyRequest(operations=[pb.Operation(settle=settle)]))
        for stub in stubs:
            standing = await certainly(stub.GetBudgets, pb.GetBudgetsRequest())
            (day,) = [budget for budget in standing.budgets if budget.id == DAY]
            assert (day.used, day.held, standing.open_holds) == (1, 9, 9)
            (spent,) = (await certainly(stub.QuerySpend, pb.QuerySpendRequest())).rows
            assert spent.attempts == 1


async def test_a_store_without_an_address_is_refused_with_what_to_set():
    mesh = load_mesh(None, {"MESH_LEDGER_STORE": "redis"})
    with pytest.raises(StartError, match=r"ledger\.store is redis, and there is no ledger\.url: set MESH_LEDGER_URL"):
        await serve(mesh, mesh.catalog, asyncio.Event(), registry=CollectorRegistry())
