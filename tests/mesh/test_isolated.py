"""A provider service that is killed costs its callers nothing but a fallback."""

import asyncio
import time

import pytest
from fixtures.mesh_callers import ANSWERED, Callers, eventually, heard, listen
from llmmesh.router.v1 import router_pb2

FIRST, SECOND = "groq/openai/gpt-oss-120b#1", "openai/gpt-4o-mini#1"


async def killed_while(callers: Callers, condition: str, call: asyncio.Task[object]) -> None:
    """Kill the provider service of the first choice once its vendor is answering."""

    async def answering() -> bool:
        state = await callers.simulator.state("groq")
        return bool(state[condition]) or call.done()

    await eventually(answering, 5, "the vendor to be asked")
    callers.mesh.kill("provider-groq")


async def test_a_provider_killed_while_it_serves_shows_as_a_fallback_not_as_an_error(guarded: Callers) -> None:
    await guarded.simulator.set_latency("groq", first_token_ms=3_000)
    asking = asyncio.create_task(guarded.generate(f"say: {ANSWERED}", use_case="two"))
    await killed_while(guarded, "in_flight", asking)
    reply = await asking
    assert (reply.route.offer, reply.route.fallback_used) == (SECOND, True)
    assert [attempt.outcome for attempt in reply.route.attempts] == ["unknown", "served"]
    assert reply.route.attempts[0].reason == "VENDOR_INCOMPLETE"
    assert reply.route.attempts[0].usage.input_tokens > 0  # it may have been spent

    # Until it is back nobody sees an error, and no call is charged that was never made.
    began = time.monotonic()
    while (reply := await guarded.generate(f"say: {ANSWERED}", use_case="two")).route.offer != FIRST:
        assert time.monotonic() - began < 30, reply.route
        assert {attempt.outcome for attempt in reply.route.attempts} <= {"released", "served"}
        await asyncio.sleep(0.05)


async def test_fifty_callers_do_not_notice_that_a_provider_is_killed_under_them(guarded: Callers) -> None:
    await guarded.simulator.set_latency("groq", first_token_ms=300)
    asking = [asyncio.create_task(guarded.generate("tokens: 3", use_case="two")) for _ in range(50)]
    await killed_while(guarded, "in_flight", asking[0])
    replies = await asyncio.gather(*asking)
    assert {reply.route.vendor for reply in replies} <= {"groq", "openai"}
    assert "openai" in {reply.route.vendor for reply in replies}


async def test_a_provider_killed_before_the_first_word_of_a_stream_is_not_noticed(guarded: Callers) -> None:
    await guarded.simulator.set_latency("groq", first_token_ms=3_000)
    listening = asyncio.create_task(listen(guarded.stream(f"say: one two {ANSWERED}", use_case="two")))
    await killed_while(guarded, "in_flight", listening)
    events, error = await listening
    assert error is None
    assert heard(events) == f"one two {ANSWERED}"
    assert events[-1].finish.route.offer == SECOND


@pytest.mark.parametrize("use_case", ["two", "two_whole"])
async def test_a_provider_killed_within_a_stream_ends_it_as_its_guarantee_says(guarded: Callers, use_case: str) -> None:
    await guarded.simulator.set_latency("groq", token_ms=50)
    listening = asyncio.create_task(listen(guarded.stream("tokens: 100", use_case=use_case)))
    await asyncio.sleep(1)
    await killed_while(guarded, "in_flight", listening)
    events, error = await listening
    if use_case == "two_whole":
        assert error is None
        assert [attempt.outcome for attempt in events[-1].finish.route.attempts] == ["unknown", "served"]
        return
    assert error is not None
    assert (error.code, error.reason.value) == ("UNAVAILABLE", "STREAM_INCOMPLETE")
    failure = error.detail(router_pb2.RouteFailure)
    assert failure is not None
    assert failure.partial_usage.output_tokens > 0
