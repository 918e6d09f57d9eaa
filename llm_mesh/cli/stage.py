"""Sets the stage of the demo: a sandbox on free ports in which one vendor has a small quota."""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from catalog.loader import load_catalog
from llm_mesh.cli import session
from llm_mesh.variables import CALLER_KEY, CLIENT_KEY
from meshkit.errors import StartError

USE_CASE = "conversation"
TIER = "free"
QUOTA = 5
UP_WITHIN = 60.0
DOWN_WITHIN = 20.0
NOT_OURS = (CALLER_KEY, CLIENT_KEY, "LOCAL_MODELS_ENABLED")


@dataclass(frozen=True, slots=True)
class Stage:
    """A running sandbox: the router, the addresses, and the vendor whose quota is small."""

    way: session.Session
    router: str
    quota: str
    simulator: str
    vendors: int
    first: str
    http: aiohttp.ClientSession

    async def set_faults(self, vendor: str, faults: list[dict[str, Any]]) -> None:
        """Make a simulated vendor fail, or let it recover."""
        url = f"{self.simulator}/_control/vendors/{vendor}/faults"
        async with self.http.put(url, json=faults) as answer:
            answer.raise_for_status()

    async def arrivals(self, vendor: str) -> int:
        """Return how many requests the simulated vendor itself has counted."""
        async with self.http.get(f"{self.simulator}/_control/vendors") as answer:
            answer.raise_for_status()
            return int((await answer.json())[vendor]["arrivals"])


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Start a sandbox, and stop it afterwards.

    Raises:
        StartError: it did not start, or did not stop cleanly.
    """
    with tempfile.TemporaryDirectory(prefix="llm-mesh-demo-") as directory:
        first, config = _small_quota(Path(directory))
        errors = Path(directory) / "up.err"
        process = await _start(config, errors)
        try:
            ready = await _ready(process, errors)
            async with (
                session.router(ready["router"]) as way,
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=session.QUICK)) as http,
            ):
                yield Stage(
                    way=way,
                    router=ready["router"],
                    quota=ready["quota"],
                    simulator=ready["simulator"],
                    vendors=len(ready["vendors"]),
                    first=first,
                    http=http,
                )
        finally:
            await _stop(process)
        if process.returncode:
            raise StartError(f"the sandbox ended with exit status {process.returncode}: {_words(errors)}")


def _small_quota(directory: Path) -> tuple[str, Path]:
    """Write a configuration in which the use case's first vendor may be asked only a few times; return both."""
    catalog = load_catalog()
    first = catalog.resolve(catalog.use_cases[USE_CASE].candidates[TIER][0])[0].vendor
    plan = catalog.vendors[first].default_plan
    limit = {"unit": "requests", "window": "rolling 24h", "amount": QUOTA, "scope": "account"}
    config = directory / "mesh.yaml"
    config.write_text(json.dumps({"vendors": {first: {"limits": {plan: [limit]}}}}), encoding="utf-8")
    return first, config


async def _start(config: Path, errors: Path) -> asyncio.subprocess.Process:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MESH_") and name not in NOT_OURS}
    options = ("--sandbox", "--ports", "auto", "--json", "--config", str(config), "--parent", str(os.getpid()))
    with errors.open("wb") as sink:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llm_mesh", "up", *options),
            env=ours,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            start_new_session=True,
        )


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
