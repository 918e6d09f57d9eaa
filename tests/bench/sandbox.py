"""A sandboxed mesh to be measured: started as a user starts it, its quotas far out of reach, its vendor at our pace."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

VENDOR = "groq"
ENOUGH = 1_000_000_000
# The vendor's four limits stay, so that the ledger has its ordinary work; only their amounts are out of reach.
LIMITS = [(unit, window) for unit in ("requests", "tokens") for window in ("minute", "day")]
WINDOWS = {"minute": "minute", "day": "rolling 24h"}
CONFIGURATION = f"""
vendors:
  {VENDOR}:
    limits:
      free:
""" + "".join(
    f"        - {{unit: {unit}, window: {WINDOWS[window]}, amount: {ENOUGH}, scope: model}}\n"
    for unit, window in LIMITS
)
START_SECONDS = 90
STOP_SECONDS = 20


@dataclass(frozen=True)
class Sandbox:
    """A running mesh: where it is, and its processes by name."""

    router: str
    edge: str
    simulator: str
    pids: Mapping[str, int]
    admin: Mapping[str, str]

    async def pace(self, milliseconds: float) -> None:
        """Let the vendor answer at once, its tokens so many milliseconds apart, and lift its quotas."""
        limits = [{"unit": unit, "per": per, "scope": "model", "amount": ENOUGH} for unit, per in LIMITS]
        control = f"{self.simulator}/_control/vendors/{VENDOR}"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.put(f"{control}/limits", json=limits)
            await session.put(f"{control}/latency", json={"first_token_ms": 0, "token_ms": milliseconds})


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """Start the mesh and stop it again."""
    with tempfile.TemporaryDirectory(prefix="llm-mesh-bench-") as directory:
        configuration = Path(directory) / "mesh.yaml"
        configuration.write_text(CONFIGURATION)
        command = [sys.executable, "-m", "llm_mesh", "up", "--sandbox", "--ports", "auto", "--json"]
        running = subprocess.Popen(
            [*command, "--config", str(configuration)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            yield _told(running)
        finally:
            os.kill(running.pid, signal.SIGTERM)
            try:
                running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)


def _told(running: "subprocess.Popen[str]") -> Sandbox:
    assert running.stdout is not None
    line = running.stdout.readline()
    if not line:
        raise RuntimeError(f"the mesh did not start: exit status {running.wait(START_SECONDS)}")
    said = json.loads(line)
    pids = {"supervisor": running.pid, **said["pids"]}
    return Sandbox(said["router"], said["edge"], said["simulator"], pids, said["admin"])
