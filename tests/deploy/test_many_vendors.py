"""What is generated holds for any number of vendors: keys under several names, regions, retired ones, no key at all."""

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
import yaml
from fixtures import manifests as m
from fixtures.shipped import shipped

from catalog.model import Vendor
from deploy import generate, workloads

CATALOG = shipped()
REMOTE = next(vendor for vendor in CATALOG.vendors.values() if not vendor.local)
CHECKED = max(model.date for vendor in CATALOG.vendors.values() for model in vendor.models.values())
LONG_AGO, DAY_AFTER = dt.date(2025, 1, 1), dt.date.fromisoformat(CHECKED) + dt.timedelta(days=1)


def row(name: str, offset: int, **more: object) -> Vendor:
    """Make up a vendor as the catalogue would know it."""
    usual = {"id": name, "port_offset": offset, "key_env": (f"{name.upper()}_KEY",), "endpoint_env": {}}
    return replace(REMOTE, **{**usual, **more})


MANY = [
    *CATALOG.vendors.values(),
    *(row(f"vendor{number}", 40 + number) for number in range(20)),
    row("aliased", 61, key_env=("ALIASED_API_KEY", "OTHER_API_KEY", "THIRD_API_KEY")),
    row(
        "spread",
        62,
        endpoint="https://eu.spread.test/v1",
        regions={"eu": "https://eu.spread.test/v1", "us": "http://us.spread.test:8443/v1"},
    ),
    row(
        "resourceful",
        63,
        endpoint="https://{resource}.resourceful.test/v1",
        endpoint_parts={"resource": ("RESOURCE_NAME", "OLD_RESOURCE_NAME")},
        endpoint_env={"RESOURCE_ENDPOINT": "{value}/v1"},
    ),
    row("ended", 64, retired_on=LONG_AGO),
    row("ending", 65, retired_on=DAY_AFTER),
]
MADE = generate.files(MANY)
SERVED = [vendor for vendor in MANY if vendor.retired_on is None or vendor.id == "ending"]
PROJECT = yaml.safe_load(MADE["compose.yaml"])


def objects(vendor: str) -> list[m.Manifest]:
    return [*yaml.safe_load_all(MADE[f"kustomize/base/vendors/{vendor}.yaml"])]


def compose_variables(vendor: str) -> list[str]:
    return [entry.partition("=")[0] for entry in PROJECT["services"][f"provider-{vendor}"]["environment"]]


def ports(vendor: str) -> list[int]:
    (policy,) = m.of_kind(objects(vendor), "NetworkPolicy")
    return [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]


def test_every_vendor_has_its_own_files_and_services_in_the_order_of_ports():
    listed = yaml.safe_load(MADE["kustomize/base/vendors/kustomization.yaml"])["resources"]
    assert listed == [f"{vendor.id}.yaml" for vendor in sorted(SERVED, key=lambda vendor: vendor.port_offset)]
    assert {f"provider-{vendor.id}" for vendor in SERVED} == {
        name for name in PROJECT["services"] if name.startswith("provider-")
    }


def test_a_vendor_that_has_ended_gets_no_workload_and_one_that_will_end_still_has_one():
    assert "kustomize/base/vendors/ended.yaml" not in MADE
    assert "provider-ended" not in PROJECT["services"]
    assert "kustomize/base/vendors/ending.yaml" in MADE


@pytest.mark.parametrize("vendor", SERVED, ids=lambda vendor: vendor.id)
def test_every_workload_keeps_the_rules_and_has_its_own_secret_alone(vendor):
    (deployment,) = m.of_kind(objects(vendor.id), "Deployment")
    assert list(m.faults(deployment)) == []
    (container,) = m.containers(deployment)
    assert container["envFrom"] == [{"secretRef": {"name": f"vendor-{vendor.id}", "optional": True}}]
    assert [entry for entry in container["env"] if "valueFrom" in entry] == []


def test_no_variable_of_a_vendor_is_anothers_too():
    owners = Counter(name for vendor in MANY for name in workloads.variables_of(vendor))
    assert [name for name, count in owners.items() if count > 1] == []
    told = [m.of_kind(objects(vendor.id), "Deployment")[0]["metadata"]["annotations"] for vendor in SERVED]
    assert [note["llm-mesh/secret"] for note in told] == [
        f"vendor-{vendor.id}: {', '.join(workloads.variables_of(vendor))}" for vendor in SERVED
    ]


def test_every_name_of_a_key_and_further_keys_reach_the_vendors_own_service():
    names = ("ALIASED_API_KEY", "OTHER_API_KEY", "THIRD_API_KEY")
    assert set(compose_variables("aliased")) >= {f"{name}{slot}" for name in names for slot in ("", "_2", "_3")}


def test_every_variable_of_an_endpoint_reaches_the_vendors_own_service():
    wanted = {"RESOURCE_ENDPOINT", "RESOURCE_NAME", "OLD_RESOURCE_NAME", "MESH_RESOURCEFUL_ENDPOINT"}
    assert set(compose_variables("resourceful")) >= wanted
    assert ports("resourceful") == [443]


def test_the_ports_of_all_regions_are_open():
    assert ports("spread") == [443, 8443]


def test_a_vendor_without_a_key_has_no_variable_for_one():
    local = next(vendor for vendor in SERVED if vendor.local)
    assert not any("KEY" in name for name in compose_variables(local.id))


@pytest.mark.parametrize("kind", ["Deployment", "Service", "NetworkPolicy"])
def test_names_and_ports_are_everybodys_own(kind):
    found = [m.of_kind(objects(vendor.id), kind)[0] for vendor in SERVED]
    assert len({manifest["metadata"]["name"] for manifest in found}) == len(SERVED)
    if kind == "Deployment":
        numbers = [port["containerPort"] for manifest in found for port in m.containers(manifest)[0]["ports"]]
        assert len(set(numbers)) == 2 * len(SERVED)


def test_an_id_that_is_no_part_of_a_dns_name_is_refused_with_its_reason():
    with pytest.raises(ValueError, match="`under_score` cannot be deployed: its id is part of a DNS name"):
        generate.files([row("under_score", 1)])
