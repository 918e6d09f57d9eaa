"""Measures open streams: `python -m tests.bench.streams [--clients N] [--json]`.

What each open client costs the edge's process, idle or reading nothing; whether those who read nothing delay others;
how soon all is freed once they leave.
"""

import argparse
import asyncio
import gc
import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

import aiohttp
import uvloop

from tests.bench import processes
from tests.bench.sandbox import VENDOR, Sandbox, sandbox

PATH = "/v1/chat/completions"
# An idle client's answer lasts long because its tokens are far apart, the other's because it has many.
WORDS = {True: 60, False: 1_500}
# So long an idle client waits for its next token; shorter than the silence after which a vendor is given up.
IDLE_MILLISECONDS = 8_000
BUSY_MILLISECONDS = 5
SETTLE_SECONDS = 5.0
FLOOD_SECONDS = 20.0
WAVE = 50
IN_FLIGHT = "mesh_in_flight_requests "


@dataclass(frozen=True)
class Cost:
    """What was measured of so many open clients: thousands of bytes each, seconds."""

    kind: str
    clients: int
    kilobytes_each: float
    answer_before: float
    answer_meanwhile: float
    freed_within: float


async def measure(mesh: Sandbox, clients: int, *, reading: bool) -> Cost:
    """Open clients, measure, and have them leave all at once."""
    await mesh.pace(IDLE_MILLISECONDS if reading else BUSY_MILLISECONDS)
    await _opened(mesh, WAVE, leave=True, reading=reading)  # what is made once is not what a client costs
    await _freed(mesh)
    before = await _answer(mesh)
    at_start = _router_kilobytes(mesh)
    connections = await _opened(mesh, clients, leave=False, reading=reading)
    await asyncio.sleep(SETTLE_SECONDS if reading else FLOOD_SECONDS)
    grown = _router_kilobytes(mesh) - at_start
    meanwhile = await _answer(mesh)
    for connection in connections:
        connection.close()
    freed = await _freed(mesh)
    return Cost("idle" if reading else "reads nothing", clients, grown / clients, before, meanwhile, freed)


async def _opened(mesh: Sandbox, clients: int, *, leave: bool, reading: bool) -> list[socket.socket]:
    """Open streams in waves, and wait for the first event of each."""
    found: list[socket.socket] = []
    for first in range(0, clients, WAVE):
        wave = [_open(mesh, reading=reading) for _ in range(first, min(first + WAVE, clients))]
        found += await asyncio.gather(*wave)
    if leave:
        for connection in found:
            connection.close()
    return found


async def _open(mesh: Sandbox, *, reading: bool) -> socket.socket:
    """Open one stream and read its first event; who reads nothing more has little room to be sent more into."""
    where = urlsplit(mesh.edge)
    connection = socket.socket()
    connection.setblocking(False)
    if not reading:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    body = json.dumps(_body(" ".join(["word"] * WORDS[reading]), stream=True)).encode()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(body)}\r\nx-request-timeout: 300\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, (where.hostname, where.port))
    await loop.sock_sendall(connection, head.encode() + body)
    heard = b""
    while b"data: {" not in heard:
        piece = await loop.sock_recv(connection, 1_024)
        if not piece or (heard and not heard.startswith(b"HTTP/1.1 200")):
            raise RuntimeError(f"no stream: {heard[:500]!r}")
        heard += piece
    return connection


async def _answer(mesh: Sandbox) -> float:
    """Return how long a whole answer of one word takes, the best of five."""
    found = []
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for _ in range(5):
            began = time.perf_counter()
            async with session.get(f"{mesh.edge}/v1/models") as response:
                await response.read()
            found.append(time.perf_counter() - began)
    return min(found)


async def _freed(mesh: Sandbox) -> float:
    """Wait until the router serves nobody, and return how long that took."""
    began = time.perf_counter()
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        while True:
            async with session.get(f"{mesh.admin['router']}/metrics") as response:
                page = await response.text()
            serving = next(
                float(line.removeprefix(IN_FLIGHT)) for line in page.splitlines() if line.startswith(IN_FLIGHT)
            )
            if not serving:
                return time.perf_counter() - began
            await asyncio.sleep(0.02)


def _body(text: str, *, stream: bool) -> dict[str, object]:
    return {"model": VENDOR, "stream": stream, "messages": [{"role": "user", "content": f"say: {text}"}]}


def _router_kilobytes(mesh: Sandbox) -> float:
    gc.collect()
    return processes.resident_megabytes(mesh.pids)["router"] * 1e6 / 1e3


def measure_both(clients: int, kinds: Sequence[bool] = (True, False)) -> list[Cost]:
    """Measure idle clients, then those that read nothing, each with a mesh of its own."""
    found = []
    for reading in kinds:
        with sandbox() as mesh:
            found.append(uvloop.run(measure(mesh, clients, reading=reading)))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.streams", description="Measures open streams.")
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    found = measure_both(options.clients)
    if options.json:
        sys.stdout.write(json.dumps([asdict(cost) for cost in found]) + "\n")
        return
    for cost in found:
        sys.stdout.write(
            f"{cost.clients} clients, {cost.kind}: {cost.kilobytes_each:.1f} kB each in the router's process; "
            f"another request {cost.answer_before * 1e3:.1f} ms before, "
            f"{cost.answer_meanwhile * 1e3:.1f} ms meanwhile; "
            f"all freed {cost.freed_within * 1e3:.0f} ms after they left\n"
        )


if __name__ == "__main__":
    main()
