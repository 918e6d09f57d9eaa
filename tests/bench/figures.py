"""Makes figures of what was measured, and the median of several runs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from tests.bench.load import Outcome
from tests.bench.processes import Reading

MESH = ("router", "quota", "providers", "supervisor")


@dataclass(frozen=True)
class Figures:
    """One run of one case, or the medians of several; CPU in microseconds per request, latency in milliseconds.

    `others` is the share of the machine that programs took which are not part of this.
    """

    requests: float
    per_second: float
    cpu: Mapping[str, float]
    mesh_cpu: float
    p50: float
    p99: float
    first_p50: float
    first_p99: float
    pieces: float
    others: float

    def plain(self) -> dict[str, object]:
        """Return it as JSON wants it."""
        return asdict(self)


def figures(outcome: Outcome, used: Reading, cores: int) -> Figures:
    """Work out the figures of one run."""
    count = len(outcome.answers)
    cpu = {name: seconds / count * 1e6 for name, seconds in used.by_name.items()}
    latency, first = outcome.latency(), outcome.first_token()
    return Figures(
        requests=count,
        per_second=count / outcome.seconds,
        cpu=cpu,
        mesh_cpu=sum(cpu[name] for name in MESH),
        p50=latency.p50,
        p99=latency.p99,
        first_p50=first.p50,
        first_p99=first.p99,
        pieces=outcome.messages(),
        others=max(0.0, used.machine - sum(used.by_name.values())) / outcome.seconds / cores,
    )


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of every figure by itself."""
    cpu = {name: median(run.cpu[name] for run in runs) for name in runs[0].cpu}
    plain = {name: median(getattr(run, name) for run in runs) for name in Figures.__dataclass_fields__ if name != "cpu"}
    return Figures(cpu=cpu, **plain)
