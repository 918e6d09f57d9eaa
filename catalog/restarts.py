"""Which keys of mesh.yaml a running process cannot follow, because it began with them."""

from collections.abc import Callable, Mapping

from catalog.settings import Mesh

Key = Callable[[Mesh], object]

OF_ALL: Mapping[str, Key] = {
    "telemetry.otlp_endpoint": lambda mesh: mesh.telemetry.otlp_endpoint,
    "telemetry.sample_ratio": lambda mesh: mesh.telemetry.sample_ratio,
}
OF_ROUTER: Mapping[str, Key] = {
    **OF_ALL,
    "addresses.router.listen": lambda mesh: mesh.router.listen,
    "addresses.router.admin": lambda mesh: mesh.router_admin,
    "addresses.router.tls": lambda mesh: mesh.tls,
    "addresses.edge.listen": lambda mesh: mesh.edge.listen,
    "addresses.quota.dial": lambda mesh: mesh.quota.dial,
    "tenants": lambda mesh: mesh.tenants,
    "timeouts.quota_grace": lambda mesh: mesh.timeouts.quota_grace,
    "timeouts.reserve": lambda mesh: mesh.timeouts.reserve,
}
OF_QUOTA: Mapping[str, Key] = {
    **OF_ALL,
    "addresses.quota.listen": lambda mesh: mesh.quota.listen,
    "addresses.quota.admin": lambda mesh: mesh.quota_admin,
    "tenants": lambda mesh: mesh.tenants,
    "ledger.store": lambda mesh: mesh.ledger.store,
    "ledger.path": lambda mesh: mesh.ledger.path,
    "ledger.url": lambda mesh: mesh.ledger.url.reveal() if mesh.ledger.url is not None else None,
    "ledger.prefix": lambda mesh: mesh.ledger.prefix,
    "ledger.spend_days": lambda mesh: mesh.ledger.spend_days,
}


def of_vendors(vendors: tuple[str, ...]) -> Mapping[str, Key]:
    """Return the keys of a process that fronts these vendors."""

    def listen(vendor: str) -> Key:
        return lambda mesh: mesh.vendors[vendor].address.listen if vendor in mesh.vendors else None

    return {**OF_ALL, **{f"vendors.{vendor}.listen": listen(vendor) for vendor in vendors}}


def waiting(keys: Mapping[str, Key], begun: Mesh, now: Mesh) -> tuple[str, ...]:
    """Return the keys that say something else than what the process began with."""
    return tuple(name for name, key in keys.items() if key(begun) != key(now))
