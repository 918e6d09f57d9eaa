"""Holds what one run of the mesh leaves on disk: the ledger and the logs, in a directory that a sandbox throws away."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEPT = Path("var/sandbox")
LOGS = Path("var/log")


@dataclass(frozen=True, slots=True)
class Place:
    """Where logs are written; of a sandbox also its directory, its ledger and what its vendors host."""

    logs: Path
    sandbox: Path | None = None

    @property
    def ledger(self) -> Path | None:
        """Return the ledger of a sandbox, None when it is where the configuration says."""
        return self.sandbox / "ledger.db" if self.sandbox else None

    @property
    def simulated(self) -> Path | None:
        """Return the file that tells the simulator which models to host."""
        return self.sandbox / "simulated.json" if self.sandbox else None

    def log(self, name: str) -> Path:
        """Return the log file of a process; the one of the run before is kept beside it as `.1`."""
        self.logs.mkdir(parents=True, exist_ok=True)
        file = self.logs / f"{name}.log"
        if file.exists():
            file.replace(file.with_suffix(".log.1"))
        return file


@contextmanager
def place(*, sandbox: bool, keep: bool) -> Iterator[Place]:
    """Make the directories of a run, and remove them afterwards when nobody wants to keep them."""
    if not sandbox:
        yield Place(LOGS)
        return
    directory = KEPT if keep else Path(tempfile.mkdtemp(prefix="llm-mesh-sandbox-"))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        yield Place(directory / "log", directory)
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
