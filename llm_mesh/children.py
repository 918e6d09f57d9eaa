"""Says which processes the mesh consists of: their commands, their environments and how each tells it is ready."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from catalog.settings import Mesh
from llm_mesh.environment import Environments
from llm_mesh.ports import Listener, dialled
from meshkit.admin import split_address

LEDGER_PATH, LEDGER_STORE = "MESH_LEDGER_PATH", "MESH_LEDGER_STORE"
CHANGE_ADMIN = "stop what listens there, or change it in mesh.yaml, or use --port-base N or --ports auto"


@dataclass(frozen=True, slots=True)
class ChildPlan:
    """One process to keep running. The environment may hold keys, so it is never shown."""

    name: str
    argv: tuple[str, ...]
    ready_url: str
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Layout:
    """What is to run where.

    Attributes:
        mesh: the configuration the children will read for themselves, addresses and all.
        config: the file it comes from, None for the built-in defaults.
        providers: vendors served by each provider process, by the process's name.
        provider_admins: admin address of each provider process, by its name.
        simulator: where the simulated vendors listen, None without them.
        simulated: the file that tells the simulator what to host.
    """

    mesh: Mesh
    config: Path | None
    providers: Mapping[str, tuple[str, ...]]
    provider_admins: Mapping[str, str]
    simulator: str | None = None
    simulated: Path | None = None


def provider_processes(vendors: Iterable[str], *, isolated: bool) -> dict[str, tuple[str, ...]]:
    """Return which process serves which vendors: one for all of them, or one for each."""
    served = tuple(vendors)
    if isolated:
        return {f"provider-{vendor}": (vendor,) for vendor in served}
    return {"providers": served} if served else {}


def plan_children(layout: Layout, environments: Environments, parent: int) -> tuple[ChildPlan, ...]:
    """Return the processes in the order they are started; they are stopped in reverse."""
    mesh = layout.mesh

    def child(name: str, admin: str, env: Mapping[str, str], *words: str) -> ChildPlan:
        configured = ("--config", str(layout.config)) if layout.config else ()
        argv = (*_serve(parent, name.partition("-")[0].removesuffix("s")), *words, *configured)
        return ChildPlan(name, argv, f"http://{dialled(admin)}/readyz", env)

    children = [child("quota", mesh.quota_admin, environments.of_quota())]
    for name, vendors in layout.providers.items():
        admin = layout.provider_admins[name]
        children.append(child(name, admin, environments.of_vendors(vendors), *vendors, "--admin", admin))
    children.append(child("router", mesh.router_admin, environments.of_router()))
    if layout.simulator:
        children.insert(0, _simulator(layout.simulator, layout.simulated, environments.plain, parent))
    return tuple(children)


def _simulator(address: str, simulated: Path | None, env: Mapping[str, str], parent: int) -> ChildPlan:
    host, port = split_address(address)
    configured = ("--config", str(simulated)) if simulated else ()
    argv = (*_serve(parent, "simulator"), "--host", host, "--port", str(port), *configured)
    return ChildPlan("simulator", argv, f"http://{dialled(address)}/_control/vendors", env)


def _serve(parent: int, what: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "llm_mesh", "serve", what, "--parent", str(parent))


def listeners(layout: Layout) -> tuple[Listener, ...]:
    """Return every address somebody is going to listen on."""
    mesh = layout.mesh
    found = [
        Listener(mesh.router.listen, "router", _change("--router", "MESH_ROUTER_ADDRESS")),
        Listener(mesh.quota.listen, "quota service", _change("--quota", "MESH_QUOTA_ADDRESS")),
        Listener(mesh.edge.listen, "HTTP edge", _change("--edge", "MESH_EDGE_ADDRESS")),
        Listener(mesh.router_admin, "router's admin page", CHANGE_ADMIN),
        Listener(mesh.quota_admin, "quota service's admin page", CHANGE_ADMIN),
    ]
    if layout.simulator:
        found.append(Listener(layout.simulator, "simulated vendors", _change("--simulator", "")))
    for name, vendors in layout.providers.items():
        found.append(Listener(layout.provider_admins[name], f"admin page of {name}", CHANGE_ADMIN))
        for vendor in vendors:
            address = mesh.provider_address(vendor).listen
            found.append(Listener(address, f"provider service of {vendor}", _change("", provider_variable(vendor))))
    return tuple(found)


def provider_variable(vendor: str) -> str:
    """Name the variable that says where a vendor's provider service is."""
    return f"MESH_PROVIDER_{vendor.upper()}_ADDRESS"


def _change(option: str, variable: str) -> str:
    ways = [f"{option} HOST:PORT"] if option else []
    ways += [f"{variable}=HOST:PORT"] if variable else []
    return "stop what listens there, or choose another with " + ", ".join([*ways, "--port-base N or --ports auto"])
