"""Has a running quota service count by other definitions: those of changed files, between two batches."""

import asyncio
import os
from dataclasses import replace

from catalog import restarts
from catalog.admission import Admitted, read_admitted
from catalog.configuration import Configuration, tenants_stamp, watched, watched_tenants
from catalog.settings import Mesh
from catalog.tenants import Tenants, with_budgets
from meshkit import logs, process
from meshkit.errors import StartError
from meshkit.reload import Stamp, Watcher
from quota_service.definitions import Definitions
from quota_service.entrance import Entrance
from quota_service.expansion import definitions_of
from quota_service.operations import Redefine
from quota_service.stores.protocol import Store
from quota_service.writer import Writer


class Reconfiguration:
    """The way from one configuration to the next.

    Args:
        begun: what the process began with, without its tenants' budgets.
        stamp: of the tenants' files it began with.
        store, writer, entrance: who go by it.
        watcher: is told what waits for a restart.
    """

    def __init__(
        self,
        begun: Mesh,
        stamp: Stamp,
        *,
        store: Store,
        writer: Writer,
        entrance: Entrance,
        watcher: Watcher,
    ) -> None:
        self._begun = self._said = begun
        self._tenants = entrance.tenants
        self._stamp = stamp
        self._entrance = entrance
        self._store = store
        self._writer = writer
        self._watcher = watcher

    def watch(self, configuration: Configuration) -> None:
        """Have the files watched: the configuration's, and the tenants' if there are any."""
        mesh = watched(configuration, self.take_mesh)
        self._watcher.watch(mesh)
        if (path := self._begun.tenants) is not None:

            def read() -> Admitted:
                return read_admitted(path, self._said.catalog, os.environ)

            self._watcher.watch(watched_tenants(path, self._stamp, mesh, read, self.take_tenants))

    async def take_mesh(self, mesh: Mesh) -> None:
        """Count by another configuration.

        Raises:
            StartError: its limits contradict those of a tenant, or are too large for the store; nothing has changed.
            MeshError: QUOTA_UNAVAILABLE; the store does not take it now.
        """
        said = replace(mesh, tenants=self._begun.tenants)
        await self._redefine(said, self._tenants)
        self._said = said
        logs.set_level(mesh.telemetry.log_level)
        self._watcher.needs_restart(restarts.waiting(restarts.OF_QUOTA, self._begun, mesh))
        process.settle()

    async def take_tenants(self, admitted: Admitted) -> None:
        """Count by other budgets of tenants, and know other keys; raises as `take_mesh` does."""
        await self._redefine(self._said, admitted.tenants)
        self._tenants = admitted.tenants
        self._entrance.take(admitted)

    async def _redefine(self, said: Mesh, tenants: Tenants) -> None:
        definitions = await asyncio.to_thread(_definitions, said, tenants)
        if (why := self._store.unfit(definitions)) is not None:
            raise StartError(why)
        await self._writer.submit([Redefine(definitions)])


def _definitions(said: Mesh, tenants: Tenants) -> Definitions:
    mesh = with_budgets(said, tenants)
    return definitions_of(mesh.catalog, mesh)


def tenants_of(mesh: Mesh) -> tuple[Admitted | None, Stamp]:
    """Read the tenants a configuration names, None when it names none, and remember what their files were like.

    Raises:
        ConfigError: the first mistake.
    """
    if mesh.tenants is None:
        return None, ()
    stamp = tenants_stamp(mesh.tenants)
    return read_admitted(mesh.tenants, mesh.catalog, os.environ), stamp
