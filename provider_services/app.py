"""Builds provider services from the configuration and serves them: every vendor on its own port, one admin page."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import grpc
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc

from catalog.configuration import Configuration
from catalog.model import Catalog, Vendor
from catalog.settings import Mesh
from meshkit import logs, process
from meshkit.admin import AdminServer
from meshkit.clock import Clock, SystemClock
from meshkit.errors import StartError
from meshkit.server import GrpcServer
from provider_services.attempts import Attempts
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Dialect
from provider_services.discovery import Discovery
from provider_services.measures import Measures
from provider_services.service import ProviderService
from provider_services.slots import Slots, read_slots
from provider_services.subjects import Subjects

SERVICE = provider_pb2.DESCRIPTOR.services_by_name["ProviderService"].full_name
log = logs.get("provider")


async def serve(
    mesh: Mesh,
    catalog: Catalog,
    vendors: Sequence[str],
    env: Mapping[str, str],
    stop: asyncio.Event,
    configuration: Configuration | None = None,
) -> None:
    """Serve those vendors until `stop`; with one vendor the admin page is that vendor's own, else the first one's."""
    if not vendors:
        raise StartError(f"no vendor to serve; name one or more of {', '.join(catalog.vendors)}")
    async with AsyncExitStack() as stack:
        servers = []
        for name in vendors:
            vendor = catalog.vendors.get(name)
            if vendor is None:
                raise StartError(f"unknown vendor `{name}`; allowed: {', '.join(catalog.vendors)}")
            servicer = await build(vendor, mesh, env, SystemClock(), stack)
            server = GrpcServer(mesh.provider_address(name).listen, [_adder(servicer)], [SERVICE])
            servers.append(await stack.enter_async_context(server))
            log.info("serving", vendor=name, port=server.port)
        admin = AdminServer(mesh.provider_admin(vendors[0]), lambda: "stopping" if stop.is_set() else None)
        await stack.enter_async_context(admin)
        process.settle()
        await stop.wait()
        await asyncio.gather(*(server.stop() for server in servers))  # all drain at the same time


async def build(
    vendor: Vendor, mesh: Mesh, env: Mapping[str, str], clock: Clock, stack: AsyncExitStack
) -> ProviderService:
    """Build the servicer of one vendor; the stack closes its connections. Raises StartError for an impossible row."""
    dialect = dialect_of(vendor)
    subjects = Subjects(vendor, mesh.vendors[vendor.id].deployments)
    slots = await stack.enter_async_context(Slots(vendor, read_slots(vendor, mesh, env), env))
    measures = Measures(vendor.id, vendor.provider_name, urlsplit(mesh.endpoint(vendor.id).url).hostname or "")
    attempts = Attempts(dialect, measures, subjects.label)
    discovery = Discovery(attempts, slots, vendor, subjects.subject(), clock)
    return ProviderService(
        vendor=vendor,
        subjects=subjects,
        slots=slots,
        attempts=attempts,
        discovery=discovery,
        timeouts=mesh.timeouts,
        clock=clock,
        incarnation=secrets.token_hex(4),
    )


def speaks(dialect: str) -> bool:
    """Tell whether there is a dialect of that name."""
    return dialect in DIALECTS


def dialects() -> tuple[str, ...]:
    """Name the dialects there are."""
    return tuple(DIALECTS)


def dialect_of(vendor: Vendor) -> Dialect:
    """Return the vendor's dialect; raises StartError when there is none, or none with the quirks the row names."""
    dialect = DIALECTS.get(vendor.dialect)
    if dialect is None:
        raise StartError(f"{vendor.id}: unknown dialect `{vendor.dialect}`; allowed: {', '.join(DIALECTS)}")
    named = {*vendor.quirks, *(quirk for model in vendor.models.values() for quirk in model.quirks)}
    if unknown := named - dialect.quirks:
        raise StartError(
            f"{vendor.id}: unknown quirks {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(dialect.quirks))}"
        )
    return dialect


def _adder(servicer: ProviderService) -> Callable[[grpc.aio.Server], None]:
    def register(server: grpc.aio.Server) -> None:
        provider_pb2_grpc.add_ProviderServiceServicer_to_server(servicer, server)

    return register
