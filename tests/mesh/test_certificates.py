"""A whole mesh whose router speaks TLS: commands and clients show certificates, and the ledger wants operators."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from fixtures.certificates import authority
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import SandboxMesh, bare_environment, sandbox_mesh

from llm_mesh import Client, ClientTls
from llm_mesh.failures import NoOfferError
from meshkit.errors import MeshError, Reason

FILE = """\
tenants: {alice: {default_tier: free}}
certificates:
  - {name: "spiffe://mesh.example/search", tenant: alice}
  - {name: steward.example, tenant: alice, scopes: [caller, operator]}
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certified")
    signed = authority(directory)
    signed.sign("router", "IP:127.0.0.1")
    signed.sign("search", "URI:spiffe://mesh.example/search")
    signed.sign("steward", "DNS:steward.example")
    (directory / "tenants.yaml").write_text(FILE, encoding="utf-8")
    tls = {"cert": "router.pem", "key": "router.key", "client_ca": "authority.pem"}
    config = {"tenants": "tenants.yaml", "addresses": {"router": {"tls": tls}}}
    with sandbox_mesh(directory, config, environment={"ORCHESTRATOR_API_KEY": "bootstrap-key"}) as running:
        # `up` has no certificate to ask with, so it does not wait until every vendor has described itself.
        wait_until(lambda: serves(running), 60, "the vendors to be known")
        yield running


def serves(mesh: SandboxMesh) -> bool:
    with Client(mesh.router, tls=files(mesh, "search"), timeout=30) as client:
        try:
            client.generate("say: ready")
        except NoOfferError:
            return False
    return True


def files(mesh: SandboxMesh, name: str) -> ClientTls:
    here = mesh.directory
    return ClientTls(here / "authority.pem", here / f"{name}.pem", here / f"{name}.key")


def command(mesh: SandboxMesh, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    addresses = {"MESH_ROUTER_ADDRESS": mesh.router, "MESH_QUOTA_ADDRESS": mesh.quota}
    env: Mapping[str, str] = {**bare_environment(mesh.directory), **addresses, **variables}
    called = [sys.executable, "-m", "llm_mesh", *words]
    return subprocess.run(called, env=env, capture_output=True, text=True, timeout=60, check=False)


def shown(mesh: SandboxMesh, name: str) -> dict[str, str]:
    tls = files(mesh, name)
    return {"MESH_TLS_CA": str(tls.ca), "MESH_TLS_CERT": str(tls.cert), "MESH_TLS_KEY": str(tls.key)}


def test_a_request_with_a_certificate_is_its_tenants(mesh):
    with Client(mesh.router, tls=files(mesh, "search"), timeout=30) as client:
        assert client.generate("say: yes").route.offer
    with Client(mesh.router, timeout=5) as plain, pytest.raises(MeshError):
        plain.generate("say: yes")
    told = command(mesh, "ledger", "spend", "--by", "tenant", "--json", MESH_API_KEY="bootstrap-key")
    assert [row["tenant"] for row in json.loads(told.stdout)["rows"]] == ["alice"]


def test_commands_show_the_certificate_that_variables_name(mesh):
    told = command(mesh, "status", "--json", **shown(mesh, "search"))
    assert (told.returncode, json.loads(told.stdout)["can_serve"]) == (0, True), told.stderr
    assert command(mesh, "status", MESH_API_KEY="bootstrap-key").returncode == 3
    gone = command(mesh, "status", MESH_TLS_CA=str(Path("/nowhere.pem")))
    assert (gone.returncode, gone.stderr) == (
        1,
        "llm-mesh: TLS ca: /nowhere.pem cannot be read: No such file or directory\n",
    )


def test_only_a_certificate_of_an_operator_operates(mesh):
    refused = command(mesh, "breaker", "groq", "open", **shown(mesh, "search"))
    assert (refused.returncode, "scope `operator`" in refused.stderr) == (1, True)
    done = command(mesh, "breaker", "groq", "open", "--json", **shown(mesh, "steward"))
    assert done.returncode == 0, done.stderr


def test_the_ledger_of_a_mesh_with_keys_serves_its_router_and_operators_alone(mesh):
    stranger = command(mesh, "ledger", "verify")
    assert (stranger.returncode, "MESH_API_KEY" in stranger.stderr) == (1, True)
    assert command(mesh, "ledger", "verify", MESH_API_KEY="bootstrap-key").returncode == 0


def test_a_key_of_somebody_else_beside_a_certificate_is_refused(mesh):
    both = Client(mesh.router, tls=files(mesh, "search"), api_key="bootstrap-key", timeout=30)
    with both as client, pytest.raises(MeshError) as refused:
        client.generate("say: yes")
    assert refused.value.reason is Reason.UNAUTHENTICATED


def test_the_console_of_a_mesh_with_keys_shows_operators_what_was_spent(mesh):
    headers = {"authorization": "Bearer bootstrap-key"}
    with httpx.stream("GET", f"{mesh.edge}/console/events", headers=headers, timeout=60, trust_env=False) as events:
        assert events.status_code == 200
        for line in events.iter_lines():
            assert "scope `operator`" not in line
            if line == "event: spend":
                break
