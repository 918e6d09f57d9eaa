"""What a vendor that is down for a while costs: a few probes and no caller, however many come."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fixtures.faulty_mesh import HEALTHY, SCALE
from fixtures.mesh_callers import Callers, at_ease, calling, eventually, heard, listen
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh

pytestmark = pytest.mark.timeout(600)

FIRST, DOWN = "openai/gpt-4o-mini", "deepinfra/Qwen/Qwen3-Next-80B-A3B-Instruct"
# The shortest an opened breaker stays open, in seconds.
SHORTEST_OPEN = 4.0
# A herd in earnest is 200 streams and 2,000 more in a minute; in `make test` it is a tenth of that in a tenth of it.
HERD = 1.0 if SCALE >= 1 else 0.1
OPEN, MORE, WITHIN = round(200 * HERD), round(2_000 * HERD), 60 * HERD


def use_case(*candidates: str) -> dict[str, Any]:
    return {
        "default_tier": "premium",
        "candidates": {"premium": list(candidates)},
        "stream_guarantee": "whole",
    }


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    limits = {"openai": {"paid": []}, "deepinfra": {"paid": []}, "groq": {"free": []}}
    told = {
        "vendors": {vendor: {"limits": none} for vendor, none in limits.items()},
        "use_cases": {"herd": use_case(FIRST, HEALTHY), "outage": use_case(DOWN, HEALTHY)},
    }
    with sandbox_mesh(tmp_path_factory.mktemp("outages"), told) as mesh:
        yield mesh


@pytest.fixture
async def callers(faulty: SandboxMesh) -> AsyncIterator[Callers]:
    async with calling(faulty) as ways:
        await at_ease(ways)
        yield ways
        await ways.settled(20.0)


async def test_an_overload_under_traffic_costs_a_few_probes_and_ends_within_half_a_minute(callers: Callers) -> None:
    began, lasts = time.monotonic(), 60 * SCALE
    await callers.simulator.set_faults("deepinfra", [{"kind": "status", "status": 503}])
    served: list[str] = []
    while time.monotonic() - began < lasts:
        served.append((await callers.generate("tokens: 2", use_case="outage")).route.vendor)
        await asyncio.sleep(0.2)
    assert set(served) == {"groq"}, "no caller ever saw it"
    probes = await entered(callers, "deepinfra")
    assert await callers.arrived("deepinfra") <= 5 + probes
    assert probes <= 1 + (time.monotonic() - began) / SHORTEST_OPEN

    await callers.simulator.set_faults("deepinfra", [])
    recovered = time.monotonic()

    async def serves() -> bool:
        return bool((await callers.generate("tokens: 2", use_case="outage")).route.vendor == "deepinfra")

    await eventually(serves, 30, "the vendor to be used again")
    assert time.monotonic() - recovered < 30
    assert [(await callers.generate("tokens: 2", use_case="outage")).route.vendor for _ in range(5)] == [
        "deepinfra"
    ] * 5


async def test_a_herd_is_served_elsewhere_when_its_vendor_dies(callers: Callers) -> None:
    # From its death on the vendor resets whoever comes; the streams that are open are cut some seconds later.
    await callers.simulator.set_latency("openai", 0, 150)
    await callers.simulator.set_faults(
        "openai", [{"kind": "cut", "after_tokens": 35, "times": OPEN}, {"kind": "refuse"}]
    )
    attempts: list[int] = []

    async def whole(number: int) -> None:
        events, error = await listen(callers.stream(f"say: this is answer {number}", use_case="herd", timeout=100))
        assert error is None, error
        assert heard(events) == f"this is answer {number}"
        attempts.append(len(events[-1].finish.route.attempts))

    async def long(number: int) -> None:
        words = " ".join(f"w{number}-{place}" for place in range(40))
        events, error = await listen(callers.stream(f"say: {words}", use_case="herd", timeout=100))
        assert error is None, error
        assert heard(events) == words
        attempts.append(len(events[-1].finish.route.attempts))

    began = time.monotonic()
    herd = [asyncio.create_task(long(number)) for number in range(OPEN)]

    async def all_open() -> bool:
        return await callers.arrived("openai") >= OPEN or any(task.done() for task in herd)

    await eventually(all_open, 30, "the first streams to be open")

    for number in range(MORE):
        herd.append(asyncio.create_task(whole(number)))
        await asyncio.sleep(WITHIN / MORE)
    await asyncio.gather(*herd)
    probes = await entered(callers, "openai")
    assert len(attempts) == OPEN + MORE
    assert await callers.arrived("openai") <= OPEN + 10 + probes
    assert probes <= 1 + (time.monotonic() - began) / SHORTEST_OPEN
    assert sum(attempts) <= 1.2 * (OPEN + MORE)


async def entered(callers: Callers, vendor: str, state: str = "half_open") -> int:
    """Read off the router's metrics how often a breaker let a probe through, or entered another state."""
    page = (await callers.http.get(f"{callers.mesh.admin['router']}/metrics")).text
    found = re.findall(rf'mesh_breaker_transitions_total{{state="{state}",subject="{vendor}"}} (\d+)', page)
    return int(found[0]) if found else 0
