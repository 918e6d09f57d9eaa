"""Generic clients may list the services in development and not in production."""

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from meshkit.server import GrpcServer


async def listed():
    async with (
        GrpcServer("127.0.0.1:0", [], []) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as way,
    ):
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(way)
        answers = [answer async for answer in stub.ServerReflectionInfo(iter([question]), timeout=5)]
        return [service.name for service in answers[0].list_services_response.service]


async def test_services_are_listed_by_default():
    assert "grpc.health.v1.Health" in await listed()


async def test_nothing_is_listed_when_reflection_is_off(monkeypatch):
    monkeypatch.setenv("MESH_REFLECTION", "off")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await listed()
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED
