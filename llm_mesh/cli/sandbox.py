"""Runs a mesh with simulated vendors for as long as a command needs one."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from llm_mesh.variables import CALLER_KEY, CLIENT_KEY
from meshkit.errors import StartError

UP_WITHIN = 60.0
DOWN_WITHIN = 20.0
CONFIGURATION = ("MESH_CONFIG", "MESH_CATALOG")
NOT_OURS = (CALLER_KEY, CLIENT_KEY, "LOCAL_MODELS_ENABLED")


@asynccontextmanager
async def sandbox(config: Path | None = None) -> AsyncIterator[dict[str, Any]]:
    """Start a sandbox on free ports, say where everything is, and stop it afterwards.

    Without a configuration of its own it goes by the one a mesh here would.

    Raises:
        StartError: it did not start, or did not stop cleanly.
    """
    with tempfile.TemporaryDirectory(prefix="llm-mesh-sandbox-") as directory:
        errors = Path(directory) / "up.err"
        process = await _start(config, errors)
        try:
            yield await _ready(process, errors)
        finally:
            await _stop(process)
        if process.returncode:
            raise StartError(f"the sandbox ended with exit status {process.returncode}: {_words(errors)}")


async def _start(config: Path | None, errors: Path) -> asyncio.subprocess.Process:
    ours = {name: value for name, value in os.environ.items() if _is_ours(name, config)}
    options = ["--sandbox", "--ports", "auto", "--json", "--parent", str(os.getpid())]
    options += ["--config", str(config)] if config else []
    with errors.open("wb") as sink:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llm_mesh", "up", *options),
            env=ours,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            start_new_session=True,
        )


def _is_ours(name: str, config: Path | None) -> bool:
    """Tell whether the sandbox may see a variable; those that move a mesh's parts are another mesh's."""
    if name in CONFIGURATION:
        return config is None
    return not name.startswith("MESH_") and name not in NOT_OURS


async def _ready(process: asyncio.subprocess.Process, errors: Path) -> dict[str, Any]:
    """Read the line that says where everything is."""
    if process.stdout is None:
        raise StartError("the sandbox has no standard output")
    with suppress(TimeoutError):
        async with asyncio.timeout(UP_WITHIN):
            line = await process.stdout.readline()
        ready: dict[str, Any] = json.loads(line or b"{}")
        if "router" in ready:
            return ready
        if "error" in ready:
            raise StartError(f"the sandbox did not start: {ready['error']['message']}")
    raise StartError(f"the sandbox did not start within {UP_WITHIN:g} s: {_words(errors)}")


def _words(errors: Path) -> str:
    return errors.read_text(encoding="utf-8").strip() or "it said nothing"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(DOWN_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
