"""Describes the compose project: the same shape as in Kubernetes, on one machine."""

from collections.abc import Iterable, Mapping
from typing import Any

from catalog.environment import endpoint_variable
from catalog.model import Vendor
from deploy.workloads import USER, admin_port_of, name_of, variables_of

SLOTS = ("", "_2", "_3")  # as many keys of one vendor as compose hands on
# What router and quota service know their callers and each other by.
SHARED_KEYS = ("ORCHESTRATOR_API_KEY", "MESH_SERVICE_KEY")
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")


def project(vendors: Iterable[Vendor], servers: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Describe the whole project.

    Args:
        vendors: who gets a provider service.
        servers: services and volumes of servers that are not ours; they belong to profiles and start when asked for.
    """
    rows = list(vendors)
    described: dict[str, Any] = {
        "name": "llm-mesh",
        "services": {
            "router": _router(),
            "quota": _quota(rows),
            **{name_of(vendor): _provider(vendor) for vendor in rows},
        },
        "networks": {"mesh": {"internal": True}, "callers": {}, "vendors": {}},
        "volumes": {"ledger": {}},
    }
    for server in servers:
        described["services"] |= server["services"]
        described["volumes"] |= server["volumes"]
    return described


def _service(command: list[str], admin_port: int, networks: dict[str, Any]) -> dict[str, Any]:
    """Describe what all have in common: one image, nobody's rights, a file system that cannot be written."""
    healthy = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{admin_port}/livez', timeout=2)"
    return {
        "image": "llm-mesh:dev",
        "pull_policy": "never",
        "command": command,
        "user": f"{USER}:{USER}",
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - a path in the container, a file system of its own
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "restart": "unless-stopped",
        "mem_limit": "256m",
        "networks": networks,
        # The directory: of a single file only what is written in place would be seen, not what replaces it.
        "volumes": ["./kustomize/base:/etc/llm-mesh:ro"],
        "healthcheck": {"test": ["CMD", "python", "-c", healthy], "interval": "10s", "start_period": "20s"},
    }


def _router() -> dict[str, Any]:
    networks = {"mesh": {"aliases": ["router", "edge"]}, "callers": {}}
    service = _service(["serve", "router"], 9464, networks)
    del service["pull_policy"]
    return {
        **service,
        "build": {"context": "..", "dockerfile": "deploy/Dockerfile"},
        "depends_on": {"quota": {"condition": "service_healthy"}},
        # Published on loopback only, so a caller needs no key unless one is set.
        "environment": [
            "MESH_CONFIG=/etc/llm-mesh/mesh.yaml",
            "MESH_ALLOW_ANONYMOUS=${MESH_ALLOW_ANONYMOUS:-true}",
            *SHARED_KEYS,
        ],
        "ports": ["127.0.0.1:7400:7400", "127.0.0.1:8080:8080"],
    }


def _quota(vendors: Iterable[Vendor]) -> dict[str, Any]:
    service = _service(["serve", "quota"], 9465, {"mesh": {}})
    service["volumes"].append("ledger:/var/lib/llm-mesh")
    places = [name for vendor in vendors for name in vendor.concurrency_env]
    return {**service, "environment": ["MESH_CONFIG=/etc/llm-mesh/mesh.yaml", "MESH_LEDGER_URL", *SHARED_KEYS, *places]}


def _provider(vendor: Vendor) -> dict[str, Any]:
    service = _service(["serve", "provider", vendor.id], admin_port_of(vendor), {"mesh": {}, "vendors": {}})
    service["environment"] = ["MESH_CONFIG=/etc/llm-mesh/mesh.yaml", *_variables(vendor)]
    if vendor.local:
        variable = next(iter(vendor.endpoint_env), endpoint_variable(vendor.id))
        service["environment"].remove(variable)
        service["environment"].append(f"{variable}=${{{variable}:-{_on_the_host(vendor.endpoint)}}}")
        service["extra_hosts"] = ["host.docker.internal:host-gateway"]
    return service


def _variables(vendor: Vendor) -> list[str]:
    """Name the variables this vendor's service gets from the caller's environment, and no other vendor's."""
    keys = [f"{name}{slot}" for name in vendor.key_env for slot in SLOTS]
    others = [name for name in variables_of(vendor) if name not in vendor.key_env]
    return [*keys, *others, endpoint_variable(vendor.id), *PROXIES]


def _on_the_host(endpoint: str) -> str:
    return endpoint.replace("localhost", "host.docker.internal").replace("127.0.0.1", "host.docker.internal")
