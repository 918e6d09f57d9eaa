"""Sets the stage of the demo: a sandbox on free ports in which one vendor has a small quota."""

import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from catalog.loader import load_catalog
from llm_mesh.cli import session
from llm_mesh.cli.sandbox import sandbox

USE_CASE = "conversation"
TIER = "free"
QUOTA = 5


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
        async with (
            sandbox(config) as ready,
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


def _small_quota(directory: Path) -> tuple[str, Path]:
    """Write a configuration in which the use case's first vendor may be asked only a few times; return both."""
    catalog = load_catalog()
    first = catalog.resolve(catalog.use_cases[USE_CASE].candidates[TIER][0])[0].vendor
    plan = catalog.vendors[first].default_plan
    limit = {"unit": "requests", "window": "rolling 24h", "amount": QUOTA, "scope": "account"}
    config = directory / "mesh.yaml"
    config.write_text(json.dumps({"vendors": {first: {"limits": {plan: [limit]}}}}), encoding="utf-8")
    return first, config
