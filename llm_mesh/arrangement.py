"""Turns what the command line asks for into processes to start, with everything checked that can be checked before."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.mesh import Mesh, default_path, load_mesh
from catalog.tenants import with_tenants
from llm_mesh.addresses import Choice, choose
from llm_mesh.children import LEDGER_PATH, LEDGER_STORE, ChildPlan, Layout, listeners, plan_children, provider_processes
from llm_mesh.env_file import ENV_FILE, read_env_file
from llm_mesh.environment import Environments, environments, sandboxed
from llm_mesh.order import Order
from llm_mesh.place import Place
from llm_mesh.ports import check_free, dialled
from llm_mesh.simulated import hosted
from llm_mesh.variables import CALLER_KEY
from meshkit.secret import Secret


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What is to be started, and the key callers of the router will need."""

    layout: Layout
    children: tuple[ChildPlan, ...]
    caller_key: Secret | None


def arrange(order: Order, environment: Mapping[str, str], parent: int, where: Place) -> Arrangement:
    """Work out what to start.

    Raises:
        StartError: the configuration is wrong, or a port is in use.
    """
    env_file = {} if order.sandbox else read_env_file(ENV_FILE)
    seen = {**env_file, **environment}
    config = order.config or default_path(seen, Path.cwd())
    unplaced = load_mesh(config, seen)
    vendors = [vendor for vendor, settings in unplaced.vendors.items() if settings.enabled]
    processes = provider_processes(vendors, isolated=order.isolated)
    choice = choose(order.wishes, unplaced.catalog, processes)
    found = _environments(order, environments(unplaced.catalog, environment, env_file), choice, where)
    mesh = with_tenants(load_mesh(config, found.plain))
    simulator = choice.simulator() if order.sandbox else None
    admins = choice.provider_admins(processes, mesh)
    if where.simulated is not None:
        where.simulated.write_text(json.dumps(hosted(mesh.catalog)), encoding="utf-8")
    layout = Layout(mesh, config, processes, admins, simulator, where.simulated)
    check_free(listeners(layout))
    found = _with_way_in(found, mesh)
    key = found.keys.get(CALLER_KEY)
    if key:
        found = found.of_one_mesh()
    return Arrangement(layout, plan_children(layout, found, parent), Secret(key) if key else None)


def _with_way_in(found: Environments, mesh: Mesh) -> Environments:
    """Make up a caller's key where only tenants have some: who starts the mesh asks it how it is."""
    if mesh.tenants is None or found.keys.get(CALLER_KEY):
        return found
    return replace(found, keys={**found.keys, CALLER_KEY: secrets.token_hex(24)})


def _environments(order: Order, found: Environments, choice: Choice, where: Place) -> Environments:
    """Add what makes every process agree on addresses, on the ledger and on who answers as a vendor."""
    chosen = choice.variables(list(found.catalog.vendors))
    if where.ledger is not None:
        chosen[LEDGER_PATH], chosen[LEDGER_STORE] = str(where.ledger), "sqlite"
    found = replace(found, plain={**found.plain, **chosen})
    return sandboxed(found, dialled(choice.simulator())) if order.sandbox else found
