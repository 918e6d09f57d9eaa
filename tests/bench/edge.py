"""Measures what the HTTP edge costs: `python -m tests.bench.edge [--seconds N] [--runs N] [--clients N] [--json]`.

CPU of the router's process for a whole answer over HTTP beside one over gRPC; memory of it for each open stream, idle
or reading nothing. Each figure stands beside its limit.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop

from tests.bench import streams
from tests.bench.__main__ import measure
from tests.bench.cases import CASES
from tests.bench.sandbox import sandbox

CALLERS = 16
MOST_MICROSECONDS = 350.0
MOST_KILOBYTES = 60.0


@dataclass(frozen=True)
class Figure:
    """One figure, and what it may be at most; None when nobody has said."""

    name: str
    figure: float
    unit: str
    limit: float | None = None

    def __str__(self) -> str:
        """Return it as a line."""
        verdict = "" if self.limit is None else f"  limit {self.limit:.0f}: {self._verdict()}"
        return f"{self.name:<68} {self.figure:8.1f} {self.unit}{verdict}"

    def _verdict(self) -> str:
        return "within" if self.limit is None or self.figure <= self.limit else "BEYOND"


def cpu(seconds: float, runs: int) -> list[Figure]:
    """Measure whole answers over both ways in turn; the difference is of the medians."""
    cases = {case.way: case for case in CASES if not case.stream and case.callers == CALLERS and case.way != "direct"}
    found: dict[str, list[float]] = {way: [] for way in cases}
    with sandbox() as mesh:
        for _ in range(runs):
            for way, case in cases.items():
                found[way].append(uvloop.run(measure(mesh, case, seconds)).cpu["router"])
    grpc, http = (statistics.median(found[way]) for way in ("gRPC", "HTTP"))
    told = f"router CPU of a whole answer, {CALLERS} callers"
    return [
        Figure(f"{told}, over gRPC", grpc, "µs"),
        Figure(f"{told}, over HTTP", http, "µs"),
        Figure("… what the edge costs more than gRPC", http - grpc, "µs", MOST_MICROSECONDS),
    ]


def memory(clients: int) -> list[Figure]:
    """Measure open streams."""
    return [
        Figure(
            f"router memory of each of {cost.clients} open streams, {cost.kind}",
            cost.kilobytes_each,
            "kB",
            MOST_KILOBYTES,
        )
        for cost in streams.measure_both(clients)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.edge", description="Measures the HTTP edge.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--runs", type=int, default=3, help="of each way")
    parser.add_argument("--clients", type=int, default=1_000, help="that open streams; 0: none")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    found = cpu(options.seconds, options.runs) + (memory(options.clients) if options.clients else [])
    if options.json:
        sys.stdout.write(json.dumps([asdict(figure) for figure in found]) + "\n")
        return
    sys.stdout.writelines(f"{figure}\n" for figure in found)


if __name__ == "__main__":
    main()
