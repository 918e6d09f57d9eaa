"""What the base says before kustomize: rights, ports, keys and who may talk to whom."""

import ipaddress

import pytest
from fixtures import manifests as m
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from deploy import generate, workloads

BASE = m.base()
CATALOG = shipped()
VENDORS = sorted(vendor.id for vendor in workloads.served(CATALOG.vendors.values()))
MESH = load_mesh(m.KUSTOMIZE / "base/mesh.yaml", {})


def test_what_is_generated_from_the_catalogue_is_fresh():
    assert generate.stale(generate.files(CATALOG.vendors.values())) == []


def test_a_stale_and_an_orphaned_file_are_found_and_mended(tmp_path):
    made = generate.files(CATALOG.vendors.values())
    generate.write(made, tmp_path)
    (tmp_path / "compose.yaml").write_text("old")
    (tmp_path / "kustomize/base/vendors/gone.yaml").write_text("a vendor without a row")
    assert generate.stale(made, tmp_path) == ["compose.yaml", "kustomize/base/vendors/gone.yaml"]
    generate.write(made, tmp_path)
    assert generate.stale(made, tmp_path) == []


def test_every_vendor_of_the_catalogue_that_lives_has_one_workload_and_a_name_dns_can_hold():
    names = {manifest["metadata"]["name"] for manifest in m.of_kind(BASE, "Deployment")}
    assert names == {"router", *(f"provider-{vendor}" for vendor in VENDORS)}
    assert not any("_" in name for name in names)


@pytest.mark.parametrize("workload", m.workloads(BASE), ids=lambda workload: workload["metadata"]["name"])
def test_every_workload_keeps_the_restricted_profile_and_our_rules(workload):
    assert list(m.faults(workload)) == []


@pytest.mark.parametrize("workload", m.workloads(BASE), ids=lambda workload: workload["metadata"]["name"])
def test_every_service_is_told_where_its_configuration_is(workload):
    (container,) = m.containers(workload)
    assert {"name": "MESH_CONFIG", "value": "/etc/llm-mesh/mesh.yaml"} in container["env"]
    assert {"name": "mesh", "mountPath": "/etc/llm-mesh", "readOnly": True} in container["volumeMounts"]


def port(workload, name):
    (container,) = m.containers(workload)
    return next(port["containerPort"] for port in container["ports"] if port["name"] == name)


def listens_on(address):
    host, _, number = address.rpartition(":")
    assert host == "0.0.0.0"
    return int(number)


def test_router_and_quota_listen_where_their_pods_say():
    router, quota = m.named(BASE, "Deployment", "router"), m.named(BASE, "StatefulSet", "quota")
    assert port(router, "grpc") == listens_on(MESH.router.listen)
    assert port(router, "http") == listens_on(MESH.edge.listen)
    assert port(router, "admin") == listens_on(MESH.router_admin)
    assert port(quota, "grpc") == listens_on(MESH.quota.listen)
    assert port(quota, "admin") == listens_on(MESH.quota_admin)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_listens_and_is_dialled_where_its_pod_and_service_say(vendor):
    deployment = m.named(BASE, "Deployment", f"provider-{vendor}")
    address = MESH.provider_address(vendor)
    assert port(deployment, "grpc") == listens_on(address.listen)
    assert port(deployment, "admin") == listens_on(MESH.provider_admin(vendor))
    assert address.dial == f"dns:///provider-{vendor}:{port(deployment, 'grpc')}"
    service = m.named(BASE, "Service", f"provider-{vendor}")
    assert service["spec"]["ports"][0]["port"] == port(deployment, "grpc")


def test_grpc_services_are_headless_so_that_callers_see_every_pod():
    grpc = [s for s in m.of_kind(BASE, "Service") if s["spec"]["ports"][0]["name"] == "grpc"]
    assert len(grpc) == 2 + len(VENDORS)
    assert all(service["spec"]["clusterIP"] == "None" for service in grpc)


