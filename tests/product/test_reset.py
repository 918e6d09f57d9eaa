"""Day quotas at the vendor's midnight, also when nobody was there to see it; the quota service over its own file."""

import asyncio
import contextlib
import datetime as dt
from zoneinfo import ZoneInfo

import grpc
import pytest
import yaml
from fixtures.clock import ManualClock
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc
from prometheus_client import CollectorRegistry

from catalog.mesh import load_mesh
from llm_mesh.ports import free_addresses
from quota_service.app import serve

PACIFIC, UTC = ZoneInfo("America/Los_Angeles"), dt.UTC
MODEL = "gemini/gemini-flash-latest#1"
# Gemini's limit is the catalogue's: 20 requests a day that end at midnight in Los Angeles. Groq gets one that ends at
# midnight UTC, as the scenario files say of every vendor.
CONFIG = {"vendors": {"groq": {"limits": {"free": [{"unit": "requests", "window": "day", "amount": 20}]}}}}
CASES = pytest.mark.parametrize(("offer", "zone"), [(MODEL, PACIFIC), ("groq/openai/gpt-oss-120b#1", UTC)])


class Ledger:
    """A quota service whose clock a test turns; it can be stopped and started again."""

    def __init__(self, directory, zone):
        self.clock = ManualClock(dt.datetime(2026, 11, 20, 23, 30, tzinfo=zone).timestamp())
        self._file = directory / "mesh.yaml"
        self._file.write_text(yaml.safe_dump(CONFIG))
        self._ledger = directory / "ledger.db"

    @contextlib.asynccontextmanager
    async def running(self):
        address, admin = free_addresses(2)
        variables = {"MESH_QUOTA_ADDRESS": address, "MESH_QUOTA_ADMIN": admin, "MESH_LEDGER_PATH": str(self._ledger)}
        mesh, stop = load_mesh(self._file, variables), asyncio.Event()
        serving = asyncio.create_task(serve(mesh, mesh.catalog, stop, clock=self.clock, registry=CollectorRegistry()))
        async with grpc.aio.insecure_channel(address) as channel:
            yield quota_pb2_grpc.QuotaServiceStub(channel)
        stop.set()
        await serving

    def pass_midnight(self):
        self.clock.advance(31 * 60)


async def granted(ledger, stub, offer, name):
    """Try 25 requests, one every 13 seconds so that no limit by the minute counts, and count the granted."""
    count = 0
    for number in range(25):
        reserve = quota_pb2.Reserve(
            attempt_id=f"{name}/{number}",
            tenant="local",
            use_case="quick",
            offers=[quota_pb2.OfferAmounts(offer=offer, input_tokens=10, output_tokens=10)],
        )
        amounts = quota_pb2.Amounts(requests=1, input_tokens=10, output_tokens=10)
        settle = quota_pb2.Settle(attempt_id=reserve.attempt_id, outcome=quota_pb2.OUTCOME_SERVED, amounts=amounts)
        ledger.clock.advance(13)
        answer = await apply(stub, quota_pb2.Operation(reserve=reserve))
        if answer.HasField("held"):
            count += 1
            await apply(stub, quota_pb2.Operation(settle=settle))
    return count


async def apply(stub, operation):
    request = quota_pb2.ApplyRequest(operations=[operation])
    return (await stub.Apply(request, timeout=10, wait_for_ready=True)).answers[0]


@pytest.mark.product("P-OPS-5")
@CASES
async def test_a_day_quota_is_whole_again_after_the_vendor_s_midnight_without_any_job_running(tmp_path, offer, zone):
    ledger = Ledger(tmp_path, zone)
    async with ledger.running() as stub:
        assert await granted(ledger, stub, offer, "evening") == 20
        ledger.clock.advance(15 * 60)
        assert await granted(ledger, stub, offer, "late") == 0  # 23:56 there: the day is not over
        ledger.pass_midnight()
        assert await granted(ledger, stub, offer, "next day") == 20


@pytest.mark.product("P-OPS-5")
@CASES
async def test_it_is_whole_again_when_the_mesh_was_down_over_midnight(tmp_path, offer, zone):
    ledger = Ledger(tmp_path, zone)
    async with ledger.running() as stub:
        assert await granted(ledger, stub, offer, "evening") == 20
    async with ledger.running() as stub:
        assert await granted(ledger, stub, offer, "restarted") == 0
    ledger.pass_midnight()
    async with ledger.running() as stub:
        assert await granted(ledger, stub, offer, "next day") == 20
