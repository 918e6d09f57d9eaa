"""Tenants over real sockets: keys, rules, budgets of their own, and a tenants file that changes under way."""

import json
import time
from dataclasses import replace

import httpx
import pytest
from fixtures.customer import DEADLINE, Customer
from fixtures.keyed_mesh import key_of, keyed_mesh

from meshkit.errors import Reason

FAST, OTHER = "groq/openai/gpt-oss-120b", "gemini/gemini-2.5-flash"
LOOKS = 30.0  # seconds a running mesh may take to see a new file; it looks twice a second
FILE = """\
tenants:
  alice:
    models: ["groq/*"]
    default_tier: free
    labels: {team: search}
  bob:
    budgets:
      - {unit: requests, window: day, amount: 2}
  carol:
    budgets:
      - {unit: requests, window: day, amount: 0}
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tenants")
    (directory / "tenants.yaml").write_text(FILE, encoding="utf-8")
    (directory / "tenants.pepper").write_text("pepper of the tests, long enough\n", encoding="utf-8")
    keys = {"GROQ_API_KEY": key_of("groq", "key1"), "GEMINI_API_KEY": key_of("gemini", "key1")}
    with keyed_mesh(directory, config={"tenants": "tenants.yaml"}, keys=keys, caller_key="bootstrap-key") as customer:
        yield customer


def made(mesh: Customer, *words: str) -> str:
    """Make a key as an operator does, and return it."""
    done = mesh.command("keys", *words, "--file", str(mesh.mesh.directory / "tenants.yaml"), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["key"]


def as_caller(mesh: Customer, key: str) -> Customer:
    return replace(mesh, key=key)


def answered(mesh: Customer, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{mesh.mesh.edge}/v1/models", headers=headers, trust_env=False, timeout=DEADLINE).status_code


def until_answered(mesh: Customer, key: str, status: int) -> None:
    """Wait until a key is answered so."""
    ends = time.monotonic() + LOOKS
    while (last := answered(mesh, key)) != status:
        assert time.monotonic() < ends, f"still {last}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def alice(mesh):
    key = made(mesh, "create", "alice")
    until_answered(mesh, key, 200)
    return as_caller(mesh, key)


@pytest.fixture(scope="module")
def bob(mesh):
    key = made(mesh, "create", "bob")
    until_answered(mesh, key, 200)
    return as_caller(mesh, key)


def test_a_tenants_rules_hold_over_grpc_and_over_http(alice):
    assert alice.generate().route.offer.startswith("groq/")
    assert alice.generate(model=FAST).route.offer.startswith(FAST)
    error = alice.refused(model=OTHER)
    assert (error.reason, error.code) == (Reason.FORBIDDEN, "PERMISSION_DENIED")
    assert "tenant `alice` may not use model" in error.message
    response = alice.chat(model=OTHER)
    assert response.status_code == 403
    assert response.json()["error"]["type"] == "permission_error"
    assert alice.chat(model=FAST).status_code == 200


def test_nobody_without_a_good_key_learns_anything(mesh, alice):
    wrong = alice.key[:-1] + ("0" if alice.key[-1] != "0" else "1")
    told = set()
    for key in ("", "x", wrong, "mesh_000000000000_" + "0" * 48):
        stranger = as_caller(mesh, key)
        error = stranger.refused()
        told.add((error.reason, error.code, error.message))
        response = stranger.chat()
        assert response.status_code == 401
        told.add(response.json()["error"]["message"])
    assert told == {
        (Reason.UNAUTHENTICATED, "UNAUTHENTICATED", "the caller's key is missing or wrong"),
        "the caller's key is missing or wrong",
    }


def test_a_tenants_budget_is_its_own(mesh, bob, alice):
    for _ in range(2):
        assert bob.generate(model=FAST).route.offer.startswith(FAST)
    error = bob.refused(model=FAST)
    assert (error.reason, error.code) == (Reason.BUDGET_EXHAUSTED, "RESOURCE_EXHAUSTED")
    assert bob.chat(model=FAST).status_code == 429
    assert alice.generate(model=FAST)
    assert as_caller(mesh, "bootstrap-key").generate(model=FAST)


def test_a_tenants_budget_is_another_within_seconds(mesh):
    key = made(mesh, "create", "carol")
    until_answered(mesh, key, 200)
    carol = as_caller(mesh, key)
    assert carol.refused(model=FAST).reason is Reason.BUDGET_EXHAUSTED
    file = mesh.mesh.directory / "tenants.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("amount: 0", "amount: 9"), encoding="utf-8")
    ends = time.monotonic() + LOOKS
    while carol.chat(model=FAST).status_code != 200:
        assert time.monotonic() < ends
        time.sleep(0.2)


def test_spend_is_booked_on_the_tenant_under_its_labels(mesh, alice):
    alice.generate(model=FAST)
    done = mesh.command("ledger", "spend", "--by", "tenant,label:team", "--json")
    assert done.returncode == 0, done.stderr
    assert '"alice"' in done.stdout
    assert '"search"' in done.stdout


def test_a_key_is_rotated_and_revoked_while_the_mesh_runs(mesh):
    file = str(mesh.mesh.directory / "tenants.yaml")
    old = made(mesh, "create", "alice", "--note", "to be rotated")
    until_answered(mesh, old, 200)
    new = made(mesh, "rotate", old.split("_")[1], "--overlap", "1h")
    until_answered(mesh, new, 200)
    assert answered(mesh, old) == 200
    assert mesh.command("keys", "revoke", old.split("_")[1], "--file", file).returncode == 0
    until_answered(mesh, old, 401)
    assert answered(mesh, new) == 200


def test_a_broken_file_stops_nobody_and_is_told(mesh, alice):
    file = mesh.mesh.directory / "tenants.yaml"
    good = file.read_text(encoding="utf-8")
    file.write_text(good + "nonsense: [\n", encoding="utf-8")
    ends = time.monotonic() + LOOKS
    while 'mesh_config_valid{file="tenants"} 0' not in mesh.metrics("router"):
        assert time.monotonic() < ends
        assert answered(mesh, alice.key) == 200
    ready = httpx.get(f"{mesh.mesh.admin['router']}/readyz", trust_env=False, timeout=DEADLINE)
    assert ready.status_code == 200
    assert "tenants.yaml" in ready.text
    file.write_text(good, encoding="utf-8")
    while 'mesh_config_valid{file="tenants"} 1' not in mesh.metrics("router"):
        assert time.monotonic() < ends + LOOKS
    assert answered(mesh, alice.key) == 200


def test_only_an_operator_has_keys_checked_at_vendors(mesh, alice):
    with pytest.raises(Exception, match="scope `operator`"):
        list(_checked(alice))
    key = made(mesh, "create", "alice", "--scope", "operator")
    until_answered(mesh, key, 200)
    assert {slot.vendor for slot in _checked(as_caller(mesh, key))} == {"groq"}


def _checked(customer: Customer):
    from llmmesh.router.v1 import router_pb2  # noqa: PLC0415

    request = router_pb2.CheckVendorsRequest(vendors=["groq"])
    return customer.router.CheckVendors(request, timeout=DEADLINE, metadata=tuple(customer.bearer.items()))


def test_no_key_is_found_anywhere_but_where_it_was_shown(mesh, alice):
    written = [path.read_bytes() for path in mesh.mesh.directory.rglob("*") if path.is_file()]
    secret = alice.key.rpartition("_")[2].encode()
    assert not [content for content in written if secret in content]
