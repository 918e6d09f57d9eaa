"""Many open streams: who reads slowly delays nobody and fills no memory, and who leaves frees everything at once."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.eventually import eventually
from fixtures.fake_router import FakeRouter, answer, deltas, start
from fixtures.open_streams import CHAT, HELLO, open_streams

from router_service.edge.event_stream import MOST_WAITING
from router_service.edge.server import EdgeServer

ROOT = Path(__file__).resolve().parents[3]
CLIENTS = 100
SLOW = 8
PIECE = "x" * 1_000


class CountingRouter(FakeRouter):
    """Says pieces for ever, or one and then nothing, and counts the streams that are open."""

    def __init__(self, *, flood: bool) -> None:
        super().__init__(answer=answer("hi"))
        self.open = 0
        self.said = 0
        self._flood = flood

    async def stream(self, request: Any, caller: Any, deadline: float) -> AsyncIterator[Any]:
        self.open += 1
        try:
            yield start()
            yield deltas("first")
            if not self._flood:
                await asyncio.Event().wait()
            while True:
                self.said += 1
                yield deltas(PIECE)
                await asyncio.sleep(0)
        finally:
            self.open -= 1


@asynccontextmanager
async def opened(edge: EdgeServer, clients: int) -> AsyncIterator[None]:
    """Open streams whose clients read the first event and nothing more."""
    writers = await open_streams(edge.port, clients)
    yield
    for writer in writers:
        writer.transport.abort()


def waiting(edge: EdgeServer) -> list[int]:
    """Return how many bytes wait in this process for each client."""
    protocols = edge._runner.server.connections
    return [protocol.transport.get_write_buffer_size() for protocol in protocols if protocol.transport is not None]


async def test_a_client_that_leaves_frees_its_stream_at_once() -> None:
    router = CountingRouter(flood=False)
    async with EdgeServer("127.0.0.1:0", router) as edge:
        async with opened(edge, CLIENTS):
            await eventually(lambda: router.open == CLIENTS)
        began = asyncio.get_running_loop().time()
        await eventually(lambda: router.open == 0 and waiting(edge) == [])
    assert asyncio.get_running_loop().time() - began < 5  # one second, on a machine that has nothing else to do


async def test_clients_that_read_nothing_delay_nobody_and_little_waits_for_each() -> None:
    router = CountingRouter(flood=True)
    async with EdgeServer("127.0.0.1:0", router) as edge, opened(edge, SLOW):
        said: list[int] = []
        while len(said) < 5 or said[-5] != router.said:  # until everyone who reads nothing is waited for
            said.append(router.said)
            await asyncio.sleep(0.1)
        assert router.open == SLOW
        assert 0 < max(waiting(edge)) < MOST_WAITING + 3 * len(PIECE)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http:
            async with asyncio.timeout(10):
                async with http.post(CHAT, json=HELLO) as response:
                    assert response.status == 200
                async with http.post(CHAT, json=HELLO | {"stream": True}) as response:
                    for _ in range(200):
                        assert (await response.content.readuntil(b"\n\n")).startswith(b"data: ")
        assert router.open >= SLOW


CALLER = """
import asyncio, sys
from fixtures.open_streams import held
asyncio.run(held(int(sys.argv[1]), int(sys.argv[2])))
"""


def resident_kilobytes() -> int:
    """Return how much of this process is in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


@asynccontextmanager
async def opened_elsewhere(edge: EdgeServer, clients: int) -> AsyncIterator[None]:
    """Have another process open streams; it dies when it is told to, and its connections with it."""
    path = os.pathsep.join([str(ROOT / "tests"), str(ROOT), str(ROOT / "gen")])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CALLER,
        str(edge.port),
        str(clients),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"open"
    yield
    process.kill()
    await process.wait()


@pytest.mark.nightly
async def test_each_of_a_thousand_idle_clients_costs_the_edge_at_most_60_kb() -> None:
    """The edge alone; `python -m tests.bench.streams` measures the router's whole process."""
    router = CountingRouter(flood=False)
    async with EdgeServer("127.0.0.1:0", router, default_deadline=600) as edge:
        async with opened_elsewhere(edge, 50):  # what is made once is not what a client costs
            pass
        await eventually(lambda: router.open == 0)
        before = resident_kilobytes()
        async with opened_elsewhere(edge, 1_000):
            assert router.open == 1_000
            each = (resident_kilobytes() - before) * 1024 / 1000 / 1_000
        began = asyncio.get_running_loop().time()
        await eventually(lambda: router.open == 0 and waiting(edge) == [])
        freed = asyncio.get_running_loop().time() - began
    assert each <= 60, f"{each:.1f} kB for each client"
    assert freed <= 5, f"freed after {freed:.2f} s; a second, on a machine that has nothing else to do"
