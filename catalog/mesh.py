"""Reads mesh.yaml and the environment into one `Mesh`, refusing whatever does not hold together."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from catalog.environment import overlay
from catalog.keys import hide_keys
from catalog.limit_rows import to_nanos
from catalog.loader import fingerprint, found, load_catalog
from catalog.mesh_rows import (
    BudgetFileRow,
    EdgeRow,
    LedgerRow,
    MeshFile,
    QuotaRow,
    RouterRow,
    TiersRow,
    TimeoutsRow,
    TlsRow,
)
from catalog.model import Catalog
from catalog.overlay import laid_over
from catalog.settings import (
    Address,
    BudgetRow,
    Endpoint,
    Http,
    Ledger,
    Mesh,
    Slot,
    Telemetry,
    Timeouts,
    VendorSettings,
)
from catalog.vendor_settings import vendor_settings
from catalog.window import parse_window
from meshkit.secret import Secret
from meshkit.tls import ServerTls
from meshkit.yaml_file import ConfigError, Document, read

# How the URL of a ledger's store begins: in the clear, encrypted, on this machine; for Sentinels who know it likewise.
STORES = ("redis://", "rediss://", "unix://", "sentinel://", "sentinels://")

__all__ = [
    "Address",
    "BudgetRow",
    "Endpoint",
    "Mesh",
    "Slot",
    "Telemetry",
    "Timeouts",
    "VendorSettings",
    "catalog_place",
    "default_path",
    "load_mesh",
]


def default_path(env: Mapping[str, str], directory: Path) -> Path | None:
    """Return the file to read: $MESH_CONFIG, else mesh.yaml in the directory if it is there, else None."""
    if named := env.get("MESH_CONFIG"):
        return Path(named)
    path = directory / "mesh.yaml"
    return path if path.exists() else None


def load_mesh(path: Path | None, env: Mapping[str, str], catalog: Catalog | None = None) -> Mesh:
    """Read the configuration; None means the built-in defaults. The environment beats the file.

    Raises:
        ConfigError: the first mistake found, with its file, line and key, or the variable it comes from.
    """
    document = read(path) if path is not None else Document("defaults")
    known = catalog or load_catalog(_place(document, env))
    try:
        return _mesh(document, env, known)
    except ConfigError as error:
        key, problem = hide_keys(error.key, known), hide_keys(error.problem, known)
        raise ConfigError(error.file, error.line, key, problem, error.allowed) from None


def _mesh(document: Document, env: Mapping[str, str], known: Catalog) -> Mesh:
    """Put the file, the environment and the catalogue together."""
    overlay(document, env, known.vendors)
    file = document.validate(MeshFile)
    merged = laid_over(known, file, document)
    return Mesh(
        catalog=merged,
        router=_address(file.addresses.router),
        quota=_address(file.addresses.quota),
        edge=_address(file.addresses.edge),
        router_admin=file.addresses.router.admin,
        quota_admin=file.addresses.quota.admin,
        vendors=MappingProxyType(vendor_settings(merged, file, env, document)),
        tiers=_tiers(file.tiers),
        budgets=_budgets(file.budgets, merged, document),
        timeouts=_timeouts(file.timeouts),
        telemetry=Telemetry(file.telemetry.otlp_endpoint, file.telemetry.sample_ratio, file.telemetry.log_level),
        ledger=_ledger(file.ledger, document),
        version=_version(known, file),
        http=Http(tuple(file.edge.cors_origins), file.edge.heartbeat),
        tenants=_beside(document, env, "MESH_TENANTS", file.tenants),
        tls=_tls(document, env, file.addresses.router.tls),
    )


def _ledger(row: LedgerRow, document: Document) -> Ledger:
    """Return where the ledger is. A URL alone says that it is in a store; only the quota service need know the URL."""
    if row.url is not None and not row.url.startswith(STORES):
        raise document.error(("ledger", "url"), "is not the URL of a store", ", ".join(STORES))
    store = row.store or ("sqlite" if row.url is None else "redis")
    return Ledger(store, row.path, None if row.url is None else Secret(row.url), row.prefix, row.spend_days)


def catalog_place(path: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the directory of rows or the snapshot that a configuration names; None means the rows the mesh ships."""
    return _place(read(path) if path is not None else Document("defaults"), env)


