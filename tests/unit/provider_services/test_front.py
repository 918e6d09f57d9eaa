"""Another configuration under a running provider service: what it serves by from then on, and what stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType

import grpc
import pytest
from aiohttp import web
from fixtures.eventually import eventually
from fixtures.provider import KEYS
from fixtures.vendor_server import http_vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import DescribeRequest, GenerateRequest, GenerateResponse, Target
from llmmesh.provider.v1.provider_pb2_grpc import ProviderServiceStub

from catalog.mesh import Mesh, load_mesh
from meshkit.clock import SystemClock
from meshkit.errors import StartError
from meshkit.server import GrpcServer
from provider_services.app import SERVICE
from provider_services.front import Front

REPLY = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
MODEL = "openai/gpt-oss-120b"


@dataclass
class Vendor:
    """A vendor over HTTP that answers when it may, and counts its connections."""

    url: str
    may: asyncio.Event
    arrived: int = 0


@asynccontextmanager
async def vendor_that_waits() -> AsyncIterator[Vendor]:
    told = Vendor("", asyncio.Event())

    async def serve(_request: web.Request) -> web.Response:
        told.arrived += 1
        await told.may.wait()
        return web.json_response(REPLY)

    async with http_vendor(serve) as told.url:
        yield told


def configured(endpoint: str, **timeouts: float) -> Mesh:
    mesh = load_mesh(None, {**KEYS, "MESH_GROQ_ENDPOINT": endpoint})
    return replace(mesh, timeouts=replace(mesh.timeouts, **timeouts))


@asynccontextmanager
async def fronted(mesh: Mesh) -> AsyncIterator[tuple[Front, ProviderServiceStub]]:
    async with AsyncExitStack() as stack:
        notes = {"mesh": "the last good one stays in use"}
        front = await stack.enter_async_context(Front("groq", mesh, KEYS, SystemClock(), lambda: notes))
        server = await stack.enter_async_context(GrpcServer("127.0.0.1:0", [front.register], [SERVICE]))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{server.port}"))
        yield front, ProviderServiceStub(channel)


async def ask(stub: ProviderServiceStub) -> GenerateResponse:
    prompt = chat_pb2.Prompt()
    prompt.messages.add(role=chat_pb2.ROLE_USER).parts.add().text.text = "Hi"
    response: GenerateResponse = await stub.Generate(
        GenerateRequest(target=Target(model=MODEL, slot=1), prompt=prompt), timeout=30
    )
    return response


async def take(front: Front, mesh: Mesh) -> None:
    front.take(mesh, await front.make(mesh))


async def test_a_configuration_that_says_the_same_of_the_vendor_makes_nothing_new():
    mesh = configured("http://127.0.0.1:1")
    async with fronted(mesh) as (front, _):
        other = replace(
            mesh, vendors=MappingProxyType({**mesh.vendors, "xai": replace(mesh.vendors["xai"], enabled=False)})
        )
        assert await front.make(other) is None


async def test_other_time_limits_and_models_keep_the_connections_and_the_incarnation():
    async with vendor_that_waits() as vendor:
        vendor.may.set()
        mesh = configured(vendor.url)
        async with fronted(mesh) as (front, stub):
            before, made = await stub.Describe(DescribeRequest()), front._made
            await take(front, configured(vendor.url, total=7.0))
            assert front._made is not made
            assert front._made.slots is made.slots
            assert front._service._timeouts.total == 7.0
            assert (await stub.Describe(DescribeRequest())).incarnation == before.incarnation
            assert (await ask(stub)).completion.choices[0].parts[0].text.text == "yes"


async def test_a_call_ends_where_it_began_though_the_endpoint_is_another_meanwhile():
    async with vendor_that_waits() as old, vendor_that_waits() as new:
        new.may.set()
        async with fronted(configured(old.url)) as (front, stub):
            before = await stub.Describe(DescribeRequest())
            asking = asyncio.create_task(ask(stub))
            await eventually(lambda: bool(old.arrived))
            await take(front, configured(new.url))
            await ask(stub)
            assert (old.arrived, new.arrived) == (1, 1)
            old.may.set()
            assert (await asking).completion.choices[0].parts[0].text.text == "yes"
            after = await stub.Describe(DescribeRequest())
            assert after.incarnation != before.incarnation, "its keys may be others there: routers try them anew"


async def test_an_impossible_row_changes_nothing():
    mesh = configured("http://127.0.0.1:1")
    async with fronted(mesh) as (front, _):
        made = front._made
        odd = replace(mesh.catalog.vendors["groq"], quirks=("reads_minds",))
        catalog = replace(mesh.catalog, vendors=MappingProxyType({**mesh.catalog.vendors, "groq": odd}))
        with pytest.raises(StartError, match="unknown quirks reads_minds"):
            await front.make(replace(mesh, catalog=catalog))
        assert front._made is made


async def test_what_is_wrong_with_the_files_is_told_with_the_warnings_of_the_keys():
    async with fronted(configured("http://127.0.0.1:1")) as (_, stub):
        described = await stub.Describe(DescribeRequest())
        assert list(described.warnings) == ["mesh: the last good one stays in use"]
