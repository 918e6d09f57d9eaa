"""Describes the Kubernetes objects of one vendor: its workload, its name, its way out and nobody else's key."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from catalog.model import Vendor

FIRST_PORT = 7410
FIRST_ADMIN_PORT = 9470
USER = 10001

PART_OF = "app.kubernetes.io/part-of"
# Addresses that are not the public internet: a provider service must not be led into the cluster or to a metadata page.
NOT_PUBLIC_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4"),
)
NOT_PUBLIC_6 = ("2001::/23", "2001:db8::/32", "2002::/16")  # of 2000::/3, the only range routed publicly
METADATA_4 = ("169.254.0.0/16",)
METADATA_6 = ("fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10")


def served(vendors: Iterable[Vendor]) -> list[Vendor]:
    """Leave out vendors that had ended when the catalogue was last checked, and order the others by their ports.

    Nobody can call them, so they get no workload; what the mesh tells of them stands in their rows.
    """
    rows = sorted(vendors, key=lambda vendor: vendor.port_offset)
    checked = max((model.date for vendor in rows for model in vendor.models.values()), default="")
    return [vendor for vendor in rows if vendor.retired_on is None or vendor.retired_on.isoformat() > checked]


def of(vendor: Vendor) -> list[dict[str, Any]]:
    """Describe everything one vendor needs."""
    return [_deployment(vendor), _service(vendor), _way_out(vendor)]


def listing(vendors: Iterable[Vendor]) -> dict[str, Any]:
    """Name the files of all vendors for kustomize."""
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{vendor.id}.yaml" for vendor in vendors],
    }


def name_of(vendor: Vendor) -> str:
    """Give the name the vendor's workload is known and dialled by; raises ValueError when DNS could not hold it."""
    if "_" in vendor.id:
        raise ValueError(f"the vendor `{vendor.id}` cannot be deployed: its id is part of a DNS name, so no underscore")
    return f"provider-{vendor.id}"


def variables_of(vendor: Vendor) -> list[str]:
    """Name the variables that are this vendor's own: its keys, each once, and what says where it is."""
    parts = [name for names in vendor.endpoint_parts.values() for name in names]
    return list(dict.fromkeys([*vendor.key_env, *vendor.endpoint_env, *parts]))


def port_of(vendor: Vendor) -> int:
    """Give the port the vendor's provider service listens on."""
    return FIRST_PORT + vendor.port_offset


def admin_port_of(vendor: Vendor) -> int:
    """Give the port of its admin page."""
    return FIRST_ADMIN_PORT + vendor.port_offset


def _labels(vendor: Vendor) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name_of(vendor),
        "app.kubernetes.io/component": "provider",
        "llm-mesh/vendor": vendor.id,
    }


def _selector(vendor: Vendor) -> dict[str, Any]:
    return {"matchLabels": {"app.kubernetes.io/name": name_of(vendor)}}


def _deployment(vendor: Vendor) -> dict[str, Any]:
    secret = {"llm-mesh/secret": f"vendor-{vendor.id}: {', '.join(variables_of(vendor))}"}
    annotations = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(admin_port_of(vendor)),
        "prometheus.io/path": "/metrics",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name_of(vendor), "labels": _labels(vendor), "annotations": secret},
        "spec": {
            "replicas": 1,
            "selector": _selector(vendor),
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": _labels(vendor), "annotations": annotations}, "spec": _pod(vendor)},
        },
    }


def _pod(vendor: Vendor) -> dict[str, Any]:
    return {
        "serviceAccountName": "provider",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": _selector(vendor),
            }
        ],
        "containers": [_container(vendor)],
        "volumes": [
            {"name": "mesh", "configMap": {"name": "mesh"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "32Mi"}},
        ],
    }


def _container(vendor: Vendor) -> dict[str, Any]:
    memory = {"memory": "192Mi", "ephemeral-storage": "64Mi"}
    return {
        "name": "provider",
        "image": "llm-mesh",
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", "provider", vendor.id],
        "env": [{"name": "MESH_CONFIG", "value": "/etc/llm-mesh/mesh.yaml"}],
        # This vendor's keys, further ones as NAME_2, NAME_3 …, and its own variables, in this workload only. Without
        # them the vendor is inactive.
        "envFrom": [{"secretRef": {"name": f"vendor-{vendor.id}", "optional": True}}],
        "ports": [
            {"name": "grpc", "containerPort": port_of(vendor)},
            {"name": "admin", "containerPort": admin_port_of(vendor)},
        ],
        "startupProbe": {**_probe("/livez"), "periodSeconds": 2, "failureThreshold": 30},
        "livenessProbe": {**_probe("/livez"), "periodSeconds": 10, "timeoutSeconds": 3},
        "readinessProbe": {**_probe("/readyz"), "periodSeconds": 5, "timeoutSeconds": 3},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "resources": {"requests": {"cpu": "100m", **memory}, "limits": memory},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "mesh", "mountPath": "/etc/llm-mesh", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the pod, an emptyDir of its own
        ],
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "admin"}}


def _service(vendor: Vendor) -> dict[str, Any]:
    port = {"name": "grpc", "port": port_of(vendor), "targetPort": "grpc", "appProtocol": "kubernetes.io/h2c"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name_of(vendor), "labels": _labels(vendor)},
        "spec": {"clusterIP": "None", "selector": _selector(vendor)["matchLabels"], "ports": [port]},
    }


def _way_out(vendor: Vendor) -> dict[str, Any]:
    """Open public addresses on the vendor's ports; a local server may be anywhere but where metadata is."""
    public = (("0.0.0.0/0", NOT_PUBLIC_4), ("2000::/3", NOT_PUBLIC_6))
    ranges = (("0.0.0.0/0", METADATA_4), ("::/0", METADATA_6)) if vendor.local else public
    ports = sorted({_port(url) for url in (vendor.endpoint, *vendor.regions.values())})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name_of(vendor), "labels": _labels(vendor)},
        "spec": {
            "podSelector": _selector(vendor),
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"ipBlock": {"cidr": cidr, "except": list(closed)}} for cidr, closed in ranges],
                    "ports": [{"protocol": "TCP", "port": port} for port in ports],
                }
            ],
        },
    }


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)
