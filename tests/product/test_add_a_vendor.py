"""Follows docs/add-a-vendor.md for a vendor the mesh does not ship: what it takes is data, and it serves."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.observation import program, wait_until
from fixtures.sandbox_mesh import ROOT, SandboxMesh, bare_environment, started
from fixtures.shipped import shipped

from catalog.loader import load_catalog
from catalog.model import Catalog

GUIDE = (ROOT / "docs" / "add-a-vendor.md").read_text(encoding="utf-8")
VENDOR = "cerebras"
MODEL = "cerebras/gpt-oss-120b"
KEY = "csk-made-up-for-a-test"
RECORDINGS = os.environ.get("LLM_MESH_RECORDINGS", "")
RECORDED = "other_cerebras"
pytestmark = pytest.mark.product("P-OPS-18")


def block(name: str) -> str:
    """Return the block of the guide that begins with a comment of this name."""
    found = re.search(rf"```yaml\n# {re.escape(name)}\n(.*?)```", GUIDE, re.DOTALL)
    assert found, f"the guide has no block {name}"
    return found[1]


@dataclass(frozen=True)
class Workshop:
    """A directory in which the guide is followed: rows of one's own, mesh.yaml and .env."""

    directory: Path

    @property
    def rows(self) -> Path:
        return self.directory / "my-rows"

    def variables(self, **more: str) -> dict[str, str]:
        return {**bare_environment(self.directory), "MESH_CATALOG": str(self.rows), **more}

    def command(self, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "llm_mesh", *words]
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.variables(**more),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Follow the guide from the key to the use case."""
    made = Workshop(tmp_path_factory.mktemp("workshop"))
    made.rows.mkdir()
    for file in (ROOT / "catalog").glob("*.yaml"):
        shutil.copy(file, made.rows)
    (made.directory / ".env").write_text(f"CEREBRAS_API_KEY={KEY}\n", encoding="utf-8")
    done = made.command("vendors", "new", VENDOR, "--endpoint", "https://api.cerebras.ai/v1")
    assert done.returncode == 0, done.stderr
    row = made.rows / f"{VENDOR}.yaml"
    offset = load_catalog(made.rows).vendors[VENDOR].port_offset
    # The port is the next free one of today's catalogue, whatever it was when the guide was written.
    row.write_text(re.sub(r"port_offset: \d+", f"port_offset: {offset}", block(f"catalog/{VENDOR}.yaml")))
    (made.directory / "mesh.yaml").write_text(block("mesh.yaml"), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def known(workshop: Workshop) -> Catalog:
    return load_catalog(workshop.rows)


def test_the_command_of_the_guide_writes_a_row_that_says_what_the_guide_says(workshop, tmp_path):
    (command,) = re.findall(r"^llm-mesh (vendors new .*)$", GUIDE, re.MULTILINE)
    fresh = tmp_path / "rows"
    shutil.copytree(ROOT / "catalog", fresh, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    done = workshop.command(*command.split(), MESH_CATALOG=str(fresh))
    assert done.returncode == 0, done.stderr
    begun, filled = (
        yaml.safe_load(text) for text in ((fresh / f"{VENDOR}.yaml").read_text(), block("catalog/cerebras.yaml"))
    )
    for key in ("dialect", "endpoint", "key_env", "provider_name"):
        assert begun[key] == filled[key]


def test_the_row_of_the_guide_loads_beside_all_others(known):
    assert set(known.vendors) == {*shipped().vendors, VENDOR}
    vendor = known.vendors[VENDOR]
    assert (vendor.dialect, vendor.group, vendor.default_plan) == ("openai", "speed", "free")
    assert [str(ref) for ref in known.resolve("gpt-oss-120b")].count(MODEL) == 1


def test_what_was_added_is_data_alone(workshop):
    shipped = {file.name: file.read_bytes() for file in (ROOT / "catalog").glob("*.yaml")}
    now = {file.name: file.read_bytes() for file in workshop.rows.iterdir()}
    assert {name for name in now if shipped.get(name) != now[name]} == {f"{VENDOR}.yaml"}
    mentions = subprocess.run(
        [
            "grep",
            "-rlw",
            VENDOR,
            "--include=*.py",
            *("catalog", "meshkit", "router_service", "quota_service", "llm_mesh"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert mentions.stdout == ""


@contextmanager
def simulated(directory: Path) -> Iterator[str]:
    """Run the simulator with the row of the guide, and return the vendor's endpoint."""
    config, out = directory / "simulator.yaml", directory / "simulator.out"
    config.write_text(block("simulator.yaml"), encoding="utf-8")
    command = [sys.executable, "-m", "llm_mesh", "serve", "simulator", "--port", "0", "--config", str(config)]
    with (
        out.open("w") as sink,
        program(command, directory / "simulator.err", stdout=sink, env=bare_environment(directory)),
    ):
        wait_until(lambda: "plays" in out.read_text(), 20, "the simulator")
        found = re.search(r"http://\S+", out.read_text())
        assert found is not None
        yield f"{found[0]}/{VENDOR}/v1"


