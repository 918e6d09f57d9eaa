"""Streams are cancelled at the vendor at once, and one that breaks is never mistaken for a whole one."""

import asyncio
import time

import pytest
from fixtures.mesh_callers import ANSWERED, Callers, at_ease, eventually, heard, listen, prompt
from llmmesh.router.v1 import router_pb2

CLOSED_WITHIN = 0.2
TRIES = 3  # a busy machine may be late now and then, a mesh that drains the vendor always is
LONG = "tokens: 2000"
BYTES_PER_TOKEN = 3.2


@pytest.fixture(autouse=True)
async def in_good_repute(callers: Callers) -> None:
    """Let the vendor serve a few, so that the faults of several tests do not add up to an open breaker."""
    for _ in range(3):
        await callers.generate("tokens: 1", use_case="plain")
    await at_ease(callers)


async def test_a_cancelled_stream_closes_the_vendor_s_connection_within_200_ms_and_pays_what_came(
    callers: Callers,
) -> None:
    await callers.simulator.set_latency("openai", token_ms=10)
    closings, received = [], 0
    for _ in range(TRIES):
        call = callers.stream(LONG, use_case="leaving")
        events: list[router_pb2.StreamGenerateResponse] = []
        async for event in call:
            events.append(event)
            if len(events) > 20:
                break
        left = time.time()
        call.cancel()
        closings.append(await seen_to_leave(callers) - left)
        received += len(heard(events).encode())
    assert min(closings) < CLOSED_WITHIN, closings
    await callers.settled()
    row = (await callers.spend("use_case", "outcome"))["leaving", "cancelled"]
    explaining = router_pb2.ExplainRouteRequest(intent=router_pb2.Intent(use_case="leaving"), prompt=prompt(LONG))
    (offer,) = (await callers.router.ExplainRoute(explaining, timeout=5)).offers
    assert (row.attempts, row.requests, row.assumed) == (TRIES, TRIES, 0)
    assert row.input_tokens == TRIES * offer.input_tokens  # nobody counted them: the estimate
    assert 0 <= row.output_tokens - received / BYTES_PER_TOKEN < 20 * TRIES


async def test_a_caller_that_hangs_up_over_http_stops_the_vendor_too(callers: Callers) -> None:
    await callers.simulator.set_latency("openai", token_ms=10)
    body = {"model": "use_case:left", "stream": True, "messages": [{"role": "user", "content": LONG}]}
    closings = []
    for _ in range(TRIES):
        async with callers.http.stream("POST", "/v1/chat/completions", json=body) as response:
            lines = response.aiter_lines()
            for _ in range(10):
                await anext(lines)
            left = time.time()
        closings.append(await seen_to_leave(callers) - left)
    assert min(closings) < CLOSED_WITHIN, closings


async def seen_to_leave(callers: Callers) -> float:
    """Wait until the vendor has seen its last client go away, in the middle of its answer; return when that was."""

    async def noticed() -> bool:
        return bool((await callers.last_arrival("openai"))["outcome"] == "client_closed")

    await eventually(noticed, 5, "the vendor to see its client go")
    arrival = await callers.last_arrival("openai")
    assert arrival["tokens_out"] < 1_000
    return float(arrival["closed_at"])


@pytest.mark.parametrize("kind", ["cut", "end"])
async def test_a_fast_stream_cut_by_the_vendor_ends_as_an_error_with_what_was_received(
    callers: Callers, kind: str
) -> None:
    await callers.simulator.set_faults("openai", [{"kind": kind, "after_tokens": 7, "times": 1}])
    events, error = await listen(callers.stream("tokens: 40", use_case="cut"))
    assert heard(events)
    assert not any(event.HasField("finish") for event in events)
    assert error is not None
    assert (error.code, error.reason.value) == ("UNAVAILABLE", "STREAM_INCOMPLETE")
    failure = error.detail(router_pb2.RouteFailure)
    assert failure is not None
    # A reset may throw away what was still on its way.
    assert failure.partial_usage.output_tokens >= (7 if kind == "end" else 1)
    assert failure.partial_usage.input_tokens > 0
    (attempt,) = failure.route.attempts
    assert (attempt.offer, attempt.outcome, attempt.reason) == ("openai/gpt-4o-mini#1", "unknown", "VENDOR_INCOMPLETE")
    assert await callers.arrived("groq") == 0


