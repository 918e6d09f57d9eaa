"""Decides how callers are let in: by a tenants file, by one key, or, on this machine alone, without any."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from catalog.admission import read_admitted
from catalog.configuration import tenants_stamp
from catalog.mesh import Mesh
from catalog.model import Catalog
from catalog.tenants import NO_TENANTS, Tenants
from meshkit import identity, logs
from meshkit.admin import is_loopback, split_address
from meshkit.clock import Clock
from meshkit.errors import StartError
from meshkit.reload import Stamp
from meshkit.secret import Secret
from router_service.doorkeeper import Doorkeeper
from router_service.interface import Router
from router_service.tenancy import Tenancy

CALLER_KEY = "ORCHESTRATOR_API_KEY"
OPEN_TO_ALL = "MESH_ALLOW_ANONYMOUS"
log = logs.get("router")


@dataclass(frozen=True, slots=True)
class Entrance:
    """How callers are let in; with a doorkeeper tenants have rules, and `stamp` is that of their files when read."""

    authenticate: identity.Authenticate
    doorkeeper: Doorkeeper | None = None
    stamp: Stamp = ()

    @property
    def tenants(self) -> Tenants:
        """Return the tenants that are let in."""
        return NO_TENANTS if self.doorkeeper is None else self.doorkeeper.admitted.tenants

    def guard(self, router: Router, catalog: Callable[[], Catalog]) -> Router:
        """Put the rules of tenants before a router, if there are any; `catalog` returns the one that counts."""
        return router if self.doorkeeper is None else Tenancy(router, catalog, self.doorkeeper.tenant)


def open_entrance(mesh: Mesh, clock: Clock) -> Entrance:
    """Let in whoever the tenants file says; without one whoever has the one key; without that this machine alone.

    Raises:
        StartError: the file has a mistake, or others could reach the mesh and nothing would keep them out.
    """
    key = os.environ.get(CALLER_KEY)
    if mesh.tenants is not None:
        bootstrap = Secret(key) if key else None
        stamp = tenants_stamp(mesh.tenants)
        doorkeeper = Doorkeeper(read_admitted(mesh.tenants, mesh.catalog, os.environ), clock, bootstrap)
        return Entrance(doorkeeper.authenticate, doorkeeper, stamp)
    if key:
        return Entrance(identity.with_key(Secret(key)))
    exposed = [
        address for address in (mesh.router.listen, mesh.edge.listen) if not is_loopback(split_address(address)[0])
    ]
    if exposed and os.environ.get(OPEN_TO_ALL) != "true":
        raise StartError(
            f"will not listen on {exposed[0]} without a caller key: anyone could spend your money. Set {CALLER_KEY}, "
            f"name a tenants file, listen on 127.0.0.1, or set {OPEN_TO_ALL}=true if the network keeps strangers out"
        )
    log.warning("anonymous", detail=f"no {CALLER_KEY}: every caller on {mesh.router.listen} is tenant `local`")
    return Entrance(identity.development)
