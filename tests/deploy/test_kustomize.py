"""What `kubectl apply -k` would apply: valid for every Kubernetes we name, and what each overlay promises."""

import tomllib

import kubernetes_validate
import pytest
from fixtures import manifests as m

from tools.real_programs import find

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find("kubectl") is None, reason="kubectl is not installed"),
]
PLACES = {"base": "base", "dev": "overlays/dev", "prod": "overlays/prod"}
VERSIONS = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")


@pytest.fixture(scope="module", params=PLACES)
def overlay(request):
    return m.kustomized(m.KUSTOMIZE / PLACES[request.param])


@pytest.fixture(scope="module")
def prod():
    return m.kustomized(m.KUSTOMIZE / PLACES["prod"])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_without_unknown_fields(overlay, version):
    for manifest in overlay:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_every_workload_keeps_the_rules_after_the_overlay_too(overlay):
    assert [fault for workload in m.workloads(overlay) for fault in m.faults(workload)] == []


def test_every_object_is_in_the_namespace_of_the_overlay_and_part_of_the_mesh(overlay):
    assert all(manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "llm-mesh" for manifest in overlay)
    namespaces = {manifest["metadata"].get("namespace") for manifest in overlay if manifest["kind"] != "Namespace"}
    assert len(namespaces) == 1


def test_the_namespace_enforces_the_restricted_profile(overlay):
    (namespace,) = m.of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_changed_configuration_reaches_pods_that_run_and_restarts_none(overlay):
    """Its name never changes, nothing of its content is in a pod's template, and no `subPath` hides its changes."""
    (configuration,) = m.of_kind(overlay, "ConfigMap")
    assert configuration["metadata"]["name"] == "mesh"
    for workload in m.workloads(overlay):
        (volume,) = [v["name"] for v in m.pod_of(workload)["volumes"] if v.get("configMap", {}).get("name") == "mesh"]
        (mount,) = [mount for mount in m.containers(workload)[0]["volumeMounts"] if mount["name"] == volume]
        assert (mount["mountPath"], "subPath" in mount) == ("/etc/llm-mesh", False)
        assert [name for name in workload["spec"]["template"]["metadata"]["annotations"] if "checksum" in name] == []


def test_production_runs_several_routers_on_different_nodes(prod):
    router = m.named(prod, "Deployment", "router")
    assert router["spec"]["replicas"] >= 2
    assert m.pod_of(router)["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
    assert m.named(prod, "PodDisruptionBudget", "router")["spec"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/component": "router"}},
    }


def test_production_runs_one_named_version_everywhere(prod):
    version = tomllib.loads((m.DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    assert {container["image"] for w in m.workloads(prod) for container in m.containers(w)} == {f"llm-mesh:{version}"}


def test_production_has_reflection_off_in_every_service(prod):
    for workload in m.workloads(prod):
        assert {"name": "MESH_REFLECTION", "value": "off"} in m.containers(workload)[0]["env"]


def test_production_lets_no_caller_in_without_a_key(prod):
    (container,) = m.containers(m.named(prod, "Deployment", "router"))
    (key,) = (entry for entry in container["env"] if entry["name"] == "ORCHESTRATOR_API_KEY")
    assert "optional" not in key["valueFrom"]["secretKeyRef"]
    for workload in (m.named(prod, "Deployment", "router"), m.named(prod, "StatefulSet", "quota")):
        said = {entry["name"]: entry for entry in m.containers(workload)[0]["env"] if "valueFrom" in entry}
        assert set(said) == {"ORCHESTRATOR_API_KEY", "MESH_SERVICE_KEY"}
        assert not [entry for entry in said.values() if "optional" in entry["valueFrom"]["secretKeyRef"]]
    assert "MESH_ALLOW_ANONYMOUS" not in {entry["name"] for entry in container["env"]}
