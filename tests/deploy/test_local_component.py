"""The Kubernetes component with a local model server: what it may, who reaches it, and what is handed to it."""

import pytest
import yaml
from fixtures import manifests as m

from deploy import workloads

COMPONENT = m.KUSTOMIZE / "components/ollama"
PARTS = [document for name in ("server", "pull", "network") for document in m.documents(COMPONENT / f"{name}.yaml")]
SERVER, PULL = m.named(PARTS, "Deployment", "ollama"), m.named(PARTS, "Job", "ollama-pull")
IMAGE = "ollama/ollama:0.35.1"


@pytest.mark.parametrize("workload", [SERVER, PULL], ids=lambda workload: workload["kind"])
def test_server_and_job_run_as_nobody_on_a_root_they_cannot_write(workload):
    assert list(m.unsafe(workload)) == []
    (container,) = m.containers(workload)
    assert container["image"] == IMAGE
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert m.environment(workload)["HOME"] == mounts["tmp"]


def test_the_image_is_the_one_compose_runs():
    project = yaml.safe_load((m.DEPLOY / "ollama/compose.yaml").read_text())
    assert {service["image"] for service in project["services"].values()} == {IMAGE}


@pytest.mark.product("P-OPS-16")
def test_both_keep_the_models_on_one_volume_and_neither_removes_what_the_other_has_half_pulled():
    (claim,) = m.of_kind(PARTS, "PersistentVolumeClaim")
    for workload in (SERVER, PULL):
        volumes = {volume["name"]: volume for volume in m.pod_of(workload)["volumes"]}
        assert volumes["models"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (container,) = m.containers(workload)
        (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "models")
        assert m.environment(workload)["OLLAMA_MODELS"] == mount["mountPath"]
        assert m.environment(workload)["OLLAMA_NOPRUNE"] == "1"
    # The volume is on one node at a time: the old server must be gone, and the job must go where the server is.
    assert SERVER["spec"]["strategy"] == {"type": "Recreate"}
    (together,) = m.pod_of(PULL)["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert together["topologyKey"] == "kubernetes.io/hostname"
    assert together["labelSelector"]["matchLabels"].items() <= m.labels_of(SERVER).items()


def test_the_server_is_probed_where_it_answers():
    (container,) = m.containers(SERVER)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/api/version", "port": "http"}


def test_without_the_gpu_component_it_takes_no_gpu_of_the_node():
    assert m.environment(SERVER)["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert m.environment(PULL)["NVIDIA_VISIBLE_DEVICES"] == "void"


# ---------------------------------------------------------------------------- who may talk to whom


def test_only_its_provider_service_reaches_the_server_and_it_reaches_nobody():
    policy = m.named(PARTS, "NetworkPolicy", "ollama")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= m.labels_of(SERVER).items()
    provider = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "provider-ollama"}}}
    assert policy["ingress"] == [{"from": [provider], "ports": [{"protocol": "TCP", "port": "http"}]}]
    assert (policy["egress"], policy["policyTypes"]) == ([], ["Ingress", "Egress"])


def test_only_the_job_fetches_models_and_from_public_addresses_alone():
    policy = m.named(PARTS, "NetworkPolicy", "ollama-pull")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= m.labels_of(PULL).items()
    assert policy["ingress"] == []
    (rule,) = policy["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    assert [(peer["ipBlock"]["cidr"], tuple(peer["ipBlock"]["except"])) for peer in rule["to"]] == [
        ("0.0.0.0/0", workloads.NOT_PUBLIC_4),
        ("2000::/3", workloads.NOT_PUBLIC_6),
    ]
