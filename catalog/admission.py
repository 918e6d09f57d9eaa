"""Tells whose a key or a certificate is, by the tenants that are known; every service that has callers asks here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.model import Catalog
from catalog.tenants import Key, Tenants, load_tenants, read_pepper
from meshkit.api_key import keyed_hash, mint, parse
from meshkit.identity import OPERATOR, Caller, is_key, stranger
from meshkit.secret import Secret

# Hashed in the place of what is no key, and compared with in the place of a key nobody knows: then the answer takes as
# long as for one that is known.
NOBODYS = mint()
NOBODY = Key("", "", "0" * 64, frozenset())


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who is let in: the tenants with their keys and certificates, and what keys are hashed under."""

    tenants: Tenants
    pepper: Secret

    def with_key(self, offered: str, now: float) -> Caller:
        """Return whose key it is at a moment, in Unix seconds.

        Raises:
            MeshError: UNAUTHENTICATED, the same for every key that does not open.
        """
        key = parse(offered) or NOBODYS
        known = self.tenants.keys.get(key.id, NOBODY)
        right = is_key(keyed_hash(key, self.pepper), Secret(known.hash))
        ended = known.expires is not None and known.expires.timestamp() <= now
        if not right or ended or known is NOBODY:
            raise stranger()
        return Caller(known.tenant, operator=OPERATOR in known.scopes)

    def with_certificate(self, names: frozenset[str]) -> Caller | None:
        """Return whom a certificate with these names stands for; None for nobody who is known.

        Raises:
            MeshError: UNAUTHENTICATED when its names stand for several tenants.
        """
        known = [found for name in names if (found := self.tenants.certificates.get(name))]
        if not known:
            return None
        if len({found.tenant for found in known}) > 1:
            raise stranger()
        return Caller(known[0].tenant, operator=any(OPERATOR in found.scopes for found in known))


def read_admitted(path: Path, catalog: Catalog, env: Mapping[str, str]) -> Admitted:
    """Read who is let in; the pepper is wanted only where there are keys.

    Raises:
        ConfigError: the first mistake.
    """
    tenants = load_tenants(path, catalog)
    return Admitted(tenants, read_pepper(path, env) if tenants.keys else Secret(""))
