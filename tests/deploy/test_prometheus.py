"""The scrape configurations point where the mesh listens and at what the pods are labelled with."""

import re

import yaml
from fixtures import manifests as m
from fixtures.shipped import shipped
from prometheus_client import REGISTRY

from catalog.mesh import load_mesh
from meshkit import reload

LOCAL = yaml.safe_load((m.DEPLOY / "prometheus/prometheus.yml").read_text())
CLUSTER = yaml.safe_load((m.DEPLOY / "prometheus/kubernetes.yml").read_text())
ALERTS = yaml.safe_load((m.DEPLOY / "prometheus/alerts.yml").read_text())


def test_alerts_ask_for_what_processes_show_and_both_configurations_have_them():
    expressions = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    asked = {name for expression in expressions for name in re.findall(r"mesh_[a-z_]+", expression)}
    shown = {family.name for family in REGISTRY.collect()}
    assert asked == {reload.VALID._name, reload.RESTART._name} <= shown
    assert LOCAL["rule_files"] == CLUSTER["rule_files"] == ["alerts.yml"]


def test_on_this_machine_the_admin_addresses_of_the_defaults_are_scraped():
    mesh, first = load_mesh(None, {}), next(iter(shipped().vendors))
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in LOCAL["scrape_configs"]}
    assert targets == {
        "router": [mesh.router_admin],
        "quota": [mesh.quota_admin],
        "provider": [mesh.provider_admin(first)],
    }


def test_in_a_cluster_exactly_the_admin_port_of_every_pod_is_kept():
    (job,) = CLUSTER["scrape_configs"]
    kept = {rule["source_labels"][0]: rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"}
    for workload in m.workloads(m.base()):
        annotations = workload["spec"]["template"]["metadata"]["annotations"]
        ports = {port["name"]: port["containerPort"] for port in m.containers(workload)[0]["ports"]}
        name = kept["__meta_kubernetes_pod_container_port_name"]
        assert [port for port in ports if re.fullmatch(name, port)] == ["admin"]
        assert annotations["prometheus.io/scrape"] == kept["__meta_kubernetes_pod_annotation_prometheus_io_scrape"]
        assert annotations["prometheus.io/port"] == str(ports["admin"])
