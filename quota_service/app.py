"""Builds and runs the quota service: the only place where its parts are put together."""

import asyncio
import importlib
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry

from catalog.configuration import Configuration
from catalog.model import Catalog
from catalog.settings import Mesh
from catalog.tenants import with_budgets, with_tenants
from meshkit import logs, process
from meshkit.admin import AdminServer
from meshkit.boundary import Boundary
from meshkit.clock import Clock, SystemClock
from meshkit.errors import StartError
from meshkit.reload import Watcher
from meshkit.server import GrpcServer
from quota_service.definitions import Definitions
from quota_service.entrance import open_entrance
from quota_service.expansion import definitions_of
from quota_service.forecast import Paces
from quota_service.glance import Glance
from quota_service.image import Image
from quota_service.metrics import BudgetCollector, Metrics
from quota_service.reconfiguration import Reconfiguration, tenants_of
from quota_service.service import SERVICE_NAME, QuotaService
from quota_service.spend import SpendRetention
from quota_service.standing import Standing
from quota_service.stores.protocol import SILENCE
from quota_service.stores.sqlite import SqliteStore
from quota_service.thresholds import Thresholds
from quota_service.transfer import read
from quota_service.writer import Writer

if TYPE_CHECKING:
    from quota_service.stores.redis.store import RedisStore

log = logs.get("quota")
# A store takes in everything in one call.
IMPORT_SECONDS = 120.0


async def serve(
    mesh: Mesh,
    catalog: Catalog,
    stop: asyncio.Event,
    *,
    clock: Clock | None = None,
    registry: CollectorRegistry = REGISTRY,
    configuration: Configuration | None = None,
) -> None:
    """Serve the ledger until `stop` is set.

    Raises:
        StartError: an address or the ledger file is in use, the file cannot be read, the store is not fit.
    """
    clock = clock or SystemClock()
    (admitted, stamp), watcher = tenants_of(mesh), Watcher()
    entrance = open_entrance(mesh, admitted, clock)
    begun, mesh = mesh, with_budgets(mesh, entrance.tenants)
    metrics = Metrics(registry)
    async with AsyncExitStack() as stack:
        store = await _open(mesh, definitions_of(catalog, mesh), clock, stack)
        paces = Paces()
        glance = await stack.enter_async_context(Glance(store, (paces.take, _warning(metrics))))
        collector = BudgetCollector(store.look if isinstance(store, SqliteStore) else glance.look)
        registry.register(collector)
        stack.callback(registry.unregister, collector)

        async def tell_health(serving: bool) -> None:
            await server.set_serving(serving)

        writer = Writer(store, clock, metrics, tell_health)
        service = QuotaService(store, writer, paces, watcher.notes)
        boundary = Boundary(entrance.authenticate)
        server = GrpcServer(mesh.quota.listen, [service.register], [SERVICE_NAME], boundary=boundary)
        writing = asyncio.create_task(writer.run(), name="writer")
        stack.push_async_callback(_finish, writer, writing)
        await stack.enter_async_context(server)
        stack.callback(writer.close)  # before the server drains: who is parked is told to come back, not cut off
        stack.callback(service.close)
        await stack.enter_async_context(
            AdminServer(mesh.quota_admin, lambda: store.problem, registry, notes=watcher.notes)
        )
        if configuration is not None:
            following = Reconfiguration(begun, stamp, store=store, writer=writer, entrance=entrance, watcher=watcher)
            following.watch(configuration)
            await stack.enter_async_context(watcher)
        log.info("serving", address=mesh.quota.listen, port=server.port, version=store.version)
        process.settle()
        await _until(stop, writing)


async def import_ledger(mesh: Mesh, catalog: Catalog, lines: Iterable[bytes], name: str) -> Image:
    """Take an export into the empty store the configuration names, while no service runs on it; return what it was.

    Args:
        mesh: the configuration.
        catalog: what the definitions are made of.
        lines: of the export.
        name: what to call them in errors.

    Raises:
        StartError: the export is not whole, or the store is in use, not empty or not fit.
    """
    image = read(lines, name)
    async with AsyncExitStack() as stack:
        store = await _open(mesh, definitions_of(catalog, with_tenants(mesh)), SystemClock(), stack, IMPORT_SECONDS)
        await store.take_in(image)
        for difference in await store.verify():
            raise StartError(f"what was imported does not add up in the store: {difference}")
    return image


async def _open(
    mesh: Mesh, definitions: Definitions, clock: Clock, stack: AsyncExitStack, silence: float = SILENCE
) -> "SqliteStore | RedisStore":
    """Open the store the configuration names; one elsewhere may stay silent for so many seconds."""
    ledger, spending = mesh.ledger, SpendRetention(mesh.ledger.spend_days)
    if ledger.store == "sqlite":
        embedded = SqliteStore.open(Path(ledger.path), definitions, clock, spending=spending)
        stack.push_async_callback(embedded.close)
        return embedded
    if ledger.url is None:
        raise StartError("ledger.store is redis, and there is no ledger.url: set MESH_LEDGER_URL")
    shared = await _shared().open(ledger.url, definitions, prefix=ledger.prefix, spending=spending, silence=silence)
    stack.push_async_callback(shared.close)
    return shared


def _shared() -> "type[RedisStore]":
    """Return the store of a ledger of several machines; loading it takes a seventh of a second."""
    store: type[RedisStore] = importlib.import_module("quota_service.stores.redis.store").RedisStore
    return store


def _warning(metrics: Metrics) -> Callable[[Standing], None]:
    """Return what warns of budgets that are nearly used up, in the log and as a metric."""
    thresholds = Thresholds()

    def warn(standing: Standing) -> None:
        for crossing in thresholds.crossed(standing):
            row = crossing.row
            metrics.warned(crossing)
            used = {"used": row.used, "external": row.external, "limit": row.limit}
            log.warning("budget_used", budget=row.budget.id, percent=crossing.percent, **used)

    return warn


async def _until(stop: asyncio.Event, writing: asyncio.Task[None]) -> None:
    """Wait for the stop event; a writer that ends by itself is a defect, and ends the process."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, writing], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


async def _finish(writer: Writer, writing: asyncio.Task[None]) -> None:
    writer.close()
    await writing
