"""What is found out about a local server: which models it has, that it is away, and that it is back."""

import asyncio
import json

import pytest
from aiohttp import web
from fixtures.clock import ManualClock
from fixtures.provider import provider
from fixtures.vendor_server import http_vendor, raw_vendor
from llmmesh.provider.v1.provider_pb2 import DescribeRequest, DescribeResponse

from provider_services import discovery
from provider_services.watch import Patience

CONFIGURED, UNREACHABLE = DescribeResponse.STATE_CONFIGURED, DescribeResponse.STATE_UNREACHABLE


class Server:
    """A local server whose models can be changed, and that can be out of order."""

    def __init__(self, *models: str) -> None:
        self.models = list(models)
        self.broken = False
        self.asked = 0

    async def __call__(self, request: web.Request) -> web.Response:
        assert (request.method, request.path) == ("GET", "/api/tags")
        self.asked += 1
        if self.broken:
            return web.Response(status=502, text="bad gateway")
        rows = [{"name": name, "model": name, "size": 1} for name in self.models]
        return web.Response(text=json.dumps({"models": rows}), content_type="application/json")


async def described(stub):
    return await stub.Describe(DescribeRequest(), timeout=5)


def models(found):
    return [model.id for model in found.models]


async def test_its_models_are_named_as_callers_name_them_and_asked_for_every_ten_seconds():
    clock, server = ManualClock(), Server("llama3.1:8b", "qwen3:4b", "nomic-embed-text:latest")
    async with http_vendor(server.__call__) as url, provider("ollama", url, {}, clock) as stub:
        assert models(await described(stub)) == ["llama3.1:8b", "qwen3:4b", "nomic-embed-text"]
        server.models.append("mistral:7b")
        assert len(models(await described(stub))) == 3
        clock.advance(10)
        assert models(await described(stub))[-1] == "mistral:7b"
    assert server.asked == 2


async def test_a_server_that_fails_is_unreachable_keeps_its_models_and_is_noticed_when_it_is_back(capfd):
    clock, server = ManualClock(), Server("llama3.1:8b")
    async with http_vendor(server.__call__) as url, provider("ollama", url, {}, clock) as stub:
        await described(stub)
        server.broken = True
        clock.advance(10)
        found = await described(stub)
        assert [slot.state for slot in found.slots] == [UNREACHABLE]
        assert found.slots[0].reason == "bad gateway"
        assert models(found) == ["llama3.1:8b"]
        server.broken = False
        assert (await described(stub)).slots[0].state == UNREACHABLE
        clock.advance(2)
        assert (await described(stub)).slots[0].state == CONFIGURED
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"discovery"' in line]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "no list of models"),
        ("info", "lists its models again"),
    ]


async def test_a_server_that_was_never_there_is_found_when_it_comes(unused_tcp_port):
    clock, server = ManualClock(), Server("llama3.1:8b")
    async with provider("ollama", f"http://127.0.0.1:{unused_tcp_port}", {}, clock) as stub:
        found = await described(stub)
        assert [slot.state for slot in found.slots] == [UNREACHABLE]
        assert found.slots[0].reason == "127.0.0.1: connection refused or impossible"
        application = web.Application()
        application.router.add_get("/{path:.*}", server.__call__)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
        clock.advance(2)
        assert (await described(stub)).slots[0].state == CONFIGURED
        await runner.cleanup()


async def test_a_server_that_hangs_is_unreachable_before_the_one_who_asks_loses_patience():
    async def silent(reader, writer):
        await asyncio.sleep(60)

    async with raw_vendor(silent) as url, provider("ollama", url, {}) as stub:
        found = await stub.Describe(DescribeRequest(), timeout=3)  # as long as a router waits
    assert [slot.state for slot in found.slots] == [UNREACHABLE]
    assert found.slots[0].reason == "the answer was not whole after 2 s"


async def test_a_busy_server_that_answered_before_is_unreachable_only_when_it_has_been_silent_three_times(monkeypatch):
    clock, server, busy = ManualClock(), Server("llama3.1:8b"), asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if busy.is_set():
            await asyncio.sleep(60)
        return await server(request)

    async with http_vendor(answer) as url, provider("ollama", url, {}, clock) as stub:
        await described(stub)
        usual = discovery.PATIENCE
        monkeypatch.setattr(discovery, "PATIENCE", Patience(connect=1.0, first=0.05, idle=0.05, total=0.05))
        busy.set()
        states = []
        for seconds in (10, 2, 2):
            clock.advance(seconds)
            states.append((await described(stub)).slots[0].state)
        assert states == [CONFIGURED, CONFIGURED, UNREACHABLE]
        busy.clear()
        monkeypatch.setattr(discovery, "PATIENCE", usual)
        clock.advance(2)
        assert (await described(stub)).slots[0].state == CONFIGURED


@pytest.mark.parametrize("said", ["<html>a router's login page</html>", "[]", '{"models": 3}', "", "{"])
async def test_something_else_at_its_address_is_not_it(said):
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=said)

    async with http_vendor(handler) as url, provider("ollama", url, {}) as stub:
        found = await described(stub)
    assert [slot.state for slot in found.slots] == [UNREACHABLE]
    assert found.slots[0].reason