@pytest.fixture(scope="module")
def mesh(workshop: Workshop) -> Iterator[SandboxMesh]:
    """Start the mesh as the guide says, with the simulator in the vendor's place."""
    with simulated(workshop.directory) as endpoint:
        variables = workshop.variables(MESH_CEREBRAS_ENDPOINT=endpoint, LOCAL_MODELS_ENABLED="false")
        with started(workshop.directory, [], variables) as running:
            yield running


def test_the_checks_of_the_guide_pass(workshop, mesh):
    section = GUIDE.partition("## 5. The check")[2].partition("\n## ")[0]
    commands = re.findall(r"^llm-mesh (.*?) *# ", section, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["vendors", "vendors", "explain", "bench"]
    for command in commands:
        done = workshop.command(*command.split(), MESH_ROUTER_ADDRESS=mesh.router)
        assert done.returncode == 0, done.stdout + done.stderr
        if command.startswith("vendors check"):
            assert f"{MODEL}: ok\n" in done.stdout
        assert "gpt-oss-120b" in done.stdout


def test_the_use_case_of_the_guide_is_served_by_the_new_vendor_under_its_limits(workshop, mesh):
    done = workshop.command("chat", "--use-case", "quick", "--json", "Hello", MESH_ROUTER_ADDRESS=mesh.router)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["route"]["offer"] == f"{MODEL}#1"
    assert (told["route"]["total_cost_nanos"], told["usage"]["list_cost_nanos"] > 0) == (0, True)
    listed = json.loads(workshop.command("vendors", "--json", MESH_ROUTER_ADDRESS=mesh.router).stdout)
    (vendor,) = [vendor for vendor in listed["vendors"] if vendor["id"] == VENDOR]
    used = {(budget["unit"], budget["limit"]): budget["used"] for budget in vendor["budgets"] if budget["used"]}
    assert {limit for unit, limit in used if unit == "requests"} == {30, 14_400}
    assert {limit for unit, limit in used if unit == "tokens"} == {60_000, 1_000_000}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(not RECORDINGS, reason="LLM_MESH_RECORDINGS names no recordings")
def test_recorded_answers_of_the_vendor_are_read_right_by_its_row(workshop, tmp_path):
    records = tmp_path / "recordings"
    records.mkdir()
    (records / f"{RECORDED}.jsonl").symlink_to(Path(RECORDINGS) / "open" / f"{RECORDED}.jsonl")
    expected = tmp_path / "expected.jsonl"
    with expected.open("w") as sink:
        subprocess.run([sys.executable, ROOT / "tests/fixtures/naive.py", records], stdout=sink, check=True, timeout=60)
    ports = [free_port() for _ in range(3)]
    service, admin, replay = (f"127.0.0.1:{port}" for port in ports)
    variables = workshop.variables(
        CEREBRAS_API_KEY=KEY, MESH_CEREBRAS_ENDPOINT=f"http://{replay}", MESH_PROVIDER_CEREBRAS_ADDRESS=service
    )
    command = [sys.executable, "-m", "llm_mesh", "serve", "provider", VENDOR, "--admin", admin]
    with program(command, tmp_path / "provider.err", env=variables, cwd=workshop.directory):
        played = workshop.command(
            *("conformance", str(records), "--vendor", RECORDED, "--address", service, "--replay", replay),
            *("--expected", str(expected), "--json"),
        )
    assert played.returncode == 0, played.stderr
    outcomes: list[dict[str, Any]] = [json.loads(line) for line in played.stdout.splitlines()]
    assert sum(outcome["outcome"] == "ok" for outcome in outcomes) >= 10
