"""Many open streams: who reads slowly delays nobody and fills no memory, and who leaves frees everything at once."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from fixtures.eventually import eventually
from fixtures.fake_router import FakeRouter, answer, deltas, start

from router_service.edge.event_stream import MOST_WAITING
from router_service.edge.server import EdgeServer

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
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
async def opened(edge: EdgeServer, clients: int) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Open streams whose clients read the first event and nothing more."""
    content = json.dumps(HELLO | {"stream": True}).encode()
    writers = []
    for _ in range(clients):
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)  # else the kernel takes megabytes for each
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", edge.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=1_024)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(content)))
        writer.write(content)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writers.append(writer)
    yield writers
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
