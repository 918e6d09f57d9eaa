"""Reads tenants.yaml: each tenant's rules and budgets, and the keys that let its callers in."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from catalog.loader import fingerprint
from catalog.model import Catalog, ModelRef
from catalog.settings import BudgetRow, Mesh
from catalog.tenant_rows import CertificateRow, KeyRow, TenantRow, TenantsFile
from meshkit.secret import Secret
from meshkit.yaml_file import ConfigError, Document, read

PEPPER = "MESH_KEY_PEPPER"
# Short peppers can be guessed together with what they season.
SHORTEST_PEPPER = 16


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a tenant may do. Empty means that nothing is said: every model, every use case, the intent's own words.

    `models` are patterns of `vendor/model`; `data_policy` can be made stricter by an intent, never laxer.
    """

    name: str
    models: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    default_tier: str = ""
    data_policy: str = ""
    stream_guarantee: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    budgets: tuple[BudgetRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key: the keyed hash of it, whose it is, what for, and from which moment it is none."""

    id: str
    tenant: str
    hash: str
    scopes: frozenset[str]
    expires: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a name in client certificates: whose callers have it, and what they may do."""

    name: str
    tenant: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tenants:
    """All tenants by name, all keys by id and all names of certificates."""

    tenants: Mapping[str, Tenant] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
    certificates: Mapping[str, Certificate] = field(default_factory=dict)

    def budgets(self) -> tuple[BudgetRow, ...]:
        """Return the budgets of all tenants."""
        return tuple(budget for tenant in self.tenants.values() for budget in tenant.budgets)


NO_TENANTS = Tenants()


@lru_cache(maxsize=65_536)
def permitted(patterns: tuple[str, ...], model: str) -> bool:
    """Tell whether a model, as `vendor/model`, is among those that patterns name; no patterns name all."""
    return not patterns or any(fnmatchcase(model, pattern) for pattern in patterns)


def load_tenants(path: Path, catalog: Catalog) -> Tenants:
    """Read the file.

    Raises:
        ConfigError: the first mistake, with its line and key.
    """
    document = read(path)
    file = document.validate(TenantsFile)
    tenants = {name: _tenant(name, row, catalog, document) for name, row in file.tenants.items()}
    return Tenants(
        MappingProxyType(tenants),
        MappingProxyType(_keys(file.keys, tenants, document)),
        MappingProxyType(_certificates(file.certificates, tenants, document)),
    )


def with_tenants(mesh: Mesh) -> Mesh:
    """Return the configuration with the budgets of its tenants among its own; the same when it has no tenants.

    Raises:
        ConfigError: the first mistake in the file.
    """
    return mesh if mesh.tenants is None else with_budgets(mesh, load_tenants(mesh.tenants, mesh.catalog))


def with_budgets(mesh: Mesh, tenants: Tenants) -> Mesh:
    """Return the configuration with the budgets of these tenants among its own; the same when it has no tenants.

    Raises:
        ConfigError: both limit the same.
    """
    if mesh.tenants is None:
        return mesh
    budgets = tenants.budgets()
    known = {(row.subject, row.unit, row.window.label) for row in mesh.budgets}
    for row in budgets:
        if (row.subject, row.unit, row.window.label) in known:
            problem = f"limits {row.unit} per {row.window.label} of {row.subject}, as `budgets` of mesh.yaml does"
            raise ConfigError(str(mesh.tenants), 0, "tenants", problem, "one of the two")
    version = fingerprint(mesh.version.to_bytes(8), repr(budgets).encode())
    return replace(mesh, budgets=(*mesh.budgets, *budgets), version=version)


def pepper_path(path: Path) -> Path:
    """Return where the pepper is kept beside a tenants file."""
    return path.with_suffix(".pepper")


def read_pepper(path: Path, env: Mapping[str, str]) -> Secret:
    """Return the pepper of a tenants file: $MESH_KEY_PEPPER, else what stands in the file beside it.

    Raises:
        ConfigError: there is none, or it is too short.
    """
    place = pepper_path(path)
    if text := env.get(PEPPER, "").strip():
        origin = f"environment variable {PEPPER}"
    else:
        origin = str(place)
        try:
            text = place.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigError(
                origin,
                0,
                "",
                f"cannot be read: {error.strerror}",
                f"this file, or {PEPPER}, with what keys are hashed under",
            ) from error
    if len(text) < SHORTEST_PEPPER:
        raise ConfigError(origin, 0, "", "is too short", f"at least {SHORTEST_PEPPER} characters")
    return Secret(text)


def _tenant(name: str, row: TenantRow, catalog: Catalog, document: Document) -> Tenant:
    place = ("tenants", name)
    for number, pattern in enumerate(row.models):
        if not any(fnmatchcase(str(ref), pattern) for ref in _refs(catalog)):
            raise document.error(
                (*place, "models", number), f"`{pattern}` is no model", "vendor/model, or a pattern: groq/*"
            )
    for number, use_case in enumerate(row.use_cases):
        if use_case not in catalog.use_cases:
            allowed = ", ".join(catalog.use_cases)
            raise document.error((*place, "use_cases", number), f"unknown use case `{use_case}`", allowed)
    return Tenant(
        name=name,
        models=tuple(row.models),
        use_cases=tuple(row.use_cases),
        default_tier=row.default_tier or "",
        data_policy=row.data_policy,
        stream_guarantee=row.stream_guarantee or "",
        labels=MappingProxyType(dict(row.labels)),
        budgets=_budgets(name, row, document),
    )


def _refs(catalog: Catalog) -> Sequence[ModelRef]:
    return tuple(catalog.refs())


def _budgets(name: str, row: TenantRow, document: Document) -> tuple[BudgetRow, ...]:
    budgets: dict[tuple[str, str], BudgetRow] = {}
    for number, said in enumerate(row.budgets):
        budget = BudgetRow(f"tenant/{name}", **said.allowance())
        key = (budget.unit, budget.window.label)
        if key in budgets:
            place = ("tenants", name, "budgets", number)
            raise document.error(place, f"limits {said.unit} per {budget.window.label} of tenant {name} twice")
        budgets[key] = budget
    return tuple(budgets.values())


def _keys(rows: Sequence[KeyRow], tenants: Mapping[str, Tenant], document: Document) -> dict[str, Key]:
    keys: dict[str, Key] = {}
    for number, row in enumerate(rows):
        place = ("keys", number)
        _check_tenant(row.tenant, tenants, place, document)
        if row.id in keys:
            raise document.error((*place, "id"), f"the key {row.id} is there twice")
        keys[row.id] = Key(row.id, row.tenant, row.hash, frozenset(row.scopes), _moment(row.expires))
    return keys


def _certificates(
    rows: Sequence[CertificateRow], tenants: Mapping[str, Tenant], document: Document
) -> dict[str, Certificate]:
    certificates: dict[str, Certificate] = {}
    for number, row in enumerate(rows):
        place = ("certificates", number)
        _check_tenant(row.tenant, tenants, place, document)
        if row.name in certificates:
            raise document.error((*place, "name"), f"the name {row.name} is there twice")
        certificates[row.name] = Certificate(row.name, row.tenant, frozenset(row.scopes))
    return certificates


def _check_tenant(name: str, tenants: Mapping[str, Tenant], place: tuple[str, int], document: Document) -> None:
    if name not in tenants:
        allowed = ", ".join(tenants) or "a name under `tenants`"
        raise document.error((*place, "tenant"), f"unknown tenant `{name}`", allowed)


def _moment(said: dt.datetime | dt.date | None) -> dt.datetime | None:
    """Return when a key ends: a day means its first moment, a time without a zone is UTC."""
    if said is None:
        return None
    if not isinstance(said, dt.datetime):
        said = dt.datetime.combine(said, dt.time.min)
    return said if said.tzinfo else said.replace(tzinfo=dt.UTC)
