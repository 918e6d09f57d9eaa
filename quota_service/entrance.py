"""Decides who may use the ledger: routers by the key that services share, people by an operator's key."""

import os
from collections.abc import Mapping

from catalog.admission import Admitted
from catalog.settings import Mesh
from catalog.tenants import NO_TENANTS, Tenants
from meshkit import logs
from meshkit.api_key import presented
from meshkit.clock import Clock
from meshkit.identity import CALLER_KEY, LOCAL, SERVICE, SERVICE_KEY, UNPROVEN, Caller, is_key, stranger
from meshkit.secret import Secret
from meshkit.tls import NO_NAMES

log = logs.get("quota")


class Entrance:
    """Tells callers of the ledger apart, where there are keys; where there are none everybody is `local`.

    Without a service key whoever shows nothing is taken for a router: then the network keeps others out.

    Args:
        admitted: whose keys are known, until others are; None without a tenants file.
        clock: decides which keys have expired.
        service: the key that services show; None for none.
        bootstrap: an operator's key that always opens; None for none.
    """

    def __init__(
        self, admitted: Admitted | None, clock: Clock, service: Secret | None = None, bootstrap: Secret | None = None
    ) -> None:
        self._admitted = admitted
        self._clock = clock
        self._service = service
        self._bootstrap = bootstrap

    @property
    def tenants(self) -> Tenants:
        """Return the tenants that are known."""
        return NO_TENANTS if self._admitted is None else self._admitted.tenants

    def take(self, admitted: Admitted) -> None:
        """Know other keys from now on."""
        self._admitted = admitted

    def authenticate(self, credentials: Mapping[str, str], _certificate: frozenset[str] = NO_NAMES, /) -> Caller:
        """Return who calls; raises UNAUTHENTICATED, the same for every key that does not open."""
        if self._admitted is None and self._service is None and self._bootstrap is None:
            return LOCAL
        offered = presented(credentials)
        if not offered and self._service is None:
            return UNPROVEN
        if self._service is not None and is_key(offered, self._service):
            return SERVICE
        if self._bootstrap is not None and is_key(offered, self._bootstrap):
            return LOCAL
        if self._admitted is None:
            raise stranger()
        return self._admitted.with_key(offered, self._clock.now())


def open_entrance(mesh: Mesh, admitted: Admitted | None, clock: Clock) -> Entrance:
    """Let in by the keys of the environment and of the tenants file."""
    service, bootstrap = (os.environ.get(name, "") for name in (SERVICE_KEY, CALLER_KEY))
    if not service and (bootstrap or admitted is not None):
        log.info("no_service_key", detail=f"no {SERVICE_KEY}: whoever reaches {mesh.quota.listen} may act as a router")
    return Entrance(admitted, clock, _secret(service), _secret(bootstrap))


def _secret(text: str) -> Secret | None:
    return Secret(text) if text else None
