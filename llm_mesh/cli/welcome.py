"""Tells, once the mesh is up, where it is and which vendors are active."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmmesh.router.v1 import router_pb2
from rich.console import Console

from llm_mesh.children import Layout
from llm_mesh.cli import output, session, vendors
from llm_mesh.cli.outcome import UnreachableError
from llm_mesh.ports import dialled
from meshkit.errors import MeshError
from meshkit.secret import Secret

DESCRIBED_WITHIN = 5.0
ASK_EVERY = 0.2


@dataclass(frozen=True, slots=True)
class Welcome:
    """What there is to say: addresses that can be dialled, processes, vendors unless the router does not tell us."""

    router: str
    edge: str
    quota: str
    simulator: str | None
    vendors: Sequence[router_pb2.Vendor] | None
    pids: Mapping[str, int]
    admin: Mapping[str, str]
    logs: Path | None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON wants it."""
        told = [
            {"id": vendor.id, "status": vendor.status, "reason": vendor.reason, "warnings": list(vendor.warnings)}
            for vendor in self.vendors or ()
        ]
        logs = str(self.logs) if self.logs else None
        return {
            "router": self.router,
            "edge": self.edge,
            "quota": self.quota,
            "simulator": self.simulator,
            "vendors": told,
            "pids": dict(self.pids),
            "admin": dict(self.admin),
            "logs": logs,
        }


async def welcome(layout: Layout, pids: Mapping[str, int], logs: Path | None, key: Secret | None) -> Welcome:
    """Ask the router for its vendors, once each has described itself, and return what there is to say."""
    router = dialled(layout.mesh.router.listen)
    admin = {"router": layout.mesh.router_admin, "quota": layout.mesh.quota_admin, **layout.provider_admins}
    return Welcome(
        router=router,
        edge=f"http://{dialled(layout.mesh.edge.listen)}",
        quota=dialled(layout.mesh.quota.listen),
        simulator=f"http://{dialled(layout.simulator)}" if layout.simulator else None,
        vendors=await _described(router, layout, key),
        pids=pids,
        admin={name: f"http://{dialled(address)}" for name, address in admin.items()},
        logs=logs,
    )


async def _described(router: str, layout: Layout, key: Secret | None) -> Sequence[router_pb2.Vendor] | None:
    """Return the vendors; None when the router wants a certificate and we have none that it takes."""
    try:
        return await _listed(router, layout, key)
    except (MeshError, UnreachableError):
        if layout.mesh.tls is None:
            raise
        return None


async def _listed(router: str, layout: Layout, key: Secret | None) -> Sequence[router_pb2.Vendor]:
    """Return the vendors; waits a moment for those that have not described themselves yet."""
    running = {vendor for served in layout.providers.values() for vendor in served}
    async with session.router(router, key) as way:
        for _ in range(round(DESCRIBED_WITHIN / ASK_EVERY)):
            listed = (await vendors.fetch(way)).vendors
            if all(vendor.HasField("described_at") for vendor in listed if vendor.id in running):
                break
            await asyncio.sleep(ASK_EVERY)
    return listed


def print_welcome(found: Welcome, console: Console) -> None:
    """Print it for people."""
    addresses = output.table("", "")
    addresses.show_header = False
    for name, address in (
        ("gRPC", found.router),
        ("HTTP", f"{found.edge}/v1  (base_url of any OpenAI client)"),
        ("console", f"{found.edge}/console"),
        ("quota", found.quota),
        ("simulated vendors", found.simulator),
        ("metrics", "  ".join(f"{address}/metrics" for address in found.admin.values())),
        ("logs", found.logs),
    ):
        if address:
            addresses.add_row(name, str(address))
    console.print(addresses)
    console.print()
    if found.vendors is not None:
        console.print(vendors.overview(found.vendors))
        console.print()
        for line in vendors.notes(found.vendors):
            console.print(line)
    console.print(_next_step(found))


def _next_step(found: Welcome) -> str:
    if found.vendors is None:
        return (
            "Ready. The router wants a certificate before it tells more: MESH_TLS_CA, MESH_TLS_CERT and MESH_TLS_KEY "
            "name the files of one it takes.   Ctrl-C stops everything."
        )
    if not any(vendor.status == "active" for vendor in found.vendors):
        return "No vendor is active: put a key into .env (see .env.example), or try `llm-mesh up --sandbox`."
    default = found.router == session.ROUTER
    address = "" if default else f"--address {found.router} "
    return f'Ready. Try: llm-mesh chat {address}"Say hello."   Ctrl-C stops everything.'
