"""Decides where everything listens: what was asked for on the command line, a block of ports, free ports, mesh.yaml."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from catalog.model import Catalog
from catalog.settings import Mesh
from llm_mesh.children import provider_variable
from llm_mesh.order import Wishes
from llm_mesh.ports import LOOPBACK, dialled, free_addresses

SIMULATOR = f"{LOOPBACK}:7490"
# Where each part is within a block of ports (--port-base).
BLOCK = {"router": 0, "quota": 1, "edge": 2, "simulator": 3, "router_admin": 4, "quota_admin": 5, "providers": 6}
FIRST_PROVIDER = 10
FIRST_PROVIDER_ADMIN = 50


@dataclass(frozen=True, slots=True)
class Choice:
    """Addresses by part: router, quota, edge, simulator, router_admin, quota_admin, a vendor, a provider process."""

    parts: Mapping[str, str] = field(default_factory=dict)

    def variables(self, vendors: Sequence[str]) -> dict[str, str]:
        """Return the environment variables that make every process agree with this choice."""
        names = {part: f"MESH_{part.upper()}_ADDRESS" for part in ("router", "quota", "edge")}
        names |= {vendor: provider_variable(vendor) for vendor in vendors}
        variables = {}
        for part, name in names.items():
            if address := self.parts.get(part):
                variables[name] = dialled(address)
                variables[name.removesuffix("_ADDRESS") + "_LISTEN"] = address
        for part in ("router_admin", "quota_admin"):
            if address := self.parts.get(part):
                variables[f"MESH_{part.upper()}"] = address
        return variables

    def simulator(self) -> str:
        """Return where the simulated vendors listen."""
        return self.parts.get("simulator", SIMULATOR)

    def provider_admins(self, processes: Mapping[str, tuple[str, ...]], mesh: Mesh) -> dict[str, str]:
        """Return the admin address of every provider process."""
        return {name: self.parts.get(name) or mesh.provider_admin(vendors[0]) for name, vendors in processes.items()}


def choose(wishes: Wishes, catalog: Catalog, processes: Mapping[str, tuple[str, ...]]) -> Choice:
    """Return where everything listens as far as the command line says so; the rest is left to mesh.yaml."""
    parts: dict[str, str] = {}
    vendors = [vendor for served in processes.values() for vendor in served]
    if wishes.free_ports:
        names = [*BLOCK, *vendors, *processes]
        parts = dict(zip(names, free_addresses(len(names)), strict=True))
    elif wishes.port_base:
        parts = {part: _at(wishes.port_base + place) for part, place in BLOCK.items()}
        for vendor in vendors:
            offset = wishes.port_base + catalog.vendors[vendor].port_offset
            parts[vendor] = _at(offset + FIRST_PROVIDER)
            parts[f"provider-{vendor}"] = _at(offset + FIRST_PROVIDER_ADMIN)
    named = {part: getattr(wishes, part) for part in ("router", "quota", "edge", "simulator")}
    return Choice({**parts, **{part: address for part, address in named.items() if address}})


def _at(port: int) -> str:
    return f"{LOOPBACK}:{port}"
