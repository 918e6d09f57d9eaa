"""Has a running router take another configuration, or other tenants, without anything that is under way noticing."""

import asyncio
import os
from dataclasses import replace

from catalog import restarts
from catalog.admission import Admitted, read_admitted
from catalog.configuration import Configuration, watched, watched_tenants
from catalog.mesh import Mesh
from catalog.tenants import Tenants, with_budgets
from meshkit import logs, process
from meshkit.boundary import Boundary
from meshkit.reload import Watcher
from router_service.edge.server import EdgeServer
from router_service.entrance import Entrance
from router_service.order import Tools
from router_service.router import MeshRouter
from router_service.service import RouterServicer


class Faces:
    """What callers meet first: the gRPC face with its boundary, and the HTTP edge."""

    def __init__(self, boundary: Boundary, servicer: RouterServicer, edge: EdgeServer) -> None:
        self._boundary = boundary
        self._servicer = servicer
        self._edge = edge

    def take(self, mesh: Mesh) -> None:
        """Go by another configuration."""
        default = mesh.timeouts.request
        self._boundary.default_deadline = self._servicer.default_deadline = default
        self._edge.take(default, mesh.http.heartbeat, mesh.http.cors_origins)


class Reconfiguration:
    """The way from one configuration to the next.

    Args:
        begun: what the process began with, without its tenants' budgets.
        tools, router, entrance, faces: who goes by it.
        watcher: is told what waits for a restart.
    """

    def __init__(
        self, begun: Mesh, *, tools: Tools, router: MeshRouter, entrance: Entrance, faces: Faces, watcher: Watcher
    ) -> None:
        self._begun = self._said = begun
        self._tools = tools
        self._router = router
        self._entrance = entrance
        self._faces = faces
        self._watcher = watcher

    def watch(self, configuration: Configuration) -> None:
        """Have the files watched: the configuration's, and the tenants' if there are any."""
        mesh = watched(configuration, self.take_mesh)
        self._watcher.watch(mesh)
        if (path := self._begun.tenants) is not None:

            def read() -> Admitted:
                return read_admitted(path, self._said.catalog, os.environ)

            self._watcher.watch(watched_tenants(path, self._entrance.stamp, mesh, read, self.take_tenants))

    async def take_mesh(self, mesh: Mesh) -> None:
        """Go by another configuration.

        Raises:
            StartError: it cannot be served by; nothing has changed.
        """
        said = replace(mesh, tenants=self._begun.tenants)
        await self._serve_by(said, self._entrance.tenants)
        self._said = said
        logs.set_level(mesh.telemetry.log_level)
        self._watcher.needs_restart(restarts.waiting(restarts.OF_ROUTER, self._begun, mesh))
        process.settle()

    async def take_tenants(self, admitted: Admitted) -> None:
        """Let others in, by other rules.

        Raises:
            StartError: their budgets contradict those of mesh.yaml; nothing has changed.
        """
        if admitted.tenants.budgets() != self._entrance.tenants.budgets():
            await self._serve_by(self._said, admitted.tenants)
        if self._entrance.doorkeeper is not None:
            self._entrance.doorkeeper.take(admitted)

    async def _serve_by(self, said: Mesh, tenants: Tenants) -> None:
        """Make everything that follows from a configuration, then put it in its place in one step."""
        mesh, tools = with_budgets(said, tenants), self._tools
        snapshot = await asyncio.to_thread(self._router.snapshot, mesh)
        opened = await tools.vendors.prepare(mesh)
        # From here on nothing waits: no request sees one part of it without the other.
        tools.vendors.take(mesh, opened)
        tools.breakers.watch(mesh.catalog.vendors)
        tools.rejections.take(mesh)
        self._router.take(snapshot)
        self._faces.take(mesh)
