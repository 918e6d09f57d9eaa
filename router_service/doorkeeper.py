"""Knows who may call: reads tenants.yaml, and again whenever it changes, and keeps the last good one."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client import Gauge

from catalog.model import Catalog
from catalog.tenants import NO_TENANTS, Key, Tenant, Tenants, load_tenants, read_pepper, stamp
from meshkit import logs
from meshkit.api_key import keyed_hash, mint, parse, presented
from meshkit.clock import Clock
from meshkit.identity import LOCAL, OPERATOR, Caller, is_key, stranger
from meshkit.secret import Secret
from meshkit.yaml_file import ConfigError

TENANTS_VALID = Gauge("mesh_tenants_valid", "1 while the tenants file in use is the one that is on the disk.")
LOOK_SECONDS = 1.0
# Hashed in the place of what is no key, and compared with in the place of a key nobody knows: then the answer takes as
# long as for one that is known.
NOBODYS = mint()
NOBODY = Key("", "", "0" * 64, frozenset())
log = logs.get("tenants")


class Doorkeeper:
    """Tells callers apart by their keys; a context manager that looks for a new file while it is entered.

    Args:
        path: the tenants file.
        catalog: what its models and use cases are checked against.
        env: may hold the pepper.
        clock: decides which keys have expired.
        bootstrap: a key that is always let in, as the tenant `local`; empty for none.

    Raises:
        ConfigError: the first mistake in the file, at the start only.
    """

    def __init__(
        self, path: Path, catalog: Catalog, env: Mapping[str, str], clock: Clock, bootstrap: Secret | None = None
    ) -> None:
        self._path = path
        self._catalog = catalog
        self._env = env
        self._clock = clock
        self._bootstrap = bootstrap
        self._tenants: Tenants = NO_TENANTS
        self._pepper = Secret("")
        self._stamp: tuple[int, ...] = ()
        self.problem = ""
        self._read()

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_on(), name="tenants")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking

    def authenticate(self, credentials: Mapping[str, str]) -> Caller:
        """Return whose key it is; raises UNAUTHENTICATED, the same for every key that does not open."""
        offered = presented(credentials)
        if self._bootstrap is not None and is_key(offered, self._bootstrap):
            return LOCAL
        key = parse(offered) or NOBODYS
        known = self._tenants.keys.get(key.id, NOBODY)
        right = is_key(keyed_hash(key, self._pepper), Secret(known.hash))
        ended = known.expires is not None and known.expires.timestamp() <= self._clock.now()
        if not right or ended or known is NOBODY:
            raise stranger()
        return Caller(known.tenant, operator=OPERATOR in known.scopes)

    def tenant(self, name: str) -> Tenant:
        """Return what a tenant may do; nothing is said of `local`, nor of one that has just been removed."""
        return self._tenants.tenants.get(name) or Tenant(name)

    def look(self) -> None:
        """Take in a file that has changed; one with a mistake changes nothing but what is said of it."""
        if (now := stamp(self._path)) == self._stamp:
            return
        try:
            self._read()
        except ConfigError as error:
            self._stamp = now
            self.problem = str(error)
            TENANTS_VALID.set(0)
            log.warning("kept", detail=f"the last good tenants stay in use: {error}")
        else:
            log.info("read", tenants=len(self._tenants.tenants), keys=len(self._tenants.keys))

    def notes(self) -> Mapping[str, str]:
        """Return what is worth a word beside the health of the router."""
        return {"tenants": self.problem} if self.problem else {}

    def _read(self) -> None:
        now = stamp(self._path)
        tenants = load_tenants(self._path, self._catalog)
        pepper = read_pepper(self._path, self._env) if tenants.keys else Secret("")
        self._tenants, self._pepper, self._stamp, self.problem = tenants, pepper, now, ""
        TENANTS_VALID.set(1)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()
