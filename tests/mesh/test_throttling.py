"""A vendor that asks for a pause gets one, and one that keeps failing is left alone until it is well."""

import asyncio
import re
import time

from fixtures.mesh_callers import Callers, eventually
from llmmesh.router.v1 import router_pb2


async def test_a_vendor_s_own_limit_per_minute_makes_it_cool_while_the_next_one_serves(callers: Callers) -> None:
    limits = [{"unit": "requests", "per": "minute", "amount": 3, "scope": "model"}]
    await callers.simulator.set_limits("openai", limits)
    vendors = [(await callers.generate("tokens: 2", use_case="cooling")).route.vendor for _ in range(8)]
    assert vendors == ["openai"] * 3 + ["ollama"] * 5
    state = await callers.simulator.state("openai")
    assert (state["admitted"], state["refused"]) in {(3, 1), (3, 0)}  # 0: its headers already said so
    closures = {closure.subject: closure.reason for closure in (await callers.budgets()).closures}
    budgets = {budget.id: budget for budget in (await callers.budgets("openai")).budgets}
    assert closures.get("openai/default/gpt-4o") == "throttled", (closures, budgets)
    reply = await callers.generate("tokens: 2", use_case="cooling")
    assert reply.route.fallback_used
    assert reply.route.skipped == {"cooling": 1}
    assert "cooling" in reply.route.primary_error
    assert (await callers.simulator.state("openai"))["arrivals"] == state["arrivals"]


async def test_a_pause_asked_for_is_kept_to_the_second_and_then_over(callers: Callers) -> None:
    asked = {"kind": "status", "status": 429, "headers": {"retry-after": "2"}, "times": 1}
    await callers.simulator.set_faults("gemini", [asked])
    first = await callers.generate("tokens: 2", use_case="pausing")
    began = time.monotonic()
    assert [(attempt.outcome, attempt.reason) for attempt in first.route.attempts] == [
        ("failed", "VENDOR_THROTTLED"),
        ("served", ""),
    ]
    while (reply := await callers.generate("tokens: 2", use_case="pausing")).route.fallback_used:
        assert time.monotonic() - began < 20, reply.route
        assert await callers.arrived("gemini") == 1  # none knocks while it cools
        await asyncio.sleep(0.1)
    assert 1.8 < time.monotonic() - began < 20
    assert await callers.arrived("gemini") == 2


async def test_a_failing_vendor_s_breaker_opens_it_is_skipped_uncalled_and_closes_after_recovery(
    callers: Callers,
) -> None:
    assert await state_of(callers, "gemini") == "closed"
    await callers.simulator.set_faults("gemini", [{"kind": "status", "status": 502}])
    for number in range(5):
        reply = await callers.generate("tokens: 2", use_case="failing")
        assert (reply.route.vendor, reply.route.fallback_used) == ("ollama", True), number
        assert reply.route.attempts[0].reason == "VENDOR_SERVER"
    assert await state_of(callers, "gemini") == "open"
    arrived = await callers.arrived("gemini")
    replies = [await callers.generate("tokens: 2", use_case="failing") for _ in range(10)]
    assert {reply.route.vendor for reply in replies} == {"ollama"}
    assert {tuple(reply.route.skipped.items()) for reply in replies} == {(("breaker_open", 1),)}
    assert await callers.arrived("gemini") == arrived  # not one call
    vendors = {vendor.id: vendor for vendor in await listed(callers)}
    assert [breaker.state for breaker in vendors["gemini"].breakers] == ["open"]

    await callers.simulator.set_faults("gemini", [])

    async def serves_again() -> bool:
        return bool((await callers.generate("tokens: 2", use_case="failing")).route.vendor == "gemini")

    await eventually(serves_again, 10, "the probe")
    assert await state_of(callers, "gemini") == "closed"
    assert await callers.arrived("gemini") == arrived + 1


async def test_failures_of_the_request_itself_open_no_breaker(callers: Callers) -> None:
    refused = {"error": {"message": "no such parameter", "type": "invalid_request_error", "code": None, "param": None}}
    await callers.simulator.set_faults("openai", [{"kind": "status", "status": 400, "body": refused, "times": 8}])
    for _ in range(8):
        call = callers.http.post(
            "/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
        )
        assert (await call).status_code == 400
    assert await state_of(callers, "openai") == "closed"


async def listed(callers: Callers) -> list[router_pb2.Vendor]:
    return list((await callers.router.ListVendors(router_pb2.ListVendorsRequest(), timeout=5)).vendors)


async def state_of(callers: Callers, vendor: str) -> str:
    """Read the state of a breaker off the router's metrics."""
    page = (await callers.http.get(f"{callers.mesh.admin['router']}/metrics")).text
    (state,) = re.findall(rf'mesh_breaker_state{{state="(\w+)",subject="{vendor}"}} 1.0', page)
    return str(state)
