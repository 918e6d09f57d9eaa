"""What the overlays apply with a local model server, used as their own comments say; built by kustomize."""

import shutil
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
import pytest
from fixtures import manifests as m

from tools.real_programs import find

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find("kubectl") is None, reason="kubectl is not installed"),
]
VERSIONS = ("1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
# As the component's own comment says.
OTHERWISE = """
  - target: {kind: ConfigMap, name: ollama}
    patch: |-
      - {op: replace, path: /data/MODELS, value: "llama3.1:8b nomic-embed-text"}
      - {op: replace, path: /data/OLLAMA_NUM_PARALLEL, value: "4"}
"""
Overlay = Callable[..., list[m.Manifest]]


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    """Build an overlay with the components that its own comment names."""

    def build(name: str, more: str = "") -> list[m.Manifest]:
        copy = tmp_path / f"kustomize{len(list(tmp_path.iterdir()))}"
        shutil.copytree(m.KUSTOMIZE, copy)
        file = copy / "overlays" / name / "kustomization.yaml"
        text = file.read_text()
        assert text.count("\n# components: [") == 1, "the overlay says how the components are used"
        file.write_text(text.replace("\n# components: [", "\ncomponents: [") + more)
        return m.kustomized(file.parent)

    return build


@pytest.fixture
def prod(overlay: Overlay) -> list[m.Manifest]:
    return overlay("prod")


def configuration(built: list[m.Manifest]) -> m.Manifest:
    (found,) = (c for c in m.of_kind(built, "ConfigMap") if c["metadata"]["name"].startswith("ollama"))
    return found


def read_by(built: list[m.Manifest]) -> str:
    """Return the configuration that server, job and ledger read: it must be the same."""
    (container,) = m.containers(m.named(built, "Deployment", "ollama"))
    (source,) = container["envFrom"]
    name: str = source["configMapRef"]["name"]
    for kind, workload, key in (("StatefulSet", "quota", "OLLAMA_NUM_PARALLEL"), ("Job", "ollama-pull", "MODELS")):
        told = m.environment(m.named(built, kind, workload))[key]
        assert told == {"configMapKeyRef": {"name": name, "key": key}}
    return name


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_every_object_is_valid_in_every_version_and_in_the_namespace(overlay, name):
    built = overlay(name)
    for manifest in built:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
    assert {"Job", "PersistentVolumeClaim"} <= {manifest["kind"] for manifest in built}
    namespaces = {manifest["metadata"].get("namespace") for manifest in built if manifest["kind"] != "Namespace"}
    assert len(namespaces) == 1
    assert all(manifest["metadata"]["labels"]["app.kubernetes.io/part-of"] == "llm-mesh" for manifest in built)


@pytest.mark.product("P-OPS-16")
def test_the_provider_service_calls_the_server_of_the_cluster_and_nothing_else(prod):
    provider = m.named(prod, "Deployment", "provider-ollama")
    service = m.named(prod, "Service", "ollama")
    port = service["spec"]["ports"][0]["port"]
    assert m.environment(provider)["OLLAMA_BASE_URL"] == f"http://{service['metadata']['name']}:{port}"
    assert service["spec"]["selector"].items() <= m.labels_of(m.named(prod, "Deployment", "ollama")).items()
    (rule,) = m.named(prod, "NetworkPolicy", "provider-ollama")["spec"]["egress"]
    server = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "ollama"}}}
    assert rule == {"to": [server], "ports": [{"protocol": "TCP", "port": port}]}


def test_server_job_and_ledger_read_one_configuration(prod):
    assert read_by(prod) == configuration(prod)["metadata"]["name"] != "ollama"


@pytest.mark.product("P-OPS-16")
def test_a_gpu_is_asked_for_and_the_device_handed_on_only_with_its_component(overlay, prod):
    server = m.named(prod, "Deployment", "ollama")
    (container,) = m.containers(server)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert m.environment(server)["CUDA_VISIBLE_DEVICES"]["configMapKeyRef"]["key"] == "OLLAMA_GPU_DEVICE"
    assert "NVIDIA_VISIBLE_DEVICES" not in m.environment(server)  # the device plugin's alone
    assert list(m.unsafe(server)) == []


def test_on_processors_no_gpu_is_asked_for(overlay):
    server = m.named(overlay("dev"), "Deployment", "ollama")
    (container,) = m.containers(server)
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert "CUDA_VISIBLE_DEVICES" not in m.environment(server)


def test_an_overlay_says_which_models_and_how_many_calls_at_one_time_and_a_change_restarts_what_reads_them(overlay):
    usual, other = overlay("dev"), overlay("dev", OTHERWISE)
    said = configuration(other)["data"]
    assert (said["MODELS"], said["OLLAMA_NUM_PARALLEL"]) == ("llama3.1:8b nomic-embed-text", "4")
    assert said["OLLAMA_GPU_DEVICE"] == configuration(usual)["data"]["OLLAMA_GPU_DEVICE"]
    names = [read_by(built) for built in (usual, other)]
    assert names[0] != names[1]


def test_what_production_does_to_the_mesh_it_does_not_do_to_the_server(prod):
    assert "MESH_REFLECTION" not in m.environment(m.named(prod, "Deployment", "ollama"))
    assert m.environment(m.named(prod, "Deployment", "provider-ollama"))["MESH_REFLECTION"] == "off"
