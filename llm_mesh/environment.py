"""Gives every process the environment it needs and no key it does not: vendors' keys to their providers alone."""

import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from catalog.environment import endpoint_variable
from catalog.keys import holds_key
from catalog.model import Catalog, Vendor
from llm_mesh.made_up_keys import made_up_key
from llm_mesh.variables import CALLER_KEY, CLIENT_KEY, LEDGER_URL, PEPPER, SERVICE_KEY

ALLOWED_PREFIXES = ("MESH_", "OTEL_", "LOCAL_MODELS_")
Question = Callable[[str], bool]  # about the name of a variable
# By which callers of the router and of the ledger are known.
_CALLERS = (CALLER_KEY, PEPPER, SERVICE_KEY)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Environments:
    """The environments of the processes of one mesh; `plain` holds no key."""

    catalog: Catalog
    plain: Mapping[str, str] = field(repr=False)
    keys: Mapping[str, str] = field(repr=False)

    def of_vendors(self, vendors: Iterable[str]) -> dict[str, str]:
        """Return the environment of a process that serves these vendors: their keys and no others."""
        wanted = partial(holds_key, _key_names(self.catalog.vendors[vendor] for vendor in vendors))
        return {**self.plain, **{name: value for name, value in self.keys.items() if wanted(name)}}

    def of_quota(self) -> dict[str, str]:
        """Return the quota service's environment: the ledger's URL, what its callers are known by, no vendor's key."""
        return {**self.plain, **{name: value for name, value in self.keys.items() if name in (LEDGER_URL, *_CALLERS)}}

    def of_router(self) -> dict[str, str]:
        """Return the router's environment: what its callers are known by and it is known by, and no vendor's key."""
        return {**self.plain, **{name: value for name, value in self.keys.items() if name in _CALLERS}}

    def of_one_mesh(self) -> "Environments":
        """Return environments in which the services know one another by a key; a new one where none was said."""
        said = self.keys.get(SERVICE_KEY) or secrets.token_hex(24)
        return replace(self, keys={**self.keys, SERVICE_KEY: said})


def environments(catalog: Catalog, environment: Mapping[str, str], env_file: Mapping[str, str]) -> Environments:
    """Divide the environment, laid over a .env file, into what every process may see and the keys.

    Of the .env file only variables the mesh knows are handed on at all.
    """
    known = partial(holds_key, _key_names(catalog.vendors.values()))
    harmless = _settings(catalog)
    offered = {name: value for name, value in env_file.items() if known(name) or harmless(name) or name == CALLER_KEY}
    merged = {**offered, **{name: value for name, value in environment.items() if value or name not in offered}}
    keys = {name: value for name, value in merged.items() if known(name) or name in (LEDGER_URL, *_CALLERS)}
    plain = {name: value for name, value in merged.items() if name not in keys and name != CLIENT_KEY}
    return Environments(catalog, plain, keys)


def sandboxed(found: Environments, simulator: str) -> Environments:
    """Return environments in which every vendor is the simulated one and every vendor's key is made up."""
    vendors = found.catalog.vendors.values()
    plain = dict(found.plain)
    for name in ("NO_PROXY", "no_proxy"):
        plain[name] = ",".join(filter(None, (plain.get(name, ""), "127.0.0.1", "localhost")))
    for vendor in vendors:
        plain[endpoint_variable(vendor.id)] = f"http://{simulator}/{vendor.id}{_path(vendor)}"
    keys = {name: value for name, value in found.keys.items() if name in _CALLERS}
    keys |= {vendor.key_env[0]: made_up_key(vendor.key_format) for vendor in vendors if vendor.key_env}
    return Environments(found.catalog, plain, keys)


def _path(vendor: Vendor) -> str:
    """Return the path of the vendor's own endpoint, its placeholders named after themselves."""
    path = re.sub(r"^https?://[^/]*", "", vendor.endpoint)
    return re.sub(r"\{([a-z_]+)\}", r"\1", path)


def _settings(catalog: Catalog) -> Question:
    """Ask whether a variable configures the mesh without being a key."""
    names = {name for vendor in catalog.vendors.values() for name in _own_names(vendor)}

    def answer(name: str) -> bool:
        configures = name in names or name.startswith(ALLOWED_PREFIXES) or name.upper() in PROXIES
        return configures and name != CLIENT_KEY

    return answer


def _own_names(vendor: Vendor) -> Iterable[str]:
    yield from vendor.endpoint_env
    yield from vendor.concurrency_env
    for names in vendor.endpoint_parts.values():
        yield from names


def _key_names(vendors: Iterable[Vendor]) -> frozenset[str]:
    return frozenset(name for vendor in vendors for name in vendor.key_env)