@pytest.mark.parametrize("workload", m.workloads(BASE), ids=lambda workload: workload["metadata"]["name"])
def test_a_vendors_keys_are_in_its_own_workload_only(workload):
    (container,) = m.containers(workload)
    vendor = m.labels_of(workload).get("llm-mesh/vendor")
    from_secrets = [entry["secretRef"]["name"] for entry in container.get("envFrom", [])]
    assert from_secrets == ([f"vendor-{vendor}"] if vendor else [])
    single = [entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"] if "valueFrom" in entry]
    assert single == (["callers", "services"] if workload["metadata"]["name"] in ("router", "quota") else [])


def test_the_ledger_has_one_writer_on_a_volume_only_it_mounts():
    quota = m.named(BASE, "StatefulSet", "quota")
    (claim,) = quota["spec"]["volumeClaimTemplates"]
    assert quota["spec"]["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    (mount,) = (mount for mount in m.containers(quota)[0]["volumeMounts"] if mount["name"] == "ledger")
    assert MESH.ledger.path.startswith(mount["mountPath"] + "/")


# ---------------------------------------------------------------------------- who may talk to whom


def policies_for(workload, direction):
    labels = m.labels_of(workload)
    rules = []
    for policy in m.of_kind(BASE, "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        if wanted.items() <= labels.items():
            rules += policy["spec"].get(direction, [])
    return rules


def test_what_no_policy_opens_is_closed():
    deny = m.named(BASE, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("workload", m.workloads(BASE), ids=lambda workload: workload["metadata"]["name"])
def test_every_port_of_a_pod_is_opened_by_a_policy(workload):
    opened = {port["port"] for rule in policies_for(workload, "ingress") for port in rule["ports"]}
    assert {port["name"] for port in m.containers(workload)[0]["ports"]} <= opened
    assert all(rule.get("from") for rule in policies_for(workload, "ingress")), "a rule without `from` lets everyone in"


def test_the_quota_service_reaches_nothing_but_names():
    rules = policies_for(m.named(BASE, "StatefulSet", "quota"), "egress")
    assert [port["port"] for rule in rules for port in rule["ports"]] == [53, 53]


def test_the_router_reaches_quota_and_providers_and_no_address_outside():
    rules = policies_for(m.named(BASE, "Deployment", "router"), "egress")
    assert not any("ipBlock" in peer for rule in rules for peer in rule["to"])
    spans = [(port["port"], port.get("endPort", port["port"])) for rule in rules for port in rule["ports"]]
    for vendor in VENDORS:
        number = listens_on(MESH.provider_address(vendor).listen)
        assert any(first <= number <= last for first, last in spans)


def reachable(vendor, address):
    rules = policies_for(m.named(BASE, "Deployment", f"provider-{vendor}"), "egress")
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]
    ip = ipaddress.ip_address(address)

    def inside(network):
        return ip in ipaddress.ip_network(network)

    return any(inside(block["cidr"]) and not any(inside(closed) for closed in block["except"]) for block in blocks)


REMOTE = [vendor for vendor in VENDORS if not CATALOG.vendors[vendor].local]
PRIVATE = [
    *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.20.0.1", "192.0.0.9", "192.168.1.1"),
    *("198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "fd00::1", "fe80::1", "fec0::1", "ff02::1"),
]
TUNNELS = ["2002:a00:1::1", "64:ff9b::a00:1", "2001:0:1::1", "::ffff:10.0.0.1", "::1"]


@pytest.mark.parametrize("vendor", REMOTE)
def test_a_provider_reaches_public_addresses_on_443_and_no_private_one(vendor):
    assert [address for address in [*PRIVATE, *TUNNELS] if reachable(vendor, address)] == []
    assert reachable(vendor, "104.18.2.5")
    assert reachable(vendor, "2606:4700::6812:205")
    rules = policies_for(m.named(BASE, "Deployment", f"provider-{vendor}"), "egress")
    assert {port["port"] for rule in rules for port in rule["ports"]} == {53, 443}


@pytest.mark.parametrize("vendor", sorted(set(VENDORS) - set(REMOTE)))
def test_a_local_server_may_be_in_the_cluster_but_not_the_metadata_page(vendor):
    assert reachable(vendor, "10.1.2.3")
    assert reachable(vendor, "fd00::1")
    for address in ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "fe80::1"):
        assert not reachable(vendor, address), address
