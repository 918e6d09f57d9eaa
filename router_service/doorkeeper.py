"""Knows who may call: tells callers apart by the keys and certificates of tenants.yaml."""

from collections.abc import Mapping

from catalog.admission import Admitted
from catalog.tenants import Tenant
from meshkit.api_key import presented
from meshkit.clock import Clock
from meshkit.identity import LOCAL, Caller, is_key, stranger
from meshkit.secret import Secret
from meshkit.tls import NO_NAMES


class Doorkeeper:
    """Tells callers apart by their keys and certificates.

    Args:
        admitted: who is let in, until somebody else is.
        clock: decides which keys have expired.
        bootstrap: a key that is always let in, as the tenant `local`; empty for none.
    """

    def __init__(self, admitted: Admitted, clock: Clock, bootstrap: Secret | None = None) -> None:
        self.admitted = admitted
        self._clock = clock
        self._bootstrap = bootstrap

    def take(self, admitted: Admitted) -> None:
        """Let others in from now on."""
        self.admitted = admitted

    def authenticate(self, credentials: Mapping[str, str], certificate: frozenset[str] = NO_NAMES, /) -> Caller:
        """Return who calls, by certificate, key or both, which must be of one tenant.

        Raises:
            MeshError: UNAUTHENTICATED, the same for everything that does not open.
        """
        offered, known = presented(credentials), self.admitted.with_certificate(certificate)
        if known is None:
            return self._with_key(offered)
        if not offered:
            return known
        caller = self._with_key(offered)
        if caller.tenant != known.tenant:
            raise stranger()
        return Caller(caller.tenant, operator=caller.operator or known.operator)

    def tenant(self, name: str) -> Tenant:
        """Return what a tenant may do; nothing is said of `local`, nor of one that has just been removed."""
        return self.admitted.tenants.tenants.get(name) or Tenant(name)

    def _with_key(self, offered: str) -> Caller:
        if self._bootstrap is not None and is_key(offered, self._bootstrap):
            return LOCAL
        return self.admitted.with_key(offered, self._clock.now())
