"""Builds the router service: the one place where its parts meet."""

import asyncio
import os
import secrets
from contextlib import AsyncExitStack
from ipaddress import ip_address

from llmmesh.quota.v1 import quota_pb2_grpc

from catalog.mesh import Mesh
from meshkit import identity, logs, process, tracing
from meshkit.admin import AdminServer, split_address
from meshkit.boundary import Boundary
from meshkit.channel import open_channel
from meshkit.clock import SystemClock
from meshkit.errors import StartError
from meshkit.secret import Secret
from meshkit.server import GrpcServer
from router_service.breaker import Settings
from router_service.breaker_news import BreakerNews
from router_service.breakers import Breakers
from router_service.edge.server import EdgeServer
from router_service.estimate import Estimator
from router_service.order import Tools
from router_service.probes import Probes
from router_service.quota_client import QuotaClient
from router_service.rejections import Rejections
from router_service.router import MeshRouter
from router_service.service import NAME, RouterServicer
from router_service.silence import WithoutLedger
from router_service.vendors import Vendors

CALLER_KEY = "ORCHESTRATOR_API_KEY"
OPEN_TO_ALL = "MESH_ALLOW_ANONYMOUS"
log = logs.get("router")


async def serve(mesh: Mesh, stop: asyncio.Event) -> None:
    """Serve the router and its HTTP edge until `stop` is set, then drain."""
    authenticate = _authenticate(mesh)
    clock = SystemClock()
    exporter = tracing.start(
        "llm-mesh-router",
        otlp_endpoint=mesh.telemetry.otlp_endpoint,
        sample_ratio=mesh.telemetry.sample_ratio,
    )
    async with AsyncExitStack() as stack:
        if exporter is not None:
            stack.callback(exporter.shutdown)
        channels = [await stack.enter_async_context(open_channel(mesh.quota.dial)) for _ in range(2)]
        stub, turns = map(quota_pb2_grpc.QuotaServiceStub, channels)
        quota = await stack.enter_async_context(
            QuotaClient(stub, turns, grace=mesh.timeouts.quota_grace, silence=mesh.timeouts.reserve)
        )
        rejections = Rejections(mesh, quota)
        vendors = await stack.enter_async_context(Vendors(mesh, clock, rejections.renewed))
        breakers, incarnation = Breakers(mesh.catalog.vendors, Settings(), clock, quota), secrets.token_hex(4)
        await stack.enter_async_context(BreakerNews(stub, breakers))
        tools = Tools(
            quota=quota,
            without_ledger=WithoutLedger(mesh),
            vendors=vendors,
            breakers=breakers,
            probes=Probes(quota, breakers, incarnation),
            rejections=rejections,
            estimator=Estimator(),
            timeouts=mesh.timeouts,
            clock=clock,
            incarnation=incarnation,
        )
        router = MeshRouter(mesh, tools)
        await stack.enter_async_context(AdminServer(mesh.router_admin, router.serving, notes=quota.notes))
        server = await stack.enter_async_context(
            GrpcServer(
                mesh.router.listen,
                [RouterServicer(router, mesh.timeouts.request).register],
                [NAME],
                boundary=Boundary(authenticate, mesh.timeouts.request),
            )
        )
        edge = await stack.enter_async_context(
            EdgeServer(mesh.edge.listen, router, authenticate, mesh.timeouts.request)
        )
        log.info("serving", grpc=server.port, http=edge.port)
        process.settle()
        await stop.wait()
        await server.set_serving(serving=False)


def _authenticate(mesh: Mesh) -> identity.Authenticate:
    """Demand the caller key when there is one; without one serve loopback only, unless told otherwise."""
    key = os.environ.get(CALLER_KEY)
    if key:
        return identity.with_key(Secret(key))
    exposed = [address for address in (mesh.router.listen, mesh.edge.listen) if not _is_loopback(address)]
    if exposed and os.environ.get(OPEN_TO_ALL) != "true":
        raise StartError(
            f"will not listen on {exposed[0]} without a caller key: anyone could spend your money. Set {CALLER_KEY}, "
            f"listen on 127.0.0.1, or set {OPEN_TO_ALL}=true if the network keeps strangers out"
        )
    log.warning("anonymous", detail=f"no {CALLER_KEY}: every caller on {mesh.router.listen} is tenant `local`")
    return identity.development


def _is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
