"""I7 below the surface: a real quota service under strace answers nothing before it is on the disk.

Its writes, its syncs and its answers are seen in their order; and it is killed in front of each write and sync in turn.
"""

import asyncio
import itertools
import shutil
import signal
import subprocess
from pathlib import Path

import grpc
import pytest
from fixtures.clock import ManualClock
from fixtures.quota_process import RECONNECT, QuotaProcess, certainly
from fixtures.system_calls import events
from llmmesh.quota.v1 import quota_pb2 as pb
from llmmesh.quota.v1 import quota_pb2_grpc

from quota_service.definitions import Definitions
from quota_service.stores.sqlite import SqliteStore
from tools.real_programs import find

LOG = "ledger.db-wal"
OFFER = "groq/openai/gpt-oss-120b#1"
ATTEMPTS = 4
MESH = "vendors: {groq: {limits: {free: [{unit: requests, window: month, amount: 1000}]}}}\n"
# Every how many-th point `make test-real` tries; all of them take minutes.
STEP = 13

pytestmark = pytest.mark.real


@pytest.fixture
def strace(tmp_path: Path) -> str:
    program = find("strace")
    if program is None:
        pytest.skip("strace is not installed")
    tried = subprocess.run([program, "-o", str(tmp_path / "try"), "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"strace may not watch processes here: {tried.stderr.strip()[:200]}")
    return program


def operations() -> list[pb.Operation]:
    """Return reserves and settles in turn; the last attempt stays open."""
    made = []
    for number in range(ATTEMPTS):
        offer = pb.OfferAmounts(offer=OFFER, input_tokens=200, output_tokens=300)
        reserve = pb.Reserve(attempt_id=f"a{number}", tenant="t", use_case="u", offers=[offer])
        reserve.ttl.FromSeconds(3_600)
        settle = pb.Settle(attempt_id=f"a{number}", outcome=pb.OUTCOME_SERVED, amounts=pb.Amounts(requests=1))
        made += [pb.Operation(reserve=reserve), pb.Operation(settle=settle)]
    return made[:-1]


def service(directory: Path, *watching: str) -> QuotaProcess:
    directory.mkdir(exist_ok=True)
    (directory / "mesh.yaml").write_text(MESH)
    return QuotaProcess(directory, under=watching)


async def ask(process: QuotaProcess, asked: list[pb.Operation]) -> int:
    """Apply operations one by one until the service is gone; return how many were answered."""
    assert process.running is not None
    async with grpc.aio.insecure_channel(process.address, options=RECONNECT) as channel:
        either = [asyncio.ensure_future(each) for each in (process.running.wait(), channel.channel_ready())]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for waiting in either:
            waiting.cancel()
        await asyncio.gather(*either, return_exceptions=True)
        stub = quota_pb2_grpc.QuotaServiceStub(channel)
        for number, operation in enumerate(asked):
            try:
                answer = (await stub.Apply(pb.ApplyRequest(operations=[operation]), timeout=60)).answers[0]
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await process.running.wait()
                return number
            assert answer.WhichOneof("kind") in ("held", "done"), answer
    return len(asked)


async def test_no_answer_leaves_before_the_write_it_tells_of_is_synced(strace, tmp_path):
    trace = tmp_path / "trace"
    watching = (strace, "-D", "-f", "-yy", "-xx", "-s", "65536", "-o", f"{trace}", "-e", "trace=/write|sync|send")
    process = service(tmp_path / "ledger", *watching)
    await process.start()
    assert await ask(process, operations()) == len(operations())
    await process.end(signal.SIGTERM)

    unsynced, synced, answers = False, 0, 0
    for event in events(trace, LOG, int(process.address.rpartition(":")[2])):
        match event.kind:
            case "write":
                unsynced = True
            case "sync":
                synced, unsynced = synced + unsynced, False
            case "answer":
                answers += 1
                assert not unsynced, f"answer {answers} left before its write was synced"
                assert synced > 0, f"answer {answers} left without a write"
                synced = 0
    assert answers == len(operations())


async def dies_in_front_of(point: int, strace: str, directory: Path) -> bool:
    """Kill a new service in front of its so-many-th write or sync, and check what a restarted one knows.

    Returns:
        Whether it came that far.
    """
    files = [word for name in ("ledger.db", LOG, "ledger.db-journal") for word in ("-P", f"{directory / name}")]
    calls = "pwrite64,write,fdatasync,fsync,ftruncate,unlink"
    watching = (strace, "-D", "-f", "-o", "/dev/null", *files, "-e", f"trace={calls}")
    process = service(directory, *watching, "-e", f"inject={calls}:signal=SIGKILL:when={point}")
    await process.start()
    answered = await ask(process, operations())
    killed = process.running is not None and process.running.returncode == -signal.SIGKILL
    if not killed:
        assert answered == len(operations())
        await process.end(signal.SIGTERM)
    await knows_all(directory, answered)
    return killed


async def knows_all(directory: Path, answered: int) -> None:
    """Start the service again, repeat every operation; what was answered was kept, and nothing happens twice."""
    process = service(directory)
    await process.start()
    try:
        async with grpc.aio.insecure_channel(process.address, options=RECONNECT) as channel:
            stub = quota_pb2_grpc.QuotaServiceStub(channel)
            for number, operation in enumerate(operations()):
                answer = (await certainly(stub, operation)).answers[0]
                assert answer.WhichOneof("kind") in ("held", "done"), answer
                if answer.HasField("done") and number < answered:
                    assert answer.done.already, f"operation {number} was answered and is forgotten"
            told = await stub.GetBudgets(pb.GetBudgetsRequest(prefix="groq"), timeout=60)
        (budget,) = (budget for budget in told.budgets if budget.used or budget.held)
        assert (budget.used, budget.held) == (ATTEMPTS - 1, 1)
        await process.end(signal.SIGTERM)
    finally:
        process.abandon()
    store = SqliteStore.open(directory / "ledger.db", Definitions(0, lambda _: None, {}), ManualClock(0))
    assert await store.verify() == []
    await store.close()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", [STEP, pytest.param(1, marks=pytest.mark.nightly)])
async def test_killed_in_front_of_any_write_or_sync_it_keeps_what_it_answered_and_invents_nothing(
    strace, tmp_path, step
):
    for point in itertools.count(1, step):
        directory = tmp_path / f"{point}"
        if not await dies_in_front_of(point, strace, directory):
            break
        shutil.rmtree(directory)
    assert point > 20
