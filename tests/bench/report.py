"""Tells what was measured: tables for people, JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.bench.cases import Case
from tests.bench.figures import Figures, medians
from tests.bench.machine import Machine

CPU_HEAD = ("CPU", "requests/s", "mesh", "router", "quota", "providers", "caller", "vendor", "others")
CPU_WORDS = """\
CPU in µs per request, user and system, of all threads; `mesh` is the sum of router, quota, providers and supervisor,
caller and simulated vendor not counted. `others` is the share of all cores that unrelated programs took."""
LATENCY_HEAD = ("latency", "p50", "p99", "added", "first p50", "first p99", "first added", "pieces")
LATENCY_WORDS = """\
Latency in ms, of whole answers and of the first token; `added` is what the mesh adds to the medians of the same case
without it. `pieces` is in how many messages or reads an answer came."""
MEMORY_HEAD = ("memory", "at start", "after load")
MEMORY_WORDS = "Resident memory of each process in MB (millions of bytes)."


@dataclass(frozen=True)
class Report:
    """All runs of all cases; `memory` is in MB, by process, at the start and after the load."""

    machine: Machine
    seconds: float
    runs: Mapping[Case, Sequence[Figures]]
    memory: Mapping[str, tuple[float, float]]

    def text(self) -> str:
        """Return it for people."""
        found = {case: medians(several) for case, several in self.runs.items()}
        count = len(next(iter(self.runs.values())))
        cpu = [CPU_HEAD, *(_cpu_row(case, figures) for case, figures in found.items())]
        latency = [LATENCY_HEAD, *(_latency_row(case, found) for case in found)]
        memory = [(name, f"{before:.0f}", f"{after:.0f}") for name, (before, after) in self.memory.items()]
        parts = (
            self.machine.sentence(),
            f"Medians of {count} runs of {self.seconds:g} s.",
            CPU_WORDS,
            *("", *_aligned(cpu), "", LATENCY_WORDS),
            *("", *_aligned(latency), "", MEMORY_WORDS),
            *("", *_aligned([MEMORY_HEAD, *memory])),
        )
        return "\n".join(parts)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON wants it."""
        return {
            "machine": self.machine.plain(),
            "seconds": self.seconds,
            "cases": {
                case.name: {"median": medians(several).plain(), "runs": [run.plain() for run in several]}
                for case, several in self.runs.items()
            },
            "memory_mb": {
                name: {"start": before, "after_load": after} for name, (before, after) in self.memory.items()
            },
        }


def _cpu_row(case: Case, figures: Figures) -> tuple[str, ...]:
    cpu = figures.cpu
    mesh = (figures.mesh_cpu, cpu["router"], cpu["quota"], cpu["providers"])
    told = ("",) * 4 if case.way == "direct" else tuple(f"{part:.0f}" for part in mesh)
    ends = (f"{cpu['client']:.0f}", f"{cpu['simulator']:.0f}", f"{figures.others:.0%}")
    return (case.name, f"{figures.per_second:.0f}", *told, *ends)


def _latency_row(case: Case, found: Mapping[Case, Figures]) -> tuple[str, ...]:
    own = found[case]
    direct = next((f for other, f in found.items() if other.way == "direct" and other.shape == case.shape), None)
    compared = direct is not None and case.way != "direct"
    row = [case.name, _ms(own.p50), _ms(own.p99), _ms(own.p50 - direct.p50) if direct and compared else ""]
    if case.stream:
        row += [_ms(own.first_p50), _ms(own.first_p99)]
        row += [_ms(own.first_p50 - direct.first_p50) if direct and compared else "", f"{own.pieces:.0f}"]
    return tuple(row + [""] * (len(LATENCY_HEAD) - len(row)))


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Set rows in columns: the first to the left, figures to the right, as Markdown understands it."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    ruler = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        yield "| " + " | ".join(cells) + " |"
        if number == 0:
            yield "| " + " | ".join(ruler) + " |"
