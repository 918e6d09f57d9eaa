"""Knows who may call: tells callers apart by the keys of tenants.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.model import Catalog
from catalog.tenants import Key, Tenant, Tenants, load_tenants, read_pepper
from meshkit.api_key import keyed_hash, mint, parse, presented
from meshkit.clock import Clock
from meshkit.identity import LOCAL, OPERATOR, Caller, is_key, stranger
from meshkit.secret import Secret
from meshkit.tls import NO_NAMES

# Hashed in the place of what is no key, and compared with in the place of a key nobody knows: then the answer takes as
# long as for one that is known.
NOBODYS = mint()
NOBODY = Key("", "", "0" * 64, frozenset())


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is let in: the tenants and their keys, and what these are hashed under."""

    tenants: Tenants
    pepper: Secret


def read_admitted(path: Path, catalog: Catalog, env: Mapping[str, str]) -> Admitted:
    """Read who is let in; the pepper is wanted only where there are keys.

    Raises:
        ConfigError: the first mistake.
    """
    tenants = load_tenants(path, catalog)
    return Admitted(tenants, read_pepper(path, env) if tenants.keys else Secret(""))


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
        offered, known = presented(credentials), self._certified(certificate)
        if known is None:
            return self._with_key(offered)
        if not offered:
            return known
        caller = self._with_key(offered)
        if caller.tenant != known.tenant:
            raise stranger()
        return Caller(caller.tenant, operator=caller.operator or known.operator)

    def _certified(self, names: frozenset[str]) -> Caller | None:
        """Return whom a certificate with these names stands for; None for nobody we know.

        Raises:
            MeshError: UNAUTHENTICATED when its names stand for several tenants.
        """
        known = [found for name in names if (found := self.admitted.tenants.certificates.get(name))]
        if not known:
            return None
        if len({found.tenant for found in known}) > 1:
            raise stranger()
        return Caller(known[0].tenant, operator=any(OPERATOR in found.scopes for found in known))

    def _with_key(self, offered: str) -> Caller:
        if self._bootstrap is not None and is_key(offered, self._bootstrap):
            return LOCAL
        key = parse(offered) or NOBODYS
        known = self.admitted.tenants.keys.get(key.id, NOBODY)
        right = is_key(keyed_hash(key, self.admitted.pepper), Secret(known.hash))
        ended = known.expires is not None and known.expires.timestamp() <= self._clock.now()
        if not right or ended or known is NOBODY:
            raise stranger()
        return Caller(known.tenant, operator=OPERATOR in known.scopes)

    def tenant(self, name: str) -> Tenant:
        """Return what a tenant may do; nothing is said of `local`, nor of one that has just been removed."""
        return self.admitted.tenants.tenants.get(name) or Tenant(name)
