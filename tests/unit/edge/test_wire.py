"""The edge as any HTTP client sees it: damaged requests, silence, callers that leave."""

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from fixtures.clock import ManualClock
from fixtures.fake_router import FakeRouter, answer, deltas, finish, start

from meshkit import identity, tracing
from meshkit.errors import MeshError, QuotaViolation, Reason
from meshkit.secret import Secret
from router_service.edge.server import EdgeServer

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
BOMB = gzip.compress(b" " * (13 * 1024 * 1024))
STREAM = HELLO | {"stream": True}


@asynccontextmanager
async def session(router: FakeRouter, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        EdgeServer("127.0.0.1:0", router, **options) as edge,
        aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http,
    ):
        yield http


async def events(response: aiohttp.ClientResponse) -> list[str]:
    return [event for event in (await response.text()).split("\n\n") if event]


BODIES: list[tuple[bytes, str]] = [
    (b"", "is empty"),
    (b"  \n", "is empty"),
    (b'{"messages": [', "ends too early, at line 1, column 15"),
    (b'{\n  "messages": [],\n  "model": nope}', "line 3, column"),
    ('{"é": "é" x}'.encode(), "line 1, column 11"),
    (b'{"a": 1,}', "trailing comma"),
    (b'{"a": NaN}', "invalid character at line 1, column 7"),
    (b'{"a": "\\ud800"}', "is not JSON"),
    (b'\n{"a": "\xff"}', "is not UTF-8 text: line 2, column 8"),
    (b"\xef\xbb\xbf{}", "is not JSON"),
    (b"[1]", "must be a JSON object"),
    (b'"hi"', "must be a JSON object"),
    (b"[" * 100_000, "nested deeper"),
    (b'{"a":' * 500 + b"1" + b"}" * 500, "nested deeper"),
]


@pytest.mark.parametrize(("body", "says"), BODIES)
async def test_a_body_that_is_no_json_object_is_400_and_the_place_is_named(body: bytes, says: str) -> None:
    router = FakeRouter()
    async with session(router) as http, http.post(CHAT, data=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["type"], error["param"]) == (400, "invalid_request_error", "body")
    assert says in error["message"]
    assert router.requests == []


@pytest.mark.parametrize(
    ("method", "path", "data", "headers", "status", "code", "param"),
    [
        ("POST", CHAT, b"{}", {}, 400, "invalid_request", "messages"),
        ("POST", CHAT, b"{}", {"x-request-id": "é"}, 400, "invalid_request", "x-request-id"),
        ("POST", CHAT, b"{}", {"x-request-id": "a" * 101}, 400, "invalid_request", "x-request-id"),
        ("POST", CHAT, b"{}", {"x-request-timeout": "soon"}, 400, "invalid_request", "x-request-timeout"),
        ("POST", CHAT, b"{}", {"x-request-timeout": "-1"}, 400, "invalid_request", "x-request-timeout"),
        ("POST", CHAT, b"{}", {"Content-Encoding": "gzip"}, 400, "invalid_request", "body"),
        ("POST", CHAT, b" " * (12 * 1024 * 1024 + 1), {}, 413, "request_too_large", None),
        ("POST", CHAT, BOMB, {"Content-Encoding": "gzip"}, 413, "request_too_large", None),
        ("GET", CHAT, None, {}, 405, "method_not_allowed", None),
        ("OPTIONS", CHAT, None, {}, 405, "method_not_allowed", None),
        ("GET", "/nowhere", None, {}, 404, "unknown_path", None),
        ("GET", "/v1/models?all=perhaps", None, {}, 400, "invalid_request", "all"),
    ],
)  # fmt: skip
async def test_a_wrong_request_has_a_status_a_code_and_a_param(  # noqa: PLR0917 - a table row
    method: str, path: str, data: bytes | None, headers: dict[str, str], status: int, code: str, param: str | None
) -> None:
    content = io.BytesIO(data) if data else None
    async with session(FakeRouter()) as http, http.request(method, path, data=content, headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (status, code, param)
    assert set(error) == {"message", "type", "code", "param", "llm_mesh"}
    assert response.headers["x-request-id"] == error["llm_mesh"]["request_id"]


async def test_an_unknown_path_is_told_what_exists_but_only_to_whoever_has_the_key() -> None:
    async with session(FakeRouter(), authenticate=identity.with_key(Secret("right"))) as http:
        async with http.get("/nowhere") as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
            assert (await response.json())["error"]["message"] == "the caller's key is missing or wrong"
        async with http.get("/nowhere", headers={"X-API-Key": "right"}) as response:
            assert "POST /v1/chat/completions" in (await response.json())["error"]["message"]
        async with http.get(
            "/v1/models", headers={"Authorization": b"Bearer \xff\xfe".decode(errors="surrogateescape")}
        ) as response:
            assert response.status == 401


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("/v1/responses", "POST /v1/chat/completions"),
        ("/v1/completions", "POST /v1/chat/completions"),
        ("/v1/messages", "POST /v1/chat/completions"),
        ("/api/embed", "POST /v1/embeddings"),
        ("/api/tags", "GET /v1/models"),
    ],
)
async def test_a_path_of_another_interface_is_404_and_says_what_to_use(path: str, instead: str) -> None:
    async with session(FakeRouter()) as http, http.post(path, json=HELLO) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (404, "unknown_path")
    assert f"instead of {path} use {instead};" in error["message"]


