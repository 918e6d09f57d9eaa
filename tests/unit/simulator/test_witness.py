"""The witness tells what really arrived: who, what, how it ended, and when a client went away."""

import asyncio
import time

import httpx
import pytest

OPENAI = {"authorization": "Bearer sk-test-secret-0002"}


async def until(question, deadline_s: float = 3):
    """Ask again until the answer is true; the last answer is returned."""
    deadline = asyncio.get_running_loop().time() + deadline_s
    while not (answer := await question()):
        assert asyncio.get_running_loop().time() < deadline, "the deadline has passed"
        await asyncio.sleep(0.01)
    return answer


def body(text: str, *, stream: bool):
    return {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": text}]}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_is_noticed_at_once(sim, stream):
    await sim.set_latency("openai", first_token_ms=0 if stream else 60_000, token_ms=30)
    sent = {"json": body("tokens: 1000", stream=stream), "headers": OPENAI}

    async def use() -> None:
        async with (
            httpx.AsyncClient(base_url=sim.url, timeout=5) as client,
            client.stream("POST", "/openai/v1/chat/completions", **sent) as response,
        ):
            async for _ in response.aiter_text():
                pass

    using = asyncio.create_task(use())
    await until(lambda: in_flight(sim))
    await asyncio.sleep(0.2)
    left_at = time.time()
    using.cancel()
    await asyncio.gather(using, return_exceptions=True)
    (closing,) = await until(lambda: closings(sim))
    assert closing["outcome"] == "client_closed"
    assert -0.05 <= closing["closed_at"] - left_at < 0.2
    assert closing["ago_s"] >= 0
    assert (0 < closing["tokens_out"] < 50) is stream
    state = await sim.state("openai")
    assert (state["client_closed"], state["in_flight"], state["faulted"]) == (1, 0, 0)
    assert state["tokens_out"] == closing["tokens_out"]


async def in_flight(sim) -> int:
    return int((await sim.state("openai"))["in_flight"])


async def closings(sim) -> list[dict]:
    return list((await sim.state("openai"))["closings"])


async def test_a_client_that_leaves_a_hanging_vendor_is_noticed(sim):
    await sim.set_faults("openai", [{"kind": "hang"}])
    async with httpx.AsyncClient(base_url=sim.url, timeout=0.2) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/openai/v1/chat/completions", json=body("hi", stream=False), headers=OPENAI)
    (closing,) = await until(lambda: closings(sim))
    assert (closing["outcome"], closing["fault"], closing["tokens_out"]) == ("client_closed", "hang", 0)


async def test_an_arrival_shows_its_end_and_of_its_key_only_four_characters(sim, ask, http):
    await ask("openai", "tokens: 3")
    await http.post("/openai/v1/chat/completions", json=body("say: x", stream=True), headers=OPENAI)
    await ask("openai", model="nope")
    first, second, third = await sim.arrivals("openai")
    assert (first["model"], first["outcome"], first["status"]) == ("gpt-4o", "served", 200)
    assert (first["tokens_in"], first["tokens_out"], first["stream"]) == (6, 3, False)
    assert (second["key_last4"], second["stream"], second["admitted"]) == ("0002", True, True)
    assert (third["model"], third["outcome"], third["status"]) == ("nope", "rejected", 404)
    assert "secret" not in str([first, second, third])
    assert abs(first["at"] - time.time()) < 5


async def test_in_flight_and_its_maximum(sim, http):
    await sim.set_latency("openai", first_token_ms=150)
    sent = {"json": body("say: x", stream=False), "headers": OPENAI}
    asked = [asyncio.create_task(http.post("/openai/v1/chat/completions", **sent)) for _ in range(6)]
    await until(lambda: in_flight(sim))
    await asyncio.gather(*asked)
    state = await sim.state("openai")
    assert (state["in_flight"], state["max_in_flight"]) == (0, 6)


async def test_a_made_up_model_gets_no_counts_of_its_own(sim, ask):
    for number in range(5):
        await ask("openai", model=f"made-up-{number}")
    state = await sim.state("openai")
    assert (state["models"], state["rejected"]) == ({}, 5)


async def test_reset_forgets_while_a_request_is_still_running(sim, http, ask):
    await sim.set_latency("openai", first_token_ms=200)
    sent = {"json": body("say: x", stream=False), "headers": OPENAI}
    running = asyncio.create_task(http.post("/openai/v1/chat/completions", **sent))
    await until(lambda: in_flight(sim))
    await sim.reset()
    assert (await running).status_code == 200
    state = await sim.state("openai")
    assert (state["arrivals"], state["in_flight"], state["tokens_out"]) == (0, 0, 0)


async def test_latency_is_believable(sim, ask):
    await sim.set_latency("openai", first_token_ms=100, token_ms=10)
    clock = asyncio.get_running_loop().time
    for stream in (False, True):
        began = clock()
        await ask("openai", "tokens: 20", stream=stream)
        assert 0.28 <= clock() - began < 1
