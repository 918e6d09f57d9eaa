"""Gathers what the doctor's checks read: the configuration, the keys, and what a running mesh says of itself."""

import asyncio
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh, default_path, load_mesh
from llm_mesh.checks import keys
from llm_mesh.children import Layout, listeners, provider_processes
from llm_mesh.cli import session
from llm_mesh.cli.outcome import UnreachableError
from llm_mesh.env_file import ENV_FILE, read_env_file
from llm_mesh.ports import dialled, problems
from llm_mesh.variables import CALLER_KEY, CLIENT_KEY
from meshkit.errors import MeshError, StartError
from meshkit.secret import Secret

QUICK = 3.0
RECOVERING = "breaker_open"
# The admin pages do not count a doctor among those who scrape them.
VISITOR = {"User-Agent": "llm-mesh-doctor"}
_SCRAPED = re.compile(r"^mesh_last_scrape_timestamp_seconds (\S+)$", re.MULTILINE)
_FALLBACKS = re.compile(r"^mesh_fallbacks_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Where:
    """Where the doctor looks: the mesh's addresses, and the directory and environment a mesh would start in."""

    router: str
    environment: Mapping[str, str] = field(repr=False)
    directory: Path = field(default_factory=Path.cwd)


@dataclass
class Evidence:
    """What was found; without a mesh that answers its parts are empty, `silence` says why; `refused`: it said no."""

    where: Where
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    mesh: Mesh | None = None
    config: Path | None = None
    config_problem: str = ""
    taken_ports: list[str] = field(default_factory=list)
    silence: str = ""
    refused: bool = False
    vendors: Mapping[str, router_pb2.Vendor] = field(default_factory=dict)
    told: list[router_pb2.CheckVendorsResponse] = field(default_factory=list)
    plans: Mapping[str, router_pb2.ExplainRouteResponse | str] = field(default_factory=dict)
    local_models: list[str] = field(default_factory=list)
    reachable: Mapping[str, bool] = field(default_factory=dict)
    replicas: int = 0
    scraped: float | None = None
    fallbacks: float = 0.0
    health: str = ""

    @property
    def runs(self) -> bool:
        """Tell whether a mesh answered."""
        return not self.silence


async def gather(where: Where) -> Evidence:
    """Look everywhere; nothing is spent and nothing is changed."""
    found = Evidence(where, silence="the configuration cannot be read")
    try:
        found.variables = {**read_env_file(where.directory / ENV_FILE), **where.environment}
        found.config = default_path(found.variables, where.directory)
        found.mesh = load_mesh(found.config, found.variables)
    except StartError as error:
        found.config_problem = str(error)
        return found
    await _ask_router(found, found.mesh)
    if not (found.runs or found.refused):
        found.taken_ports = list(problems(listeners(_layout(found.mesh, found.config))))
    found.reachable = {vendor: await answers(url) for vendor, url in local_servers(found.mesh)}
    found.replicas = await _addresses(where.router)
    await _ask_pages(found, found.mesh)
    return found


def _layout(mesh: Mesh, config: Path | None) -> Layout:
    served = [vendor for vendor, settings in mesh.vendors.items() if settings.enabled]
    processes = provider_processes(served, isolated=False)
    return Layout(
        mesh, config, processes, {name: mesh.provider_admin(vendors[0]) for name, vendors in processes.items()}
    )


async def _ask_router(found: Evidence, mesh: Mesh) -> None:
    try:
        async with session.router(found.where.router, _key(found.variables)) as way:
            request = router_pb2.ListVendorsRequest()
            call = way.stub.ListVendors(request, timeout=session.QUICK, metadata=way.metadata)
            listed: router_pb2.ListVendorsResponse = await way.answer(call)
            found.silence = ""
            found.vendors = {vendor.id: vendor for vendor in listed.vendors}
            found.told = [told async for told in keys.check(way, ())]
            found.plans = {name: await _plan(way, use_case=name) for name in mesh.use_cases}
            found.local_models = [name for name in _local_models(mesh) if await _has(way, name)]
    except UnreachableError as error:
        found.silence = str(error)
    except MeshError as error:
        found.silence, found.refused = str(error), True


def _key(variables: Mapping[str, str]) -> Secret | None:
    """Return the key to present: the one commands use, else the callers' one, which is here as well."""
    value = variables.get(CLIENT_KEY, "").strip() or variables.get(CALLER_KEY, "").strip()
    return Secret(value) if value else None


async def _plan(way: session.Session, **intent: Any) -> router_pb2.ExplainRouteResponse | str:
    """Return how a request would be served, or why the mesh does not say."""
    request = router_pb2.ExplainRouteRequest(intent=router_pb2.Intent(**intent))
    try:
        plan: router_pb2.ExplainRouteResponse = await way.answer(
            way.stub.ExplainRoute(request, timeout=session.QUICK, metadata=way.metadata)
        )
    except MeshError as error:
        return str(error)
    return plan


def _local_models(mesh: Mesh) -> list[str]:
    vendors = [vendor for vendor in mesh.catalog.vendors.values() if vendor.local and mesh.vendors[vendor.id].enabled]
    return [
        f"{vendor.id}/{model.id}" for vendor in vendors for model in vendor.models.values() if model.status == "active"
    ]


async def _has(way: session.Session, name: str) -> bool:
    """Tell whether a local server has a model: preferred and not pinned, one that is not installed is left out."""
    vendor = name.partition("/")[0]
    plan = await _plan(way, preferred_model=name, tier=router_pb2.TIER_FREE, allow_vendors=[vendor])
    return any(offer.partition("#")[0] == name for offer in usable(plan))


def usable(plan: router_pb2.ExplainRouteResponse | str) -> list[str]:
    """Return the offers of a plan, those too that only a breaker keeps out for a moment."""
    if isinstance(plan, str):
        return []
    return [each.offer for each in plan.offers] + [each.offer for each in plan.excluded if each.reason == RECOVERING]


def local_servers(mesh: Mesh) -> list[tuple[str, str]]:
    """Return where each vendor on machines of ours would be: (vendor, URL)."""
    return [
        (vendor.id, mesh.endpoint(vendor.id).url)
        for vendor in mesh.catalog.vendors.values()
        if vendor.local and mesh.vendors[vendor.id].enabled and mesh.endpoint(vendor.id).url
    ]


async def answers(url: str) -> bool:
    """Tell whether anybody accepts connections where a URL points."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(QUICK):
            _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
            return True
    return False


async def _addresses(target: str) -> int:
    """Count the addresses behind the name a client dials."""
    host, _, port = target.rpartition("/")[2].rpartition(":")
    with suppress(OSError):
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, family=socket.AF_INET)
        return len({address[4][0] for address in found})
    return 0


async def _ask_pages(found: Evidence, mesh: Mesh) -> None:
    timeout = aiohttp.ClientTimeout(total=QUICK)
    async with aiohttp.ClientSession(timeout=timeout, headers=VISITOR) as http:
        page = await _read(http, f"http://{dialled(mesh.router_admin)}/metrics")
        if page is not None:
            scraped = _SCRAPED.search(page)
            found.scraped = time.time() - float(scraped[1]) if scraped and float(scraped[1]) else None
            found.fallbacks = sum(map(float, _FALLBACKS.findall(page)))
        url = f"http://{dialled(mesh.edge.dial)}/api/health"
        found.health = "" if await _read(http, url) is not None else f"{url} does not answer"


async def _read(http: aiohttp.ClientSession, url: str) -> str | None:
    """Return what a page says, None when it does not answer well."""
    try:
        async with http.get(url) as answer:
            return await answer.text() if answer.status == 200 else None
    except (TimeoutError, aiohttp.ClientError, OSError):
        return None
