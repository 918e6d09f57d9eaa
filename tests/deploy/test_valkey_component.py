"""The ledger's store in Kubernetes and in compose: what it may, who reaches it, and that a ledger would take it."""

import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from fixtures import manifests as m
from fixtures.valkey import Server

from quota_service.stores.redis.demands import described
from tools.real_programs import find

COMPONENT = m.KUSTOMIZE / "components/valkey"
PARTS = [document for name in ("server", "network") for document in m.documents(COMPONENT / f"{name}.yaml")]
STORE = m.named(PARTS, "StatefulSet", "valkey")
PROJECT = yaml.safe_load((m.DEPLOY / "compose.yaml").read_text())
COMPOSED = PROJECT["services"]["valkey"]


def test_the_store_runs_as_nobody_on_a_root_it_cannot_write():
    assert list(m.unsafe(STORE)) == []
    assert (COMPOSED["read_only"], COMPOSED["user"], COMPOSED["cap_drop"]) == (True, "999:1000", ["ALL"])
    assert COMPOSED["image"] == m.containers(STORE)[0]["image"]
    assert "ports" not in COMPOSED


def test_only_the_quota_service_reaches_the_store_and_it_reaches_nobody():
    policy = m.named(PARTS, "NetworkPolicy", "valkey")["spec"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/component": "quota"}}}]
    assert policy["egress"] == []
    assert [*COMPOSED["networks"]] == ["mesh"]
    assert COMPOSED["profiles"] == ["valkey"]
    told = [
        name for name, service in PROJECT["services"].items() if "MESH_LEDGER_URL" in service.get("environment", [])
    ]
    assert told == ["quota"]


def test_a_real_server_with_this_configuration_is_fit_for_a_ledger(tmp_path):
    auth = tmp_path / "auth.conf"
    auth.write_text("# no password here\n")
    lines = (COMPONENT / "valkey.conf").read_text().replace("/etc/valkey-auth/auth.conf", str(auth))
    kept = [line.split(maxsplit=1) for line in lines.splitlines() if line and not line.startswith(("#", "dir", "save"))]
    judged(*(word for name, value in kept for word in (f"--{name}", value)))


def test_a_real_server_started_as_compose_does_is_fit_for_a_ledger():
    words = [word for word in COMPOSED["command"][1:] if word]
    place = words.index("--dir")
    kept = [*words[: place - 1], *words[place + 2 :]]  # the test has a directory of its own
    judged(*(word for word in kept if word not in ("--requirepass", "${VALKEY_PASSWORD:-}")))


def judged(*settings: str) -> None:
    server = Server(*settings)
    try:
        client = server.client()
        found = described(client.info("everything"), client.config_get("appendfsync")["appendfsync"])
        assert (found.faults, found.warnings, found.certain) == ((), (), True)
    finally:
        server.close()


@pytest.mark.real
@pytest.mark.skipif(find("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_with_the_component_three_quota_services_share_the_store_and_keep_nothing(overlay: str, tmp_path: Path):
    shutil.copytree(m.KUSTOMIZE, tmp_path / "kustomize")
    file = tmp_path / "kustomize/overlays" / overlay / "kustomization.yaml"
    file.write_text(file.read_text() + "components: [../../components/valkey]\n")
    built = m.kustomized(file.parent)
    for manifest in built:
        kubernetes_validate.validate(manifest, "1.37", strict=True)
    quota = m.named(built, "StatefulSet", "quota")
    assert quota["spec"]["replicas"] == 3
    assert "volumeClaimTemplates" not in quota["spec"]
    (container,) = m.containers(quota)
    assert {mount["name"] for mount in container["volumeMounts"]} == {"mesh", "tmp"}
    assert m.environment(quota)["MESH_LEDGER_URL"] == {"secretKeyRef": {"name": "ledger", "key": "MESH_LEDGER_URL"}}
    assert list(m.faults(quota)) == []
    others = [workload["metadata"]["name"] for workload in m.workloads(built) if "MESH_LEDGER_URL" in str(workload)]
    assert others == ["quota"]
