"""The console over real sockets: files for everybody, figures for operators, nothing for other origins."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.eventually import eventually
from fixtures.fake_router import FakeRouter
from hatchling.builders.wheel import WheelBuilder
from llmmesh.router.v1 import router_pb2

from meshkit import identity
from meshkit.errors import MeshError, Reason
from meshkit.identity import Caller
from router_service.edge.console import page
from router_service.edge.server import EdgeServer

ROOT = Path(__file__).resolve().parents[3]
EVENTS = "/console/events"
OPERATOR = {"Authorization": "Bearer operator"}


class Keys:
    """Knows an operator, and a caller that is none; keys may be revoked."""

    def __init__(self) -> None:
        self.known = {"operator": Caller("ops", operator=True), "caller": Caller("alice")}

    def authenticate(self, headers: Mapping[str, str]) -> Caller:
        known = self.known.get(headers.get("authorization", "").removeprefix("Bearer "))
        if known is None:
            raise identity.stranger()
        return known


class CountingRouter(FakeRouter):
    """Counts how often it is asked how it is; the answer is another each time when it changes."""

    def __init__(self, *, changing: bool = False) -> None:
        super().__init__(told=router_pb2.GetHealthResponse(can_serve=True, serving=["acme/one#1"], use_case="default"))
        self.asked = 0
        self._changing = changing

    async def health(self, request: router_pb2.GetHealthRequest, caller: Caller) -> router_pb2.GetHealthResponse:
        self.asked += 1
        if self._changing:
            self.told.warnings[:] = [f"{self.asked} {'x' * 10_000}"]
        return self.told


@asynccontextmanager
async def running(
    router: FakeRouter | None = None, **options: Any
) -> AsyncIterator[tuple[EdgeServer, aiohttp.ClientSession]]:
    async with (
        EdgeServer("127.0.0.1:0", router or CountingRouter(), **options) as edge,
        aiohttp.ClientSession(f"http://127.0.0.1:{edge.port}") as http,
    ):
        yield edge, http


async def event(response: aiohttp.ClientResponse) -> tuple[str, Any]:
    """Read one event."""
    async with asyncio.timeout(10):
        name, data = (await response.content.readuntil(b"\n\n")).decode().rstrip("\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def open_streams(edge: EdgeServer) -> int:
    return sum(protocol.transport is not None for protocol in edge._runner.server.connections)


async def test_the_page_needs_no_key_and_allows_nothing_from_elsewhere() -> None:
    async with running(authenticate=Keys().authenticate) as (_, http), http.get("/console") as response:
        text = await response.text()
    assert (response.status, response.content_type) == (200, "text/html")
    policy = response.headers["Content-Security-Policy"].split("; ")
    assert policy[0] == "default-src 'self'"
    assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} < set(policy)
    assert "unsafe" not in " ".join(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|https?://", text)


async def test_every_file_the_page_names_is_there_with_its_kind() -> None:
    async with running(authenticate=Keys().authenticate) as (_, http):
        waiting, seen = ["console/console.css", "console/console.js", "console/icon.svg"], set()
        while waiting:
            path = waiting.pop()
            async with http.get(f"/{path}") as response:
                assert response.status == 200, path
                text = await response.text()
            assert response.content_type in page.KINDS.values()
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            seen.add(f"/{path}")
            named = re.findall(r'from "\./([\w.]+)"', text)
            waiting += [f"console/{name}" for name in named if f"/console/{name}" not in seen]
    assert seen == set(page.files()) - {page.PLACE}  # and no file is there for nothing


def test_no_script_makes_markup_of_a_text() -> None:
    written = b"".join(file.content for path, file in page.files().items() if path.endswith(".js"))
    assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", written)


async def test_a_file_that_is_known_is_not_sent_again() -> None:
    async with running() as (_, http):
        async with http.get("/console/console.js") as first:
            mark = first.headers["ETag"]
        async with http.get("/console/console.js", headers={"If-None-Match": mark}) as again:
            assert (again.status, await again.read()) == (304, b"")
        async with http.get("/console/console.js", headers={"If-None-Match": '"other"'}) as other:
            assert other.status == 200


async def test_a_slash_at_the_end_leads_to_the_page() -> None:
    async with running(authenticate=Keys().authenticate) as (_, http), http.get("/console/") as response:
        assert (response.status, response.url.path) == (200, "/console")


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, Reason.UNAUTHENTICATED),
        ({"Authorization": "Bearer wrong"}, 401, Reason.UNAUTHENTICATED),
        ({"Authorization": "Bearer caller"}, 403, Reason.FORBIDDEN),
    ],
)
async def test_only_an_operator_is_told_anything(headers: dict[str, str], status: int, reason: Reason) -> None:
    router = CountingRouter()
    async with running(router, authenticate=Keys().authenticate) as (_, http):
        for path in (EVENTS, f"{EVENTS}?key=operator"):
            async with http.get(path, headers=headers) as response:
                error = (await response.json())["error"]
            assert (response.status, error["llm_mesh"]["reason"]) == (status, reason.value)
    assert router.asked == 0


@pytest.mark.parametrize("options", [{}, {"authenticate": Keys().authenticate}])
async def test_an_operator_is_told_how_everything_is_by_events(options: dict[str, Any]) -> None:
    """Without keys, on loopback, everybody is one."""
    async with running(**options) as (_, http), http.get(EVENTS, headers=OPERATOR) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache"
        told = dict([await event(response) for _ in range(5)])
    assert set(told) == {"mesh", "vendors", "fallbacks", "standings", "spend"}
    assert told["mesh"]["serving"] == ["acme/one#1"]


async def test_a_silent_stream_says_that_it_lives() -> None:
    async with running(heartbeat=0.02) as (_, http), http.get(EVENTS) as response:
        async with asyncio.timeout(10):
            while await response.content.readuntil(b"\n\n") != b": waiting\n\n":
                pass


async def test_viewers_that_leave_free_everything_and_all_of_them_cost_one_gathering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("router_service.edge.console.console.SOON", 3_600.0)
    router = CountingRouter()
    async with running(router) as (edge, http):
        responses = [await http.get(EVENTS) for _ in range(20)]
        for response in responses:
            await event(response)
        for response in responses:
            response.close()
        await eventually(lambda: open_streams(edge) == 0)
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("console-")]
        await eventually(lambda: all(task.done() for task in tasks))
        assert router.asked == 1


async def test_a_viewer_that_reads_nothing_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router_service.edge.console.console.SOON", 0.001)
    async with running(CountingRouter(changing=True)) as (_, http), http.get(EVENTS), http.get(EVENTS) as lively:
        for _ in range(300):  # three megabytes, and the other has taken none of them
            await event(lively)


async def test_a_key_that_is_revoked_shows_nothing_more() -> None:
    keys = Keys()
    router = CountingRouter(changing=True)
    async with (
        running(router, authenticate=keys.authenticate) as (_, http),
        http.get(EVENTS, headers=OPERATOR) as response,
    ):
        await event(response)
        del keys.known["operator"]
        async with asyncio.timeout(10):
            await response.content.read()  # it ends


async def test_the_edge_ends_although_somebody_looks() -> None:
    async with asyncio.timeout(10):
        async with running() as (_, http):
            response = await http.get(EVENTS)
            await event(response)


async def test_what_the_ledger_does_not_say_is_said_to_be_missing() -> None:
    router = CountingRouter()
    router.spent = MeshError(Reason.QUOTA_UNAVAILABLE, "the quota service does not answer")
    async with running(router) as (_, http), http.get(EVENTS) as response:
        told = dict([await event(response) for _ in range(5)])
    assert told["troubles"] == {"spend": "the quota service does not answer"}
    assert "spend" not in told


async def test_pages_of_other_origins_learn_nothing_even_where_they_may_ask() -> None:
    asked = {"Origin": "https://app.example"}
    async with running(origins=["*"]) as (_, http):
        async with http.get("/v1/models", headers=asked) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
        for path in ("/console", "/console/console.js"):
            async with http.get(path, headers=asked) as response:
                assert "Access-Control-Allow-Origin" not in response.headers
                assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        async with http.get(EVENTS, headers=asked) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
        async with http.options(EVENTS, headers=asked | {"Access-Control-Request-Method": "GET"}) as response:
            assert response.status == 403


def test_the_files_are_in_the_wheel() -> None:
    inside = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    names = [path.name for path in (ROOT / "router_service/edge/console/page").iterdir()]
    assert len(names) > 10
    assert {f"router_service/edge/console/page/{name}" for name in names} <= inside
