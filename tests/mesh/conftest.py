"""The meshes the acceptance tests talk to, each started once."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fixtures.acceptance import Isolated, isolated_mesh, shared_mesh
from fixtures.mesh_callers import Callers, at_ease, calling, eventually
from fixtures.sandbox_mesh import SandboxMesh


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxMesh]:
    """The mesh most tests share; nothing of what it was told may be left when it has ended."""
    with shared_mesh(tmp_path_factory.mktemp("shared")) as mesh:
        yield mesh


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolated]:
    """The mesh with everything on."""
    with isolated_mesh(tmp_path_factory.mktemp("isolated")) as running:
        yield running


@pytest.fixture
async def callers(shared: SandboxMesh) -> AsyncIterator[Callers]:
    """Call the shared mesh; the vendors have forgotten the test before, and no hold is open afterwards."""
    async with calling(shared) as ways:
        await at_ease(ways)
        yield ways
        await ways.settled()


async def first_choice_serves(ways: Callers) -> None:
    """Wait for a restarted process and an open breaker, and let the vendor serve a few to be in good repute."""

    async def serves() -> bool:
        return not (await ways.generate("tokens: 1", use_case="two")).route.fallback_used

    for _ in range(4):
        await eventually(serves, 30, "the first choice to serve")


@pytest.fixture
async def guarded(isolated: Isolated) -> AsyncIterator[Callers]:
    """Call the mesh with everything on, with its key, once the first choice of its use cases is well."""
    async with calling(isolated.mesh, isolated.key) as ways:
        await at_ease(ways)
        await first_choice_serves(ways)
        await at_ease(ways)
        yield ways
        await ways.settled()
