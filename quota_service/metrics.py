"""What the ledger shows to Prometheus: how full budgets are, what was decided, how batches fare."""

from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from quota_service.operations import Answer, Denied, Held, Operation, Refused, Reserve
from quota_service.standing import Standing
from quota_service.stores.protocol import Applied
from quota_service.thresholds import Crossing

LABELS = ("subject", "unit", "window")
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.0003, 0.001, 0.003, 0.006, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class Metrics:
    """Counters of decisions and batches, with their children cached."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        decisions = Counter("mesh_quota_decisions", "Reserves decided.", ["outcome"], registry=registry)
        self._held = decisions.labels("held")
        self._denied = decisions.labels("denied")
        self._refused = decisions.labels("refused")
        self._overage = Counter(
            "mesh_quota_overage", "Charged beyond what was held, in the unit.", ["unit"], registry=registry
        )
        self._lapsed = Counter("mesh_holds_lapsed", "Holds nobody ended in time.", registry=registry)
        self._late = Counter("mesh_settles_late", "Settles of holds that had lapsed.", registry=registry)
        self._waiting = Gauge("mesh_quota_waiting", "Callers who wait for room.", registry=registry)
        self._size = Histogram(
            "mesh_quota_batch_operations", "Operations in one batch.", buckets=SIZES, registry=registry
        )
        self._seconds = Histogram(
            "mesh_quota_batch_seconds",
            "Time to apply one batch and make it durable.",
            buckets=SECONDS,
            registry=registry,
        )

        self._warnings = Counter(
            "mesh_quota_warnings", "So much of a budget was used.", [*LABELS, "percent"], registry=registry
        )
        self._events = Counter(
            "mesh_ledger_events", "What befell the ledger's store: losses, restarts.", ["event"], registry=registry
        )
        self._recovering = Gauge(
            "mesh_ledger_recovering", "Hard budgets are closed because the store lost something.", registry=registry
        )

    def batch(self, size: int, seconds: float, applied: Applied) -> None:
        """Count one batch."""
        if size:
            self._size.observe(size)
            self._seconds.observe(seconds)
        if applied.lapsed:
            self._lapsed.inc(applied.lapsed)
        if applied.late:
            self._late.inc(applied.late)
        for event in applied.events:
            self._events.labels(event).inc()
        self._recovering.set(applied.recovering)
        for unit, amount in applied.overage.items():
            self._overage.labels(unit).inc(amount)

    def warned(self, crossing: Crossing) -> None:
        """Count that a budget has reached a threshold."""
        budget = crossing.row.budget
        self._warnings.labels(budget.subject, budget.unit, budget.window.label, str(crossing.percent)).inc()

    def waiting(self, callers: int) -> None:
        """Tell how many callers wait for room."""
        self._waiting.set(callers)

    def decided(self, operation: Operation, answer: Answer) -> None:
        """Count what became of a reserve; questions without consequence do not count."""
        if not isinstance(operation, Reserve) or operation.dry_run:
            return
        if isinstance(answer, Held):
            self._held.inc()
        elif isinstance(answer, Denied):
            self._denied.inc()
        elif isinstance(answer, Refused):
            self._refused.inc()


class BudgetCollector(Collector):
    """Reads the budgets at each scrape; only declared ones, so the number of series is bounded by configuration."""

    def __init__(self, look: Callable[[], Standing]) -> None:
        self._look = look

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the series without reading anything: called when registered."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges as they stand."""
        seen = self._look()
        limit, used, held, external, open_holds = _families()
        for standing in seen.budgets:
            labels = (standing.budget.subject, standing.budget.unit, standing.budget.window.label)
            limit.add_metric(labels, standing.limit)
            used.add_metric(labels, standing.used)
            held.add_metric(labels, standing.held)
            external.add_metric(labels, standing.external)
        open_holds.add_metric((), seen.open_holds)
        yield from (limit, used, held, external, open_holds)


def _families() -> tuple[GaugeMetricFamily, ...]:
    return (
        GaugeMetricFamily("mesh_quota_limit", "The limit of a budget that counts.", labels=LABELS),
        GaugeMetricFamily("mesh_quota_used", "Settled in the current window.", labels=LABELS),
        GaugeMetricFamily("mesh_quota_held", "Held in the current window.", labels=LABELS),
        GaugeMetricFamily("mesh_quota_external", "Used at the vendor by others, as observed.", labels=LABELS),
        GaugeMetricFamily("mesh_quota_open_holds", "Holds that are open."),
    )
