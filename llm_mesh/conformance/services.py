"""Provider services to test: the mesh's own, built here around a replay server, or anybody's at an address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import MappingProxyType

import grpc
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc
from llmmesh.provider.v1.provider_pb2_grpc import ProviderServiceStub, add_ProviderServiceServicer_to_server

from catalog.mesh import load_mesh
from catalog.model import Vendor
from catalog.settings import Endpoint, Mesh, Slot, VendorSettings
from meshkit import status
from meshkit.channel import open_channel
from meshkit.clock import SystemClock
from meshkit.server import GrpcServer
from provider_services.app import SERVICE, build, speaks

__all__ = ["describe", "own_service", "service_at", "speaks"]

DESCRIBE_TIMEOUT = 60.0  # long enough to start the service after the kit


@asynccontextmanager
async def own_service(vendor: Vendor, endpoint: str) -> AsyncIterator[provider_pb2_grpc.ProviderServiceAsyncStub]:
    """Serve the mesh's own provider service of a vendor, its calls sent to the endpoint."""
    async with AsyncExitStack() as stack:
        servicer = await build(vendor, _mesh(vendor, endpoint), {}, SystemClock(), stack)

        def register(server: grpc.aio.Server) -> None:
            add_ProviderServiceServicer_to_server(servicer, server)

        server = await stack.enter_async_context(GrpcServer("127.0.0.1:0", [register], [SERVICE]))
        yield await stack.enter_async_context(service_at(f"127.0.0.1:{server.port}"))


@asynccontextmanager
async def service_at(address: str) -> AsyncIterator[provider_pb2_grpc.ProviderServiceAsyncStub]:
    """Connect to a provider service."""
    async with open_channel(address) as channel:
        yield ProviderServiceStub(channel)


async def describe(stub: provider_pb2_grpc.ProviderServiceAsyncStub) -> provider_pb2.DescribeResponse:
    """Ask a service what it is, waiting for it to start; raises MeshError."""
    try:
        request = provider_pb2.DescribeRequest()
        return await stub.Describe(request, timeout=DESCRIBE_TIMEOUT, wait_for_ready=True)
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from None


def _mesh(vendor: Vendor, endpoint: str) -> Mesh:
    slot = Slot(1, "default", vendor.default_plan)
    settings = VendorSettings(endpoint=Endpoint(endpoint), endpoint_forced=True, slots={1: slot})
    return replace(load_mesh(None, {}), vendors=MappingProxyType({vendor.id: settings}))
