"""Measures the whole mesh: `python -m tests.bench [--json] [--seconds N] [--runs N] [--only TEXT]`."""

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence

import uvloop

from tests.bench import machine, processes
from tests.bench.cases import CASES, Case
from tests.bench.figures import Figures, figures
from tests.bench.load import closed_loop
from tests.bench.report import Report
from tests.bench.sandbox import Sandbox, sandbox

WARM_UP_SECONDS = 1.0


async def measure(mesh: Sandbox, case: Case, seconds: float) -> Figures:
    """Measure one case once, after a warm-up."""
    await mesh.pace(case.token_milliseconds)
    async with case.call(mesh) as call:
        await closed_loop(call, case.callers, WARM_UP_SECONDS)
        gc.collect()
        before = processes.read(mesh.pids)
        outcome = await closed_loop(call, case.callers, seconds)
        used = processes.read(mesh.pids).since(before)
    return figures(outcome, used, os.cpu_count() or 1)


def measure_all(cases: Sequence[Case], seconds: float, runs: int) -> Report:
    """Measure every case in turn, several times over, so that a slow minute of the machine hits all of them."""
    load_before = os.getloadavg()[0]
    found: dict[Case, list[Figures]] = {case: [] for case in cases}
    with sandbox() as mesh:
        at_start = processes.resident_megabytes(mesh.pids)
        for number in range(runs):
            for case in cases:
                sys.stderr.write(f"run {number + 1} of {runs}: {case.name}\n")
                found[case].append(uvloop.run(measure(mesh, case, seconds)))
        memory = {name: (at_start[name], now) for name, now in processes.resident_megabytes(mesh.pids).items()}
    return Report(machine.describe(load_before), seconds, found, memory)


def main() -> None:
    """Measure and print; only a broken mesh is a failure."""
    options = _options()
    report = measure_all([case for case in CASES if options.only in case.name], options.seconds, options.runs)
    text = json.dumps(report.plain(), indent=1) if options.json else report.text()
    sys.stdout.write(text + "\n")


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measures the mesh; judges nothing.")
    parser.add_argument("--json", action="store_true", help="print all runs as JSON")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run of each case")
    parser.add_argument("--runs", type=int, default=3, help="of each case")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name has this in it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
