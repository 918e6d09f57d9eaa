"""Builds provider services from the configuration and serves them: every vendor on its own port, one admin page."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import MappingProxyType

from llmmesh.provider.v1 import provider_pb2

from catalog import restarts
from catalog.configuration import Configuration, watched
from catalog.model import Catalog, Vendor
from catalog.settings import Mesh
from meshkit import logs, process
from meshkit.admin import AdminServer
from meshkit.clock import Clock, SystemClock
from meshkit.errors import StartError
from meshkit.reload import Watcher
from meshkit.server import GrpcServer
from provider_services.dialects import DIALECTS
from provider_services.front import Front, dialect_of

__all__ = ["SERVICE", "build", "dialect_of", "dialects", "serve", "speaks"]

SERVICE = provider_pb2.DESCRIPTOR.services_by_name["ProviderService"].full_name
log = logs.get("provider")


async def serve(
    mesh: Mesh,
    catalog: Catalog,
    vendors: Sequence[str],
    env: Mapping[str, str],
    stop: asyncio.Event,
    *,
    configuration: Configuration | None = None,
) -> None:
    """Serve those vendors until `stop`; with one vendor the admin page is that vendor's own, else the first one's.

    Changes of the configuration's files are followed, if it is given.
    """
    if not vendors:
        raise StartError(f"no vendor to serve; name one or more of {', '.join(catalog.vendors)}")
    watcher, clock, fronts = Watcher(), SystemClock(), []
    async with AsyncExitStack() as stack:
        servers = []
        for name in vendors:
            if name not in catalog.vendors:
                raise StartError(f"unknown vendor `{name}`; allowed: {', '.join(catalog.vendors)}")
            # What is wrong with the files is said once for all vendors of a process.
            notes = watcher.notes if name == vendors[0] else dict
            fronts.append(await stack.enter_async_context(Front(name, mesh, env, clock, notes)))
            server = GrpcServer(mesh.provider_address(name).listen, [fronts[-1].register], [SERVICE])
            servers.append(await stack.enter_async_context(server))
            log.info("serving", vendor=name, port=server.port)
        admin = AdminServer(
            mesh.provider_admin(vendors[0]), lambda: "stopping" if stop.is_set() else None, notes=watcher.notes
        )
        await stack.enter_async_context(admin)
        if configuration is not None:
            reconfiguration = Reconfiguration(mesh, tuple(vendors), fronts, watcher)
            watcher.watch(watched(configuration, reconfiguration.take_mesh))
            await stack.enter_async_context(watcher)
        process.settle()
        await stop.wait()
        await asyncio.gather(*(server.stop() for server in servers))  # all drain at the same time


class Reconfiguration:
    """The way of running provider services from one configuration to the next; `begun` is what they began with."""

    def __init__(self, begun: Mesh, vendors: tuple[str, ...], fronts: Sequence[Front], watcher: Watcher) -> None:
        self._begun = begun
        self._keys = restarts.of_vendors(vendors)
        self._fronts = fronts
        self._watcher = watcher

    async def take_mesh(self, mesh: Mesh) -> None:
        """Go by another configuration.

        Raises:
            StartError: a row is impossible; nothing has changed.
        """
        made = [await front.make(mesh) for front in self._fronts]
        for front, one in zip(self._fronts, made, strict=True):
            front.take(mesh, one)
        logs.set_level(mesh.telemetry.log_level)
        self._watcher.needs_restart(restarts.waiting(self._keys, self._begun, mesh))
        process.settle()


async def build(vendor: Vendor, mesh: Mesh, env: Mapping[str, str], clock: Clock, stack: AsyncExitStack) -> Front:
    """Build the servicer of one vendor; the stack closes its connections. Raises StartError for an impossible row."""
    alone = replace(mesh, catalog=Catalog(MappingProxyType({vendor.id: vendor})))
    return await stack.enter_async_context(Front(vendor.id, alone, env, clock))


def speaks(dialect: str) -> bool:
    """Tell whether there is a dialect of that name."""
    return dialect in DIALECTS


def dialects() -> tuple[str, ...]:
    """Name the dialects there are."""
    return tuple(DIALECTS)
