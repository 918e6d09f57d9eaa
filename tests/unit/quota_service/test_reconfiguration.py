"""Other definitions under a running quota service: which are taken, and which are kept out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON
from prometheus_client import CollectorRegistry

from catalog.configuration import Configuration
from meshkit.api_key import keyed_hash, mint
from meshkit.clock import SystemClock
from meshkit.errors import MeshError
from meshkit.identity import Caller
from meshkit.reload import Watcher
from meshkit.secret import Secret
from meshkit.yaml_file import ConfigError
from quota_service.entrance import Entrance, open_entrance
from quota_service.expansion import definitions_of
from quota_service.metrics import Metrics
from quota_service.operations import Redefine
from quota_service.reconfiguration import Reconfiguration, tenants_of
from quota_service.stores.memory import MemoryStore
from quota_service.stores.sqlite import SqliteStore
from quota_service.writer import Writer

BUDGET = "budgets: [{{subject: tenant/{}, unit: usd, window: day, amount: {}}}]\n"
TENANTS = "tenants: {alice: {budgets: [{unit: usd, window: day, amount: 1}]}}\n"


@dataclass
class Service:
    """The part of a quota service that follows files."""

    directory: Path
    store: MemoryStore
    watcher: Watcher
    entrance: Entrance

    def write(self, text: str, name: str = "mesh.yaml") -> None:
        path = self.directory / name
        path.write_text(text + "#" * len(list(self.directory.iterdir())) + "\n", encoding="utf-8")

    async def looked(self) -> None:
        for _ in range(2):
            await self.watcher.look()

    async def limits(self) -> dict[str, int]:
        standing = await self.store.standing()
        return {row.budget.id: row.limit for row in standing.budgets if row.budget.payer}


@asynccontextmanager
async def running(directory: Path, text: str) -> AsyncIterator[Service]:
    (directory / "mesh.yaml").write_text(text, encoding="utf-8")
    configuration = Configuration(directory / "mesh.yaml", {})
    mesh, clock, watcher = configuration.load(), SystemClock(), Watcher()
    admitted, stamp = tenants_of(mesh)
    entrance = open_entrance(mesh, admitted, clock)
    store = MemoryStore(definitions_of(mesh.catalog, mesh), clock)
    writer = Writer(store, clock, Metrics(CollectorRegistry()))
    writing = asyncio.create_task(writer.run())
    following = Reconfiguration(mesh, stamp, store=store, writer=writer, entrance=entrance, watcher=watcher)
    following.watch(configuration)
    yield Service(directory, store, watcher, entrance)
    writer.close()
    await writing


async def test_budgets_of_mesh_yaml_and_of_tenants_follow_their_files(tmp_path):
    (tmp_path / "tenants.yaml").write_text(TENANTS, encoding="utf-8")
    async with running(tmp_path, "tenants: tenants.yaml\n") as service:
        before = service.store.version
        service.write("tenants: tenants.yaml\n" + BUDGET.format("bob", 2))
        await service.looked()
        await service.looked()  # tenants are read by the new names
        assert await service.limits() == {
            "tenant/alice/nanodollars/day": 10**9,
            "tenant/bob/nanodollars/day": 2 * 10**9,
        }
        service.write(TENANTS.replace("amount: 1", "amount: 3"), "tenants.yaml")
        await service.looked()
        assert (await service.limits())["tenant/alice/nanodollars/day"] == 3 * 10**9
        assert service.store.version == before + 2
        assert service.watcher.notes() == {}


async def test_keys_follow_the_tenants_file_too(tmp_path, monkeypatch):
    pepper = Secret("pepper of the tests, long enough")
    monkeypatch.setenv("MESH_KEY_PEPPER", pepper.reveal())
    (tmp_path / "tenants.yaml").write_text(TENANTS, encoding="utf-8")
    key = mint()
    shown = {"x-api-key": key.text().reveal()}
    async with running(tmp_path, "tenants: tenants.yaml\n") as service:
        with pytest.raises(MeshError):
            service.entrance.authenticate(shown)
        row = f'{{id: "{key.id}", tenant: alice, hash: "{keyed_hash(key, pepper)}", scopes: [operator]}}'
        service.write(f"{TENANTS}keys: [{row}]\n", "tenants.yaml")
        await service.looked()
        assert service.entrance.authenticate(shown) == Caller("alice", operator=True)


async def test_a_budget_that_a_tenant_has_already_keeps_the_whole_file_out(tmp_path):
    (tmp_path / "tenants.yaml").write_text(TENANTS, encoding="utf-8")
    async with running(tmp_path, "tenants: tenants.yaml\n") as service:
        before, version = await service.limits(), service.store.version
        service.write("tenants: tenants.yaml\n" + BUDGET.format("alice", 2))
        await service.looked()
        assert "as `budgets` of mesh.yaml does" in service.watcher.notes()["mesh"]
        assert (await service.limits(), service.store.version) == (before, version)


async def test_limits_a_store_cannot_count_to_are_kept_out(tmp_path):
    async with running(tmp_path, "{}\n") as service:
        service.store.unfit = lambda definitions: "the limit is larger than it can count"
        version = service.store.version
        service.write(BUDGET.format("bob", 2))
        await service.looked()
        assert service.watcher.notes() == {
            "mesh": "the last good one stays in use: the limit is larger than it can count"
        }
        assert service.store.version == version


async def test_where_the_ledger_is_waits_for_a_restart(tmp_path):
    async with running(tmp_path, "{}\n") as service:
        service.write("ledger: {path: elsewhere.db}\n")
        await service.looked()
        assert service.watcher.notes() == {"restart": "changed, needs a restart: ledger.path"}


async def test_definitions_that_were_redefined_are_the_same_after_a_restart(tmp_path):
    """I7, I14: a start by the same files is no other version, and a start by the old ones is."""
    (tmp_path / "mesh.yaml").write_text(BUDGET.format("bob", 2), encoding="utf-8")
    new = Configuration(tmp_path / "mesh.yaml", {}).load()
    (tmp_path / "mesh.yaml").write_text("{}\n", encoding="utf-8")
    old = Configuration(tmp_path / "mesh.yaml", {}).load()
    clock, path = ManualClock(NOON / 1_000), tmp_path / "ledger.db"
    versions = []
    store = SqliteStore.open(path, definitions_of(old.catalog, old), clock)
    versions.append(store.version)
    await store.apply([Redefine(definitions_of(new.catalog, new))])
    versions.append(store.version)
    await store.close()
    for mesh in (new, old):
        store = SqliteStore.open(path, definitions_of(mesh.catalog, mesh), clock)
        versions.append(store.version)
        await store.close()
    assert versions == [1, 2, 2, 3]


def test_tenants_with_a_mistake_are_told_at_the_start(tmp_path):
    (tmp_path / "tenants.yaml").write_text("tenants: [", encoding="utf-8")
    (tmp_path / "mesh.yaml").write_text("tenants: tenants.yaml\n", encoding="utf-8")
    mesh = Configuration(tmp_path / "mesh.yaml", {}).load()
    with pytest.raises(ConfigError):
        tenants_of(mesh)
