"""A mesh that wants a key, for the clients people already have."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from fixtures.acceptance import CALLER_KEY, MINI, crashes, use_case
from fixtures.client_programs import Told, told_by
from fixtures.mesh_callers import at_ease, calling
from fixtures.sandbox_mesh import SandboxMesh, sandbox_mesh

from catalog.loader import load_catalog

Tell = Callable[[str, str], Told]


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    """The mesh: no vendor refuses anything, and two use cases have hardly a budget."""
    vendors = {vendor.id: {"limits": {plan: [] for plan in vendor.plans}} for vendor in load_catalog().vendors.values()}
    limited = {"spent": 1, "dry": 0}
    config = {
        "vendors": vendors,
        "use_cases": dict.fromkeys(limited, use_case(MINI)),
        "budgets": [
            {"subject": f"use_case/{name}", "unit": "requests", "window": "day", "amount": amount}
            for name, amount in limited.items()
        ],
    }

    async def relieve(mesh: SandboxMesh) -> None:
        async with calling(mesh, CALLER_KEY) as ways:
            await at_ease(ways)

    environment = {"ORCHESTRATOR_API_KEY": CALLER_KEY}
    with sandbox_mesh(tmp_path_factory.mktemp("keyed"), config, environment=environment) as mesh:
        asyncio.run(relieve(mesh))
        yield mesh
        assert crashes(mesh) == []
        assert '"event":"defect"' not in mesh.log("router")


@pytest.fixture(scope="session")
def tell(keyed: SandboxMesh, tmp_path_factory: pytest.TempPathFactory) -> Tell:
    """Run a program against it, once for all tests that ask what it told."""
    known: dict[str, Told] = {}

    def run(python: str, program: str) -> Told:
        if program not in known:
            known[program] = told_by(python, program, keyed.edge, CALLER_KEY, tmp_path_factory.mktemp("home"))
        return known[program]

    return run
