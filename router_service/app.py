"""Builds the router service: the one place where its parts meet."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial

import grpc
from llmmesh.quota.v1 import quota_pb2_grpc

from catalog.configuration import Configuration
from catalog.mesh import Mesh
from catalog.tenants import with_budgets
from meshkit import logs, process, tracing
from meshkit.admin import AdminServer
from meshkit.boundary import Boundary
from meshkit.channel import open_channel, presenting
from meshkit.clock import Clock, SystemClock
from meshkit.credentials import of_server
from meshkit.identity import SERVICE_KEY
from meshkit.reload import Watcher
from meshkit.secret import Secret
from meshkit.server import GrpcServer
from router_service.breaker import Settings
from router_service.breaker_news import BreakerNews
from router_service.breakers import Breakers
from router_service.edge.server import EdgeServer
from router_service.entrance import open_entrance
from router_service.estimate import Estimator
from router_service.order import Tools
from router_service.probes import Probes
from router_service.quota_client import QuotaClient
from router_service.reconfiguration import Faces, Reconfiguration
from router_service.rejections import Rejections
from router_service.router import MeshRouter
from router_service.service import NAME, RouterServicer
from router_service.silence import WithoutLedger
from router_service.vendors import Vendors

log = logs.get("router")


async def serve(mesh: Mesh, stop: asyncio.Event, configuration: Configuration | None = None) -> None:
    """Serve the router and its HTTP edge until `stop` is set, then drain; go by the configuration's files if given."""
    clock, watcher = SystemClock(), Watcher()
    async with AsyncExitStack() as stack:
        entrance = open_entrance(mesh, clock)
        begun, mesh = mesh, with_budgets(mesh, entrance.tenants)
        _trace(mesh, stack)
        tools = await _tools(mesh, clock, watcher, stack)
        core = MeshRouter(mesh, tools)
        router = entrance.guard(core, lambda: core.mesh.catalog)
        notes = partial(_together, tools.quota.notes, watcher.notes)
        await stack.enter_async_context(AdminServer(mesh.router_admin, router.serving, notes=notes))
        servicer = RouterServicer(router, mesh.timeouts.request)
        certified, credentials = _tls(mesh)
        boundary = Boundary(entrance.authenticate, mesh.timeouts.request, certified=certified)
        server = await stack.enter_async_context(
            GrpcServer(mesh.router.listen, [servicer.register], [NAME], boundary=boundary, credentials=credentials)
        )
        edge = await stack.enter_async_context(
            EdgeServer(
                mesh.edge.listen,
                router,
                entrance.authenticate,
                mesh.timeouts.request,
                heartbeat=mesh.http.heartbeat,
                origins=mesh.http.cors_origins,
            )
        )
        if configuration is not None:
            faces = Faces(boundary, servicer, edge)
            parts = Reconfiguration(begun, tools=tools, router=core, entrance=entrance, faces=faces, watcher=watcher)
            parts.watch(configuration)
            await stack.enter_async_context(watcher)
        log.info("serving", grpc=server.port, http=edge.port)
        process.settle()
        await stop.wait()
        await server.set_serving(serving=False)


def _tls(mesh: Mesh) -> tuple[bool, grpc.ServerCredentials | None]:
    """Tell whether callers show certificates, and what TLS is spoken with, if it is."""
    if mesh.tls is None:
        return False, None
    return mesh.tls.client_ca is not None, of_server(mesh.tls, "addresses.router.tls")


def _trace(mesh: Mesh, stack: AsyncExitStack) -> None:
    """Send traces where the configuration says."""
    exporter = tracing.start(
        "llm-mesh-router",
        otlp_endpoint=mesh.telemetry.otlp_endpoint,
        sample_ratio=mesh.telemetry.sample_ratio,
    )
    if exporter is not None:
        stack.callback(exporter.shutdown)


async def _tools(mesh: Mesh, clock: Clock, watcher: Watcher, stack: AsyncExitStack) -> Tools:
    """Open the ways to the ledger and to the vendors, and put beside them what every pursuit works with."""
    channels = [await stack.enter_async_context(open_channel(mesh.quota.dial)) for _ in range(2)]
    key = os.environ.get(SERVICE_KEY)
    shown = Secret(key) if key else None
    stub, turns = (presenting(quota_pb2_grpc.QuotaServiceStub(channel), shown) for channel in channels)
    quota = await stack.enter_async_context(
        QuotaClient(stub, turns, grace=mesh.timeouts.quota_grace, silence=mesh.timeouts.reserve)
    )
    rejections = Rejections(mesh, quota)
    vendors = await stack.enter_async_context(Vendors(mesh, clock, rejections.renewed))
    breakers, incarnation = Breakers(mesh.catalog.vendors, Settings(), clock, quota), secrets.token_hex(4)
    await stack.enter_async_context(BreakerNews(stub, breakers))
    return Tools(
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
        notes=watcher.notes,
    )


def _together(*parts: Callable[[], Mapping[str, str]]) -> Mapping[str, str]:
    """Return the notes of several parts."""
    return {name: note for part in parts for name, note in part().items()}
