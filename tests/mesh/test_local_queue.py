"""A local model never refuses: two hundred callers at once are served by a server that takes one call at a time."""

import asyncio
from collections import Counter
from pathlib import Path

from fixtures.mesh_callers import Callers, eventually, heard, listen, prompt, refusal, said
from llmmesh.router.v1 import router_pb2

from meshkit.errors import Reason

CALLERS = 200


def memory(callers: Callers, name: str) -> int:
    """Return the megabytes a process of the mesh has in memory."""
    status = Path(f"/proc/{callers.mesh.pid(name)}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) // 1024


async def waiting(callers: Callers) -> int:
    """Return how many callers wait in the ledger."""
    page = (await callers.http.get(f"{callers.mesh.admin['quota']}/metrics")).text
    return int(float(next(line.split()[1] for line in page.splitlines() if line.startswith("mesh_quota_waiting "))))


async def busy(callers: Callers, milliseconds: float) -> "asyncio.Task[router_pb2.GenerateResponse]":
    """Occupy the server for that long."""
    await callers.simulator.set_latency("ollama", first_token_ms=milliseconds)
    first = asyncio.create_task(callers.generate("say: 0", use_case="alone"))

    async def arrived() -> bool:
        return await callers.arrived("ollama") == 1

    await eventually(arrived, 10, "the first call to arrive")
    return first


async def everyone_waits(callers: Callers, number: int, most: int = CALLERS) -> None:
    async def parked() -> bool:
        return number <= await waiting(callers) <= most

    await eventually(parked, 30, f"{number} callers to wait")


async def test_two_hundred_at_once_whole_and_streamed_are_all_served_one_at_a_time_and_cost_no_memory(
    callers: Callers,
) -> None:
    await callers.simulator.set_latency("ollama", first_token_ms=12_000)  # the first is at it until all others wait
    before = {name: memory(callers, name) for name in ("router", "quota")}
    whole = [
        asyncio.create_task(callers.generate(f"say: {number}", use_case="alone", timeout=180))
        for number in range(0, CALLERS, 2)
    ]
    streams = [
        asyncio.create_task(listen(callers.stream(f"say: {number}", use_case="alone", timeout=180)))
        for number in range(1, CALLERS, 2)
    ]
    await everyone_waits(callers, CALLERS - 1)
    grown = {name: memory(callers, name) - before[name] for name in before}
    await callers.simulator.set_latency("ollama", first_token_ms=5)
    replies, heards = await asyncio.gather(asyncio.gather(*whole), asyncio.gather(*streams))
    assert [said(reply.completion) for reply in replies] == [str(number) for number in range(0, CALLERS, 2)]
    assert {(reply.route.offer, len(reply.route.attempts)) for reply in replies} == {("ollama/llama3.1:8b#1", 1)}
    assert [(heard(events), error) for events, error in heards] == [(str(n), None) for n in range(1, CALLERS, 2)]
    state = await callers.simulator.state("ollama")
    assert (state["arrivals"], state["max_in_flight"]) == (CALLERS, 1)
    assert max(grown.values()) < 40, grown


async def test_who_came_first_is_served_first(callers: Callers) -> None:
    first = await busy(callers, 4_000)
    order: list[int] = []

    async def ask(number: int) -> None:
        await callers.generate(f"say: {number}", use_case="alone")
        order.append(number)

    others = []
    for number in range(1, 16):
        others.append(asyncio.create_task(ask(number)))
        await everyone_waits(callers, number)
    await callers.simulator.set_latency("ollama", first_token_ms=40)
    await asyncio.gather(first, *others)
    assert order == list(range(1, 16))


async def test_only_the_deadline_ends_a_wait_with_an_error_that_says_so(callers: Callers) -> None:
    first = await busy(callers, 12_000)
    error = await refusal(callers.generate("say: late", use_case="alone", timeout=4))
    assert (error.reason, error.code) == (Reason.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    assert "s for a turn at ollama/llama3.1:8b; the deadline leaves no time for an answer" in error.message
    body = {"model": "use_case:alone", "messages": [{"role": "user", "content": "say: late"}]}
    reply = await callers.http.post("/v1/chat/completions", json=body, headers={"x-request-timeout": "3"})
    assert reply.status_code == 504
    assert "for a turn at ollama/llama3.1:8b" in reply.json()["error"]["message"]
    assert said((await first).completion) == "0"
    await callers.settled()
    assert await callers.arrived("ollama") == 1  # who waited in vain was never sent


async def test_the_last_resort_of_a_chain_is_waited_for_when_everything_before_it_is_used_up(callers: Callers) -> None:
    await callers.generate("say: the only one", use_case="spent")
    await callers.simulator.set_latency("ollama", first_token_ms=10)
    replies = await asyncio.gather(*(callers.generate("say: yes", use_case="spent") for _ in range(64)))
    assert {reply.route.offer for reply in replies} == {"ollama/llama3.1:8b#1"}
    assert {tuple(reply.route.skipped.items()) for reply in replies} == {(("budget", 1),)}
    assert (await callers.simulator.state("ollama"))["max_in_flight"] == 1


async def test_a_caller_that_hangs_up_makes_room_for_the_next(callers: Callers) -> None:
    first = await busy(callers, 5_000)
    intent = router_pb2.Intent(use_case="alone")
    asked = router_pb2.GenerateRequest(intent=intent, prompt=prompt("say: gone"))
    gone = [callers.router.Generate(asked, timeout=20) for _ in range(20)]
    tasks = [asyncio.ensure_future(call) for call in gone]
    await everyone_waits(callers, 20)
    last = asyncio.create_task(callers.generate("say: last", use_case="alone"))
    await everyone_waits(callers, 21)
    for call in gone:
        call.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await everyone_waits(callers, 1, most=1)
    assert not first.done()
    await callers.simulator.set_latency("ollama", first_token_ms=5)
    assert Counter([said((await first).completion), said((await last).completion)]) == Counter(["0", "last"])
    assert await callers.arrived("ollama") == 2
