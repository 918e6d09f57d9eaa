"""What the ledger demands of a Redis or Valkey server, and the command that mends each fault."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

OLDEST = (7, 0)


@dataclass(frozen=True, slots=True)
class Server:
    """One process of the store, as it described itself.

    `certain` says that what it acknowledged is on its disk.
    """

    run_id: str
    version: str
    certain: bool
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def described(info: Mapping[str, Any], appendfsync: str | None) -> Server:
    """Judge a server by its INFO and its `appendfsync` (None when it would not say)."""
    return Server(
        run_id=str(info.get("run_id", "")),
        version=f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}",
        certain=appendfsync == "always",
        faults=tuple(_faults(info, appendfsync)),
        warnings=tuple(_warnings(info, appendfsync)),
    )


def _faults(info: Mapping[str, Any], appendfsync: str | None) -> Iterator[str]:
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield f"its version is {version}; the ledger needs Redis 7.0 or Valkey 7.2 at least: upgrade the server"
    if info.get("cluster_enabled") or "cluster" in (info.get("redis_mode"), info.get("server_mode")):
        yield (
            "it is a cluster; a hold draws on budgets of many slots at once: use one server, and replicas with Sentinel"
        )
    if info.get("role") != "master":
        yield f"it is a {info.get('role')}; mend with: the address of the primary, or REPLICAOF NO ONE"
    policy = info.get("maxmemory_policy")
    if policy != "noeviction":
        yield f"maxmemory-policy is {policy}, which forgets budgets; mend with: CONFIG SET maxmemory-policy noeviction"
    if not info.get("aof_enabled"):
        yield "appendonly is off, so a restart forgets what was spent; mend with: CONFIG SET appendonly yes"
    if appendfsync == "no":
        yield "appendfsync is no, so a crash forgets without bound; mend with: CONFIG SET appendfsync always"


def _warnings(info: Mapping[str, Any], appendfsync: str | None) -> Iterator[str]:
    if appendfsync is None:
        yield "it does not tell its appendfsync: taken for everysec"
    if appendfsync == "everysec":
        yield "appendfsync is everysec: a crash may forget a second; `always` costs next to nothing in batches"
    if not info.get("maxmemory"):
        yield "maxmemory is not set: the machine's memory is the bound"
