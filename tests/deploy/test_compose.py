"""The compose project has the shape of the Kubernetes one, and the same restraint."""

from dataclasses import replace

import pytest
import yaml
from fixtures import manifests as m
from fixtures.shipped import shipped

from deploy import compose, generate, workloads

CATALOG = shipped()
VENDORS = {vendor.id: vendor for vendor in workloads.served(CATALOG.vendors.values())}
PROJECT = yaml.safe_load((m.DEPLOY / "compose.yaml").read_text())
SERVICES = {name: service for name, service in PROJECT["services"].items() if "profiles" not in service}
MODEL_SERVERS = {name: service for name, service in PROJECT["services"].items() if name.startswith("ollama")}
WORKLOADS = {workload["metadata"]["name"]: workload for workload in m.workloads(m.base())}


def variables(service):
    return {entry.partition("=")[0] for entry in service["environment"]}


def test_compose_starts_the_same_services_with_the_same_arguments():
    commands = {name: service["command"] for name, service in SERVICES.items()}
    assert commands == {name: m.containers(workload)[0]["args"] for name, workload in WORKLOADS.items()}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_rights_and_a_root_it_cannot_write(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_the_health_check_asks_the_admin_port_of_the_pod(name):
    ports = {port["name"]: port["containerPort"] for port in m.containers(WORKLOADS[name])[0]["ports"]}
    assert f"127.0.0.1:{ports['admin']}/livez" in SERVICES[name]["healthcheck"]["test"][-1]


def test_only_the_router_is_published_and_only_on_loopback():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert list(published) == ["router"]
    assert all(port.startswith("127.0.0.1:") for port in published["router"])


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_a_vendors_variables_reach_its_own_service_and_no_other(vendor):
    own = {*workloads.variables_of(VENDORS[vendor]), *(f"{name}_2" for name in VENDORS[vendor].key_env)}
    assert own | {f"MESH_{vendor.upper()}_ENDPOINT"} <= variables(SERVICES[f"provider-{vendor}"])
    others = [name for name, service in SERVICES.items() if name != f"provider-{vendor}" and own & variables(service)]
    assert others == []


def test_quota_and_router_have_no_way_out():
    assert set(SERVICES["quota"]["networks"]) == {"mesh"}
    assert "vendors" not in SERVICES["router"]["networks"]
    assert PROJECT["networks"]["mesh"] == {"internal": True}


@pytest.mark.parametrize(
    "vendor", [vendor for vendor in VENDORS.values() if vendor.local], ids=lambda vendor: vendor.id
)
def test_a_local_server_is_looked_for_on_the_host_unless_said_otherwise(vendor):
    for row in (vendor, replace(vendor, endpoint_env={})):  # one that has no variable of its own has the mesh's
        service = compose.project([row])["services"][f"provider-{row.id}"]
        assert any(":-http://host.docker.internal:11434}" in entry for entry in service["environment"])
        assert service["extra_hosts"] == ["host.docker.internal:host-gateway"]


# ---------------------------------------------------------------------------- model servers of our own


def test_model_servers_start_only_when_their_profile_is_asked_for():
    assert {name: service["profiles"] for name, service in MODEL_SERVERS.items()} == {
        "ollama": ["ollama"],
        "ollama-gpu": ["ollama-gpu"],
        "ollama-pull": ["ollama", "ollama-gpu"],
    }
    assert [*generate.servers_of([])] == []


@pytest.mark.parametrize("name", MODEL_SERVERS)
def test_a_model_server_has_no_rights_and_a_root_it_cannot_write(name):
    service = MODEL_SERVERS[name]
    assert (service["read_only"], service["user"]) == (True, "1000:1000")
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert service["image"].split(":")[1] not in ("", "latest")
    assert "ports" not in service


def test_only_what_pulls_models_has_a_way_out():
    assert {name: [*service["networks"]] for name, service in MODEL_SERVERS.items()} == {
        "ollama": ["mesh"],
        "ollama-gpu": ["mesh"],
        "ollama-pull": ["vendors"],
    }
    assert MODEL_SERVERS["ollama-gpu"]["networks"]["mesh"]["aliases"] == ["ollama"]


@pytest.mark.product("P-OPS-16")
def test_path_device_and_calls_at_one_time_are_handed_to_the_model_server():
    assert {tuple(service["volumes"]) for service in MODEL_SERVERS.values()} == {
        ("${LOCAL_MODELS_PATH:-models}:/home/ubuntu",)
    }
    assert all("OLLAMA_MODELS=/home/ubuntu" in service["environment"] for service in MODEL_SERVERS.values())
    (device,) = MODEL_SERVERS["ollama-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "device_ids": ["${OLLAMA_GPU_DEVICE:-0}"], "capabilities": ["gpu"]}
    assert "NVIDIA_VISIBLE_DEVICES=void" in MODEL_SERVERS["ollama"]["environment"]
    assert "NVIDIA_VISIBLE_DEVICES" not in variables(MODEL_SERVERS["ollama-gpu"])
    for name in ("ollama", "ollama-gpu"):
        assert "OLLAMA_NUM_PARALLEL=${OLLAMA_NUM_PARALLEL:-1}" in MODEL_SERVERS[name]["environment"]
    assert "OLLAMA_NUM_PARALLEL" in variables(SERVICES["quota"])