def _place(document: Document, env: Mapping[str, str]) -> Path | None:
    """Return where the rows are: $MESH_CATALOG, else the key `catalog` (seen from the file), else the shipped ones."""
    if named := env.get("MESH_CATALOG"):
        return found(named, Path())
    named = document.data.get("catalog")
    return found(named, Path(document.name).parent) if isinstance(named, str) and named else None


def _beside(document: Document, env: Mapping[str, str], variable: str, named: str | None) -> Path | None:
    """Return a file: the one the variable names, else the one mesh.yaml does, seen from there."""
    if said := env.get(variable):
        return Path(said).absolute()
    return (Path(document.name).parent / named).absolute() if named else None


def _tls(document: Document, env: Mapping[str, str], row: TlsRow) -> ServerTls | None:
    """Return the files of the router's TLS."""
    cert = _beside(document, env, "MESH_ROUTER_TLS_CERT", row.cert)
    key = _beside(document, env, "MESH_ROUTER_TLS_KEY", row.key)
    client_ca = _beside(document, env, "MESH_ROUTER_TLS_CLIENT_CA", row.client_ca)
    return ServerTls(cert, key, client_ca) if cert and key else None


def _address(row: RouterRow | QuotaRow | EdgeRow) -> Address:
    """Return an address; what is dialled is what is listened on unless said."""
    return Address(row.listen, row.dial or row.listen)


def _tiers(row: TiersRow) -> Mapping[str, int | None]:
    """Return the caps in nano-dollars per million tokens."""
    caps: dict[str, float | None] = row.model_dump()
    return MappingProxyType({tier: None if cap is None else to_nanos(cap) for tier, cap in caps.items()})


def _budgets(rows: list[BudgetFileRow], catalog: Catalog, document: Document) -> tuple[BudgetRow, ...]:
    """Return the budgets, refusing one that is there twice or names a use case nobody knows."""
    budgets: dict[tuple[str, str, str], BudgetRow] = {}
    for number, row in enumerate(rows):
        _, named, case = row.subject.rpartition("use_case/")
        if named and case not in catalog.use_cases:
            raise document.error(
                ("budgets", number, "subject"), f"unknown use case `{case}`", ", ".join(catalog.use_cases)
            )
        window = parse_window(row.window)
        key = (row.subject, row.unit, window.label)
        if key in budgets:
            raise document.error(("budgets", number), f"limits {row.unit} per {window.label} of {row.subject} twice")
        budgets[key] = BudgetRow(row.subject, **row.allowance())
    return tuple(budgets.values())


def _timeouts(row: TimeoutsRow) -> Timeouts:
    """Return the time limits."""
    first_token: dict[str, float] = row.first_token.model_dump()
    return Timeouts(
        request=row.request,
        connect=row.connect,
        first_token=MappingProxyType(first_token),
        idle=row.idle,
        total=row.total,
        quota_grace=row.quota_grace,
        reserve=row.reserve,
        short_wait=row.short_wait,
        minimum_rate=row.minimum_rate,
    )


def _version(catalog: Catalog, file: MeshFile) -> int:
    """Return a number that changes whenever a limit, price or budget may have; addresses do not count."""
    parts = [
        row.model_dump_json(include={"slots", "limits", "concurrency", "safety", "models"}, exclude_defaults=True)
        for row in file.vendors.values()
    ]
    said = [f"{name}{part}" for name, part in sorted(zip(file.vendors, parts, strict=True)) if part != "{}"]
    ours = file.model_dump_json(include={"budgets", "tiers", "use_cases"}, exclude_defaults=True)
    return fingerprint(catalog.version.to_bytes(8), *(text.encode() for text in (*said, ours)))
