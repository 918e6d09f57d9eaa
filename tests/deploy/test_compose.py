"""The compose project has the shape of the Kubernetes one, and the same restraint."""

import pytest
import yaml
from fixtures import manifests as m

from catalog.loader import load_catalog
from deploy import compose

CATALOG = load_catalog()
PROJECT = yaml.safe_load((m.DEPLOY / "compose.yaml").read_text())
SERVICES = PROJECT["services"]
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


@pytest.mark.parametrize("vendor", sorted(CATALOG.vendors))
def test_a_vendors_variables_reach_its_own_service_and_no_other(vendor):
    row = CATALOG.vendors[vendor]
    own = {*row.key_env, *row.endpoint_env}
    assert own <= variables(SERVICES[f"provider-{vendor}"])
    others = [name for name, service in SERVICES.items() if name != f"provider-{vendor}" and own & variables(service)]
    assert others == []


def test_quota_and_router_have_no_way_out():
    assert set(SERVICES["quota"]["networks"]) == {"mesh"}
    assert "vendors" not in SERVICES["router"]["networks"]
    assert PROJECT["networks"]["mesh"] == {"internal": True}


def test_a_local_server_is_looked_for_on_the_host_unless_said_otherwise():
    (local,) = (vendor for vendor in CATALOG.vendors.values() if vendor.local)
    service = compose.project([local])["services"][f"provider-{local.id}"]
    assert any(":-http://host.docker.internal:11434}" in entry for entry in service["environment"])
    assert service["extra_hosts"] == ["host.docker.internal:host-gateway"]
