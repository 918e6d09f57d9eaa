"""Prints the trace of one streamed request with a fallback, through a whole sandboxed mesh: `make trace`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from fixtures.acceptance import isolated_mesh
from fixtures.mesh_callers import at_ease, calling
from fixtures.one_trace import one_trace
from fixtures.traces import tree


async def _shown(directory: Path) -> str:
    with isolated_mesh(directory) as isolated:
        async with calling(isolated.mesh, isolated.key) as callers:
            await at_ease(callers)
            return tree(await one_trace(isolated, callers, stream=True))


def main() -> int:
    """Start a mesh, send one request, print its trace."""
    with tempfile.TemporaryDirectory() as directory:
        print(asyncio.run(_shown(Path(directory))))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