async def test_a_cut_before_the_first_word_is_repaired_in_silence(callers: Callers) -> None:
    await callers.simulator.set_faults("openai", [{"kind": "cut", "after_tokens": 0, "times": 1}])
    events, error = await listen(callers.stream(f"say: {ANSWERED}", use_case="cut"))
    assert error is None
    assert heard(events) == ANSWERED
    assert [event.start.offer for event in events if event.HasField("start")] == ["groq/openai/gpt-oss-120b#1"]
    route = events[-1].finish.route
    assert [(each.outcome, each.reason) for each in route.attempts] == [
        ("unknown", "VENDOR_INCOMPLETE"),
        ("served", ""),
    ]
    assert route.fallback_used


async def test_a_whole_stream_cut_by_the_vendor_is_answered_completely_by_the_next_offer(callers: Callers) -> None:
    await callers.simulator.set_faults("openai", [{"kind": "cut", "after_tokens": 2, "times": 1}])
    events, error = await listen(callers.stream(f"say: one two three four {ANSWERED}", use_case="whole"))
    assert error is None
    assert heard(events) == f"one two three four {ANSWERED}"
    assert [event.start.offer for event in events if event.HasField("start")] == ["groq/openai/gpt-oss-120b#1"]
    finish = events[-1].finish
    assert [attempt.outcome for attempt in finish.route.attempts] == ["unknown", "served"]
    assert finish.route.total_cost_nanos >= finish.usage.cost_nanos
    assert finish.route.attempts[0].usage.input_tokens > 0  # the broken attempt is paid for


async def test_a_restarting_stream_voids_what_came_before_with_a_second_start(callers: Callers) -> None:
    await callers.simulator.set_faults("openai", [{"kind": "cut", "after_tokens": 2, "times": 1}])
    call = callers.stream(
        f"say: one two three four {ANSWERED}", use_case="cut", stream_guarantee=router_pb2.STREAM_GUARANTEE_RESTART
    )
    events, error = await listen(call)
    assert error is None
    starts = [place for place, event in enumerate(events) if event.HasField("start")]
    assert len(starts) == 2
    assert heard(events[: starts[1]]).startswith("one")
    assert heard(events[starts[1] :]) == f"one two three four {ANSWERED}"


async def test_over_http_a_broken_stream_has_an_error_event_and_no_done(callers: Callers) -> None:
    await callers.simulator.set_faults("openai", [{"kind": "cut", "after_tokens": 7, "times": 1}])
    body = {"model": "use_case:cut", "stream": True, "messages": [{"role": "user", "content": "tokens: 40"}]}
    async with callers.http.stream("POST", "/v1/chat/completions", json=body) as response:
        text = (await response.aread()).decode()
    assert response.status_code == 200
    assert "[DONE]" not in text, text
    assert '"code":"stream_incomplete"' in text


async def test_many_cancelled_streams_leave_no_hold_and_no_connection(callers: Callers) -> None:
    await callers.simulator.set_latency("openai", first_token_ms=50, token_ms=10)

    async def leave(after: float) -> None:
        call = callers.stream("tokens: 500", use_case="left")
        try:
            async with asyncio.timeout(after):
                await listen(call)
        except TimeoutError:
            call.cancel()

    await asyncio.gather(*(leave(0.01 * number) for number in range(40)))
    await callers.settled()

    async def nobody_served() -> bool:
        return int((await callers.simulator.state("openai"))["in_flight"]) == 0

    await eventually(nobody_served, 2, "the vendor to have nobody left")
