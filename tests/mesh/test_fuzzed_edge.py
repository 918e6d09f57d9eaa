"""Whatever bytes arrive at the edge, it says in its own shape what is wrong, shows nothing of itself, and serves on."""

import asyncio
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fixtures.acceptance import crashes
from fixtures.edge_fuzz.range import Score, fire, serves
from fixtures.edge_fuzz.shots import Keys
from fixtures.mesh_callers import eventually
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh

from meshkit.api_key import ApiKey, keyed_hash, mint
from meshkit.secret import Secret

SEED = int(os.environ.get("FUZZ_SEED", "7"))
SHOTS = 1_000
MANY = int(os.environ.get("FUZZ_SHOTS", "100000"))
PEPPER = Secret("pepper of the tests, long enough")
LOCAL = "ollama/llama3.1:8b"
CONFIG = {
    "tenants": "tenants.yaml",
    "use_cases": {
        "default": {"default_tier": "free", "candidates": {"free": [LOCAL]}},
        "embedding": {"default_tier": "free", "candidates": {"free": ["ollama/nomic-embed-text"]}},
    },
    "vendors": {"ollama": {"limits": {"local": []}}},
}


def row(key: ApiKey, more: str = "") -> str:
    return f'  - {{id: "{key.id}", tenant: ann, hash: "{keyed_hash(key, PEPPER)}"{more}}}\n'


@pytest.fixture(scope="module")
def ring() -> dict[str, ApiKey]:
    return {name: mint() for name in ("good", "ended", "revoked")}


@pytest.fixture(scope="module")
def keys(ring: dict[str, ApiKey]) -> Keys:
    good, ended, revoked = (ring[name].text().reveal() for name in ("good", "ended", "revoked"))
    return Keys(
        good, (ended, revoked, good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), f"{good} x", "sk-x")
    )


@pytest.fixture(scope="module")
def range_mesh(ring: dict[str, ApiKey], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    directory: Path = tmp_path_factory.mktemp("fuzzed")
    rows = row(ring["good"]) + row(ring["ended"], ", expires: 2020-01-01")
    (directory / "tenants.yaml").write_text(
        f"tenants: {{ann: {{models: ['ollama/*']}}}}\nkeys:\n{rows}", encoding="utf-8"
    )
    with sandbox_mesh(directory, CONFIG, environment={"MESH_KEY_PEPPER": PEPPER.reveal()}) as mesh:
        at_once = {"first_token_ms": 0, "token_ms": 0}
        httpx.put(f"{mesh.simulator}/_control/vendors/ollama/latency", json=at_once, trust_env=False).raise_for_status()
        asyncio.run(served_once(mesh, Keys(ring["good"].text().reveal(), ())))
        yield mesh


async def served_once(mesh: SandboxMesh, keys: Keys) -> None:
    """Wait until a good request is served: a mesh may be ready before the local server is."""
    await eventually(partial(serves, port_of(mesh), keys), 60, "a good request to be served")


def resident_megabytes(mesh: SandboxMesh) -> float:
    """Return how much of the router's process is in memory."""
    lines = Path(f"/proc/{mesh.pid('router')}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:"))) / 1024


async def in_order(mesh: SandboxMesh, keys: Keys, numbers: range, score: Score) -> None:
    """Fire some shots; afterwards the same process must serve, and its log must hold no defect and no trace."""
    await fire(port_of(mesh), SEED, numbers, keys, score)
    assert score.wrong == [], "\n".join(score.wrong[:20])
    assert await serves(port_of(mesh), keys)
    assert mesh.restarts("router") == 0
    assert crashes(mesh) == []
    assert '"event":"defect"' not in mesh.log("router")


def port_of(mesh: SandboxMesh) -> int:
    return urlsplit(mesh.edge).port or 0


async def test_a_thousand_damaged_requests(range_mesh: SandboxMesh, keys: Keys) -> None:
    score = Score()
    await in_order(range_mesh, keys, range(SHOTS), score)
    assert {200, 400, 401, 404, 405, 413, 431} <= score.statuses.keys()


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
async def test_a_hundred_thousand_damaged_requests_and_a_good_one_after_each_thousand(
    range_mesh: SandboxMesh, keys: Keys
) -> None:
    score, sizes = Score(), []
    for first in range(0, MANY, 1_000):
        await in_order(range_mesh, keys, range(first, first + 1_000), score)
        sizes.append(resident_megabytes(range_mesh))
    warm = sizes[len(sizes) // 10]
    figures = f"{min(sizes):.0f} to {max(sizes):.0f} MB, {warm:.0f} after a tenth, {sizes[-1]:.0f} at the end"
    sys.stdout.write(f"\n{MANY} shots, seed {SEED}: {dict(sorted(score.statuses.items()))}\n{figures}\n")
    for kind, count in sorted(score.kinds.items(), key=lambda pair: -pair[1]):
        sys.stdout.write(f"{count:7} {kind}\n")
    assert sizes[-1] - warm < 0.1 * warm, figures
