"""What a hold and its settle take, as a figure beside its limit."""

import resource
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """Microseconds of CPU for one hold and its settle; `limit` is what they may be, None when nobody has said."""

    name: str
    least: float
    median: float
    limit: float | None = None

    def __str__(self) -> str:
        """Return it as a line of the table."""
        bound = "" if self.limit is None else f"{self.limit:7.1f}  {'within' if self.least <= self.limit else 'BEYOND'}"
        return f"{self.name:<58} {self.least:7.1f} {self.median:7.1f} {bound}"


def a_figure(name: str, rounds: Sequence[float], most: float | None = None) -> Figure:
    """Make a figure of several rounds."""
    return Figure(name, min(rounds), statistics.median(rounds), most)


def own_cpu() -> float:
    """Return the CPU seconds of this process, all threads and the kernel's work for them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
