"""Runs one process of the mesh: in a group of its own, its output in a log, its end told in words."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from llm_mesh.children import ChildPlan

GRACE = 10.0
TAIL = 2000


class Child:
    """One process, started and stopped any number of times.

    Args:
        plan: what to run.
        log: the file its output is appended to; None lets it write to our own standard error.
    """

    def __init__(self, plan: ChildPlan, log: Path | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.log = log
        self._monotonic = monotonic
        self._process: asyncio.subprocess.Process | None = None
        self._started = 0.0

    @property
    def name(self) -> str:
        """Return what people call this process."""
        return self.plan.name

    @property
    def pid(self) -> int:
        """Return the id of the process, 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Tell whether the process is there."""
        return self._process is not None and self._process.returncode is None

    def age(self) -> float:
        """Return the seconds since the process was started."""
        return self._monotonic() - self._started

    async def start(self) -> None:
        """Start the process; its input is empty and a Ctrl-C in our terminal does not reach it."""
        sink = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if self.log else os.dup(2)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.plan.argv,
                env=dict(self.plan.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        finally:
            os.close(sink)
        self._started = self._monotonic()

    async def wait(self) -> str:
        """Wait for the end of the process and say how it ended."""
        if self._process is None:
            return "was never started"
        return ending(await self._process.wait())

    async def stop(self, grace: float = GRACE) -> bool:
        """Ask the process to end, and end it and all it started after `grace` seconds. True when asking was enough."""
        if self._process is None or self._process.returncode is not None:
            return True
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(grace):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            return False
        return True

    def last_words(self) -> str:
        """Return the last lines of the log, nothing without one."""
        if self.log is None or not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            text = file.read().decode("utf-8", errors="replace")
        return "\n".join(text.strip().splitlines()[-5:])


def ending(status: int) -> str:
    """Say how a process ended."""
    if status < 0:
        try:
            return f"killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"killed by signal {-status}"
    return f"exit status {status}"
