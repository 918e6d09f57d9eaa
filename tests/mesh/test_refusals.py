"""What callers are told when nothing can serve them in time, and that nothing is left held."""

import contextlib

import grpc
from fixtures.mesh_callers import ANSWERED, Callers, prompt, refusal
from llmmesh.router.v1 import router_pb2

DAY = 86_400


async def test_budgets_exhausted_everywhere_are_named_with_the_time_to_come_back(callers: Callers) -> None:
    for _ in range(2):  # one request each; another test may have used them up before
        with contextlib.suppress(grpc.aio.AioRpcError):
            await callers.generate(f"say: {ANSWERED}", use_case="dry")
    await callers.settled()
    before = await callers.spend()
    error = await refusal(callers.generate(f"say: {ANSWERED}", use_case="dry"))
    assert (error.code, error.reason.value) == ("RESOURCE_EXHAUSTED", "BUDGET_EXHAUSTED")
    assert [violation.subject for violation in error.quota] == [
        "groq/default/qwen/qwen3.8-27b/requests/rolling:86400s",
        "gemini/default/gemini-2.5-flash-lite/requests/rolling:86400s",
    ]
    assert error.retry_after is not None
    assert 0.9 * DAY < error.retry_after < 1.1 * DAY
    failure = error.detail(router_pb2.RouteFailure)
    assert failure is not None
    assert failure.route.skipped["budget"] == 2
    assert await callers.spend() == before


async def test_a_use_case_of_its_own_budget_is_refused_whoever_could_serve(callers: Callers) -> None:
    error = await refusal(callers.generate("hello", use_case="capped"))
    assert (error.code, error.reason.value) == ("RESOURCE_EXHAUSTED", "BUDGET_EXHAUSTED")
    assert [violation.subject for violation in error.quota] == ["use_case/capped/requests/day"]
    assert await callers.arrived("openai") == 0


async def test_a_deadline_shorter_than_any_answer_passes_and_the_hold_is_settled(callers: Callers) -> None:
    await callers.simulator.set_latency("openai", first_token_ms=5_000)
    error = await refusal(callers.generate("tokens: 5", use_case="late", timeout=1.5))
    assert error.code == "DEADLINE_EXCEEDED"
    await callers.settled()
    spent = await callers.spend("use_case", "outcome")
    rows = {outcome: row for (use_case, outcome), row in spent.items() if use_case == "late"}
    assert set(rows) <= {"cancelled", "unknown"}
    (row,) = rows.values()
    assert (row.attempts, row.requests, row.assumed) == (1, 1, 0)
    assert row.input_tokens > 0


async def test_a_deadline_over_http_is_a_504(callers: Callers) -> None:
    await callers.simulator.set_latency("openai", first_token_ms=5_000)
    body = {"model": "use_case:late", "messages": [{"role": "user", "content": "hello"}]}
    reply = await callers.http.post("/v1/chat/completions", json=body, headers={"x-request-timeout": "0.4"})
    assert reply.status_code == 504
    assert reply.json()["error"]["type"] == "timeout_error"


async def test_a_request_id_is_served_once_and_then_told_its_route(callers: Callers) -> None:
    intent = router_pb2.Intent(use_case="plain")
    request = router_pb2.GenerateRequest(request_id="once-1", intent=intent, prompt=prompt(f"say: {ANSWERED}"))
    first = await callers.router.Generate(request, timeout=5)
    error = await refusal(callers.router.Generate(request, timeout=5))
    assert (error.code, error.reason.value) == ("ALREADY_EXISTS", "REQUEST_REPEATED")
    failure = error.detail(router_pb2.RouteFailure)
    assert failure is not None
    assert failure.route == first.route
    assert await callers.arrived("openai") == 1
    body = {"model": "use_case:plain", "messages": [{"role": "user", "content": "hello"}]}
    reply = await callers.http.post("/v1/chat/completions", json=body, headers={"x-request-id": "once-1"})
    assert reply.status_code == 409
    assert reply.headers["x-should-retry"] == "false"
