"""Says what it was measured on: processor, cores, load, versions; without it the figures mean nothing."""

import os
import platform
import subprocess
import sysconfig
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

STACK = ("grpcio", "protobuf", "aiohttp", "httpx", "uvloop", "msgspec")


@dataclass(frozen=True)
class Machine:
    """The machine and what runs on it; `load` are the load averages of the last minute before and after."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    versions: dict[str, str]
    commit: str
    load: tuple[float, float]

    def sentence(self) -> str:
        """Say it for people."""
        stack = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.cores} cores of {self.processor}, {self.memory_gib:.0f} GiB, {self.system}, Python {self.python}, "
            f"{stack}; commit {self.commit}; load average {self.load[0]:.2f} before, {self.load[1]:.2f} after."
        )

    def plain(self) -> dict[str, object]:
        """Return it as JSON wants it."""
        return asdict(self)


def describe(load_before: float) -> Machine:
    """Look at the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {name: version(name) for name in STACK}
    load = (load_before, os.getloadavg()[0])
    system = f"{platform.system()} {platform.release()}"
    return Machine(_processor(), os.cpu_count() or 1, memory, system, _python(), versions, _commit(), load)


def _python() -> str:
    """Name the interpreter; one built without profile-guided optimization needs more CPU for everything."""
    optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return platform.python_version() + ("" if optimized else " (built without profile-guided optimization)")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """Return the commit measured, with a mark when files differ from it; nothing outside a repository."""
    command = ["git", "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return found.stdout.strip() or "unknown"