async def test_a_body_over_the_cap_is_refused_before_it_is_sent() -> None:
    async with EdgeServer("127.0.0.1:0", FakeRouter()) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n{" % CHAT.encode())
        async with asyncio.timeout(10):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_a_full_budget_tells_its_limits_in_headers() -> None:
    full = [
        QuotaViolation("a/requests/day", "", unit="requests", limit=100, left=0, again=3_723.2),
        QuotaViolation("b/requests/minute", "", unit="requests", limit=5, left=1, again=1),
        QuotaViolation("a/tokens/minute", "", unit="tokens", limit=9_000, left=12, again=0.25),
        QuotaViolation("a/nanodollars/once", "", unit="nanodollars", limit=9, left=0),
    ]
    router = FakeRouter(answer=MeshError(Reason.BUDGET_EXHAUSTED, "nothing is left", quota=full))
    async with session(router) as http, http.post(CHAT, json=HELLO) as response:
        told = {name.lower(): value for name, value in response.headers.items() if name.lower().startswith("x-rate")}
    assert response.status == 429
    assert told == {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1h2m4s",
        "x-ratelimit-limit-tokens": "9000",
        "x-ratelimit-remaining-tokens": "12",
        "x-ratelimit-reset-tokens": "250ms",
    }


async def test_what_is_said_to_a_wrong_key_is_the_same_whatever_the_key() -> None:
    """No part of it, and nothing that is computed from it: a hash of a key would tell it from others."""
    said = set()
    async with session(FakeRouter(), authenticate=identity.with_key(Secret("right"))) as http:
        for key in ("wrong", "also-wrong", "x" * 4_000, "right "[:4]):
            headers = {"Authorization": f"Bearer {key}", "X-Request-Id": "the-same"}
            async with http.get("/v1/models", headers=headers) as response:
                kept = {name: value for name, value in response.headers.items() if name.lower() != "date"}
                said.add((response.status, await response.text(), *kept.items()))
    assert len(said) == 1


@pytest.mark.parametrize("path", ["/healthz", "/health", "/api/coordination/health"])
async def test_health_is_exactly_ok_or_503_with_the_reason_and_needs_no_key(path: str) -> None:
    router = FakeRouter()
    async with session(router, authenticate=identity.with_key(Secret("right"))) as http:
        async with http.get(path) as response:
            assert (response.status, await response.json()) == (200, {"status": "ok"})
        router.trouble = "no vendor has a key"
        async with http.get(path) as response:
            body = await response.json()
            assert (response.status, body) == (503, {"status": "unavailable", "reason": "no vendor has a key"})


async def test_json_is_read_whatever_the_content_type_and_compression() -> None:
    router = FakeRouter(answer=answer("hi"))
    async with session(router, clock=ManualClock(1_700_000_000.0)) as http:
        body = gzip.compress(json.dumps(HELLO).encode())
        async with http.post(CHAT, data=body, headers={"Content-Encoding": "gzip"}) as response:
            reply = await response.json()
    assert (response.status, response.content_type, reply["created"]) == (200, "application/json", 1_700_000_000)


@pytest.mark.parametrize(
    ("headers", "deadline"),
    [
        ({}, 7.0),
        ({"x-request-timeout": "2.5"}, 2.5),
        ({"x-stainless-timeout": "30"}, 30.0),
        ({"x-stainless-read-timeout": "600"}, 600.0),
        ({"x-stainless-read-timeout": "1"}, 7.0),
        ({"x-request-timeout": "1e9"}, 3600.0),
    ],
)
async def test_the_deadline_is_the_caller_s_or_the_default(headers: dict[str, str], deadline: float) -> None:
    router = FakeRouter(answer=answer("hi"))
    async with session(router, default_deadline=7.0) as http, http.post(CHAT, json=HELLO, headers=headers) as response:
        assert response.status == 200
    assert router.deadlines == [deadline]


@pytest.mark.parametrize("body", [HELLO, STREAM])
async def test_a_router_that_forgets_its_deadline_is_stopped(body: dict[str, Any]) -> None:
    router = FakeRouter(steps=[start(), None])
    async with (
        session(router, default_deadline=0.01) as http,
        http.post(CHAT, json=body) as response,
    ):
        assert (response.status, (await response.json())["error"]["code"]) == (504, "deadline_exceeded")
    assert router.closed.is_set()


@pytest.mark.parametrize("body", [HELLO, STREAM])
async def test_a_caller_that_leaves_stops_the_request_at_once_and_quietly(
    body: dict[str, Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    router = FakeRouter(steps=[start(), deltas("Hel"), None])
    async with session(router) as http:
        asking = asyncio.create_task(http.post(CHAT, json=body))
        await asyncio.wait_for(router.began.wait(), 5)
        if body is STREAM:
            response = await asking
            await response.content.readuntil(b"\n\n")
            response.close()
        else:
            asking.cancel()
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(router.closed.wait(), 5)
    assert asyncio.get_running_loop().time() - began < 2
    assert (caplog.records, capsys.readouterr().err) == ([], "")


@pytest.mark.parametrize("host", ["localhost", "refused.example"])
async def test_a_caller_that_leaves_while_still_sending_is_no_defect(
    host: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    router = FakeRouter(answer=answer("hi"))
    async with EdgeServer("127.0.0.1:0", router) as edge:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http,
            http.post(CHAT, json=HELLO) as response,
        ):
            assert response.status == 200
    assert (len(router.requests), caplog.records, capsys.readouterr().err) == (1, [], "")


async def test_a_caller_that_reads_nothing_does_not_hold_the_request_beyond_its_deadline(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    flood = [start(), *[deltas("x" * 100_000)] * 400, finish()]
    router = FakeRouter(steps=flood)
    async with EdgeServer("127.0.0.1:0", router, default_deadline=0.05) as edge:
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port, limit=1)
        content = json.dumps(STREAM).encode()
        writer.write(
            b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (CHAT.encode(), len(content))
        )
        writer.write(content)
        await asyncio.wait_for(router.closed.wait(), 5)
        writer.close()
    assert (caplog.records, capsys.readouterr().err) == ([], "")


async def test_silence_sends_headers_and_comments_and_a_late_failure_is_an_event() -> None:
    gate = asyncio.Event()
    router = FakeRouter(steps=[gate, MeshError(Reason.ROUTE_EXHAUSTED, "every offer failed")])
    async with session(router, patience=0.01, heartbeat=0.01) as http, http.post(CHAT, json=STREAM) as response:
        for _ in range(3):
            assert await response.content.readuntil(b"\n\n") == b": waiting\n\n"
        gate.set()
        seen = await events(response)
    assert (response.status, response.content_type) == (200, "text/event-stream")
    assert json.loads(seen[-1].removeprefix("data: "))["error"]["code"] == "route_exhausted"


async def test_comments_fill_silence_between_pieces_and_pieces_still_arrive_whole() -> None:
    gate = asyncio.Event()
    router = FakeRouter(steps=[start(), deltas("a", "b"), gate, deltas("c"), finish()])
    async with session(router, heartbeat=0.01) as http, http.post(CHAT, json=STREAM) as response:
        before = [await response.content.readuntil(b"\n\n") for _ in range(4)]
        gate.set()
        seen = [event for event in await events(response) if event != ": waiting"]
    assert [event[:6] for event in before] == [b"data: "] * 3 + [b": wait"]
    assert json.loads(seen[0].removeprefix("data: "))["choices"][0]["delta"] == {"content": "c"}
    assert seen[-1] == "data: [DONE]"
    assert response.headers["x-llm-mesh-offer"] == "acme/parrot-1#1"
    assert response.headers["Cache-Control"] == "no-cache"


async def test_one_connection_serves_a_failed_stream_and_then_another_request() -> None:
    router = FakeRouter(steps=[start(), deltas("a"), MeshError(Reason.STREAM_INCOMPLETE, "cut")], answer=answer("hi"))
    async with EdgeServer("127.0.0.1:0", router) as edge:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}", connector=connector) as http:
            async with http.post(CHAT, json=STREAM) as response:
                assert "data: [DONE]" not in await events(response)
            async with http.post(CHAT, json=HELLO) as response:
                assert response.status == 200


async def test_a_defect_after_the_stream_began_shows_neither_its_text_nor_done() -> None:
    steps = [start(), deltas("a"), ConnectionResetError("sk-secret")]
    async with session(FakeRouter(steps=steps)) as http, http.post(CHAT, json=STREAM) as response:
        seen = await events(response)
    assert json.loads(seen[-1].removeprefix("data: "))["error"]["code"] == "internal"
    assert "sk-secret" not in "".join(seen)


async def test_the_caller_s_trace_goes_on_inside() -> None:
    class Traced(FakeRouter):
        async def generate(self, request: Any, caller: Any, deadline: float) -> Any:
            self.requests.append(dict(tracing.outgoing()))
            return answer("hi")

    router = Traced()
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traceparent = f"00-{trace_id}-b7ad6b7169203331-00"
    async with session(router) as http, http.post(CHAT, json=HELLO, headers={"traceparent": traceparent}):
        assert trace_id in router.request["traceparent"]


async def test_closing_the_edge_cuts_what_still_runs_and_frees_the_port() -> None:
    router = FakeRouter(answer=answer("hi"))
    async with EdgeServer("127.0.0.1:0", router) as edge:
        address = f"127.0.0.1:{edge.port}"
    async with EdgeServer(address, router) as edge:
        assert f"127.0.0.1:{edge.port}" == address
