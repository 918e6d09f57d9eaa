"""Many open streams through a whole mesh: the slow delay nobody, and who leaves frees hold, stream and vendor."""

import asyncio
import sys
from urllib.parse import urlsplit

import pytest
from fixtures.acceptance import MINI
from fixtures.mesh_callers import ANSWERED, ASKED, Callers, eventually
from fixtures.open_streams import open_streams

AT_ONCE = 50
FLOOD = "tokens: 30000"  # more than the kernel takes for who does not read
FREED_WITHIN = 10.0  # promised is one second, on a machine that has nothing else to do
SERVED_WITHIN = 20.0


async def open_and_leave(callers: Callers, clients: int, flooded_clients: int) -> float:
    """Open streams whose clients read nothing but the first line; return how long it took until all was free again."""
    port = urlsplit(callers.mesh.edge).port or 0
    flooded = await open_streams(port, flooded_clients, asking(FLOOD))
    await callers.simulator.set_latency("openai", token_ms=2_000)
    idle = []
    while len(flooded) + len(idle) < clients:  # together, since each waits for its first word
        wave = min(AT_ONCE, clients - len(flooded) - len(idle))
        opened = await asyncio.gather(*(open_streams(port, 1, asking("tokens: 500")) for _ in range(wave)))
        idle += [writer for writers in opened for writer in writers]
    assert await in_flight(callers) >= len(idle)
    assert (await callers.budgets()).open_holds == clients  # nobody who reads nothing has been sent all
    await served_meanwhile(callers)
    began = asyncio.get_running_loop().time()
    for writer in (*flooded, *idle):
        writer.transport.abort()

    async def free() -> bool:
        return (await callers.budgets()).open_holds == 0 and await in_flight(callers) == 0

    await eventually(free, FREED_WITHIN, "every hold to be settled and every vendor's stream to be closed")
    return asyncio.get_running_loop().time() - began


def asking(text: str) -> dict[str, object]:
    return {"model": MINI, "messages": [{"role": "system", "content": ASKED}, {"role": "user", "content": text}]}


async def in_flight(callers: Callers) -> int:
    return int((await callers.simulator.state("openai"))["in_flight"])


async def served_meanwhile(callers: Callers) -> None:
    """Check that another caller gets its answers, whole and streamed."""
    asked = {"model": "use_case:alone", "messages": [{"role": "user", "content": f"say: one two {ANSWERED}"}]}
    async with asyncio.timeout(SERVED_WITHIN):
        whole = await callers.http.post("/v1/chat/completions", json=asked)
        assert whole.json()["choices"][0]["message"]["content"] == f"one two {ANSWERED}"
        streamed = await callers.http.post("/v1/chat/completions", json={**asked, "stream": True})
        assert streamed.text.endswith("data: [DONE]\n\n")


async def test_fifty_clients_that_read_nothing_delay_nobody_and_free_everything_when_they_leave(
    callers: Callers,
) -> None:
    await open_and_leave(callers, 50, flooded_clients=2)
    row = (await callers.spend("vendor", "outcome"))["openai", "cancelled"]
    assert row.attempts >= 50


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_a_thousand_do_so_too(callers: Callers) -> None:
    freed = await open_and_leave(callers, 1_000, flooded_clients=5)
    sys.stdout.write(f"\n1,000 open streams, 5 of them flooded: all free {freed:.2f} s after they left\n")
