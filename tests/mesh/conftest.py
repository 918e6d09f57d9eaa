"""The meshes the acceptance tests talk to: one that most share, and one with a process for each vendor."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fixtures.mesh_callers import ANSWERED, ASKED, Callers, at_ease, calling
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh
from fixtures.traces import Receiver, receiving
from fixtures.unseen import made_up_keys, where_found

CALLER_KEY = "caller-key-e41d9c07"
MINI, BIG, LOCAL = "openai/gpt-4o-mini", "groq/openai/gpt-oss-120b", "ollama/llama3.1:8b"


def requests(amount: int, *models: str, window: str = "rolling 24h") -> dict[str, Any]:
    """Return a limit on the requests to some models, each model apart."""
    return {"unit": "requests", "window": window, "amount": amount, "scope": "model", "models": list(models)}


def use_case(*candidates: str, **more: Any) -> dict[str, Any]:
    """Return a use case with these models in order of preference."""
    return {"default_tier": "premium", "candidates": {"premium": list(candidates)}, **more}


# The limits of the catalogue are replaced: every budget a test exhausts belongs to that test alone.
SHARED: dict[str, Any] = {
    "vendors": {
        "groq": {"limits": {"free": [requests(10, "openai/gpt-oss-20b"), requests(1, "qwen/qwen3.8-27b")]}},
        "gemini": {"limits": {"free": [requests(1, "gemini-2.5-flash-lite")]}},
        "openai": {"limits": {"paid": []}},
    },
    "use_cases": {
        "burst": use_case("groq/openai/gpt-oss-20b", "gemini/gemini-2.5-flash"),
        "dry": use_case("groq/qwen/qwen3.8-27b", "gemini/gemini-2.5-flash-lite"),
        "plain": use_case(MINI, BIG, LOCAL),
        "leaving": use_case(MINI),
        "late": use_case(MINI),
        "cut": use_case(MINI, BIG),
        "whole": use_case(MINI, BIG, stream_guarantee="whole"),
        "cooling": use_case(BIG, LOCAL),
        "failing": use_case("gemini/gemini-2.5-flash", LOCAL),
        "capped": use_case(MINI),
    },
    "budgets": [{"subject": "use_case/capped", "unit": "requests", "window": "day", "amount": 0}],
}
ISOLATED: dict[str, Any] = {
    "vendors": {"groq": {"limits": {"free": []}}, "openai": {"limits": {"paid": []}}},
    "use_cases": {"two": use_case(BIG, MINI), "two_whole": use_case(BIG, MINI, stream_guarantee="whole")},
}


@dataclass(frozen=True)
class Isolated:
    """A mesh with one process for each vendor, a caller key, and someone who receives all its spans."""

    mesh: SandboxMesh
    spans: Receiver
    key: str = CALLER_KEY


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    """Run the mesh most tests share: one process for all vendors, no caller key."""
    directory = tmp_path_factory.mktemp("shared")
    with sandbox_mesh(directory, SHARED) as mesh:
        yield mesh
    leaves_nothing(mesh)


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    """Run a mesh with everything on: `--isolated`, a caller key, every request traced."""
    with receiving() as spans:
        environment = {
            "ORCHESTRATOR_API_KEY": CALLER_KEY,
            "OTEL_EXPORTER_OTLP_ENDPOINT": spans.endpoint,
            "MESH_TRACE_SAMPLE_RATIO": "1",
        }
        directory = tmp_path_factory.mktemp("isolated")
        with sandbox_mesh(directory, ISOLATED, isolated=True, environment=environment) as mesh:
            yield Isolated(mesh, spans)
        leaves_nothing(mesh)


@pytest.fixture
async def callers(shared: SandboxMesh) -> AsyncIterator[Callers]:
    """Call the shared mesh; the vendors have forgotten the test before, and no hold is open afterwards."""
    async with calling(shared) as ways:
        await at_ease(ways)
        yield ways
        await ways.settled()


@pytest.fixture
async def guarded(isolated: Isolated) -> AsyncIterator[Callers]:
    """Call the isolated mesh, with its key."""
    async with calling(isolated.mesh, isolated.key) as ways:
        await at_ease(ways)
        yield ways
        await ways.settled()


def leaves_nothing(mesh: SandboxMesh) -> None:
    """Check that what a mesh leaves on the disk holds no prompt, no answer and no key, and that nothing crashed."""
    words = [ASKED, ANSWERED, CALLER_KEY, *made_up_keys()]
    assert where_found(words, mesh.directory) == []
    assert where_found(["Traceback (most recent call last)"], mesh.directory) == []
