"""The boundary of a server, over a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from llmmesh.quota.v1 import quota_pb2, quota_pb2_grpc
from llmmesh.router.v1 import router_pb2, router_pb2_grpc

from meshkit import identity, status, tracing
from meshkit.boundary import DEADLINE_TRAILER, Boundary
from meshkit.channel import open_channel
from meshkit.errors import MeshError, Reason, StartError, invalid
from meshkit.secret import Secret
from meshkit.server import GrpcServer

QUOTA = quota_pb2.DESCRIPTOR.services_by_name["QuotaService"].full_name


class Quota(quota_pb2_grpc.QuotaServiceServicer):
    def __init__(self, behaviour: Any) -> None:
        self.behaviour = behaviour

    async def Apply(self, request: Any, context: Any) -> Any:
        return await self.behaviour()


class Streaming(router_pb2_grpc.RouterServiceServicer):
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def StreamGenerate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield router_pb2.StreamGenerateResponse()
                await asyncio.sleep(0.01)
        finally:
            self.closed.set()


@asynccontextmanager
async def quota(behaviour: Any, **options: Any) -> AsyncIterator[Any]:
    def register(server: grpc.aio.Server) -> None:
        quota_pb2_grpc.add_QuotaServiceServicer_to_server(Quota(behaviour), server)

    async with (
        GrpcServer("127.0.0.1:0", [register], [QUOTA], boundary=Boundary(**options)) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield quota_pb2_grpc.QuotaServiceStub(channel)


async def failure(call: Any) -> MeshError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return status.from_rpc_error(caught.value)


async def test_a_mesh_error_reaches_the_caller_with_its_details() -> None:
    async def behaviour() -> Any:
        raise invalid("operations", "must not be empty")

    async with quota(behaviour) as stub:
        error = await failure(stub.Apply(quota_pb2.ApplyRequest(), timeout=5))
    assert (error.reason, error.code) == (Reason.INVALID_REQUEST, "INVALID_ARGUMENT")
    assert error.fields[0].field == "operations"


async def test_a_defect_reaches_the_caller_without_its_text(capfd: pytest.CaptureFixture[str]) -> None:
    async def behaviour() -> Any:
        raise ValueError("the prompt was: secret")

    async with quota(behaviour) as stub:
        error = await failure(stub.Apply(quota_pb2.ApplyRequest(), timeout=5))
    assert (error.reason, error.code) == (Reason.INTERNAL, "INTERNAL")
    assert "secret" not in error.message
    logged = capfd.readouterr().err
    assert "ValueError" in logged
    assert "secret" not in logged


async def test_a_call_without_a_deadline_gets_the_default_one_and_is_told() -> None:
    async def behaviour() -> Any:
        await asyncio.sleep(30)

    async with quota(behaviour, default_deadline=0.05) as stub:
        call = stub.Apply(quota_pb2.ApplyRequest())
        error = await failure(call)
        assert error.reason is Reason.DEADLINE_EXCEEDED
        assert (DEADLINE_TRAILER, "0.05") in tuple(await call.trailing_metadata())


async def test_a_caller_without_the_key_is_turned_away_and_one_with_it_is_local() -> None:
    seen = []

    async def behaviour() -> Any:
        seen.append(identity.current.get())
        return quota_pb2.ApplyResponse()

    async with quota(behaviour, authenticate=identity.with_key(Secret("k-1"))) as stub:
        request = quota_pb2.ApplyRequest()
        error = await failure(stub.Apply(request, timeout=5, metadata=(("authorization", "Bearer wrong"),)))
        assert error.reason is Reason.UNAUTHENTICATED
        await stub.Apply(request, timeout=5, metadata=(("authorization", "Bearer k-1"),))
        await stub.Apply(request, timeout=5, metadata=(("x-api-key", "k-1"),))
    assert seen == [identity.LOCAL, identity.LOCAL]


async def test_the_trace_of_the_caller_is_continued() -> None:
    seen = []

    async def behaviour() -> Any:
        seen.append(tracing.outgoing())
        return quota_pb2.ApplyResponse()

    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    async with quota(behaviour) as stub:
        await stub.Apply(quota_pb2.ApplyRequest(), timeout=5, metadata=((tracing.TRACEPARENT, sent),))
    assert seen == [((tracing.TRACEPARENT, sent),)]


async def test_cancelling_a_stream_closes_the_servicers_generator_at_once() -> None:
    servicer = Streaming()

    def register(server: grpc.aio.Server) -> None:
        router_pb2_grpc.add_RouterServiceServicer_to_server(servicer, server)

    async with GrpcServer("127.0.0.1:0", [register], []) as server, open_channel(f"127.0.0.1:{server.port}") as channel:
        call = router_pb2_grpc.RouterServiceStub(channel).StreamGenerate(router_pb2.StreamGenerateRequest(), timeout=30)
        await call.read()
        call.cancel()
        await asyncio.wait_for(servicer.closed.wait(), 0.2)


async def test_a_port_in_use_is_said_clearly() -> None:
    async with GrpcServer("127.0.0.1:0", [], []) as server:
        with pytest.raises(StartError, match=f"127.0.0.1:{server.port}.*in use"):
            async with GrpcServer(f"127.0.0.1:{server.port}", [], []):
                pass
