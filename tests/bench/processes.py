"""Reads from /proc what a process has used: CPU time of all its threads, and resident memory."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reading:
    """CPU seconds used so far: by each process, and by the whole machine."""

    by_name: Mapping[str, float]
    machine: float

    def since(self, earlier: "Reading") -> "Reading":
        """Return what was used between two readings."""
        spent = {name: seconds - earlier.by_name[name] for name, seconds in self.by_name.items()}
        return Reading(spent, self.machine - earlier.machine)


def read(pids: Mapping[str, int]) -> Reading:
    """Read the CPU time of processes by name, and of this one as `client`."""
    return Reading({name: _cpu_seconds(pid) for name, pid in {**pids, "client": os.getpid()}.items()}, _busy_seconds())


def resident_megabytes(pids: Mapping[str, int]) -> dict[str, float]:
    """Read how much memory each process has in RAM, in millions of bytes."""
    return {name: _status_kilobytes(pid, "VmRSS:") * 1024 / 1e6 for name, pid in pids.items()}


def _cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its ended threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _status_kilobytes(pid: int, key: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(key)))


def _busy_seconds() -> float:
    """Return the time all cores together were not idle."""
    user, nice, system, _idle, _wait, *others = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    interrupts = others[:2]
    return sum(int(ticks) for ticks in (user, nice, system, *interrupts)) / TICKS
