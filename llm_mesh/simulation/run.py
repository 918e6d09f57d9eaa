"""Runs a scenario in virtual time and counts what became of its requests."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from llmmesh.quota.v1 import quota_pb2

from catalog.limits import budget_id, limits_for
from catalog.mesh import Mesh
from catalog.offers import OfferId
from llm_mesh.simulation.scenario import Scenario
from quota_service.rehearsal import RehearsedLedger
from router_service.rehearsal import Journey, Rehearsal

# How many requests go by before the watcher hears of them.
STEP = 100


@dataclass(slots=True)
class Tally:
    """What one vendor was asked for: requests it served, what they cost by plan, and how often it had no room."""

    served: int = 0
    refused: int = 0
    cost: Counter[str] = field(default_factory=Counter)
    offers: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the requests of one span of time.

    `vendors` are in the order of the plan, `failed` says why requests were not served, and `budgets` are those that
    the offers of each vendor draw on, as they stand at the end.
    """

    start: float
    requests: int
    vendors: Mapping[str, Tally]
    failed: Mapping[str, int]
    budgets: Mapping[str, list[quota_pb2.BudgetState]]

    @property
    def served(self) -> Mapping[str, int]:
        """Return how many requests each vendor served."""
        return {vendor: tally.served for vendor, tally in self.vendors.items()}

    def cost(self, *plans: str) -> int:
        """Return what was charged under these plans, in nano-dollars."""
        return sum(tally.cost[plan] for tally in self.vendors.values() for plan in plans)


class Simulation:
    """One scenario; each run goes on with what the runs before have left of the budgets."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._ledger = RehearsedLedger(scenario.mesh)
        self._router = Rehearsal(
            scenario.mesh, self._ledger.apply, scenario.intent, scenario.sizes, callers=scenario.callers
        )

    def run(self, start: float, requests: int, advance: Callable[[int], None] = lambda _requests: None) -> Outcome:
        """Send so many requests, evenly from `start` on (Unix seconds), and tell of their progress.

        Raises:
            MeshError: the use case cannot do what is asked for.
        """
        scenario, vendors, failed = self._scenario, dict[str, Tally](), Counter[str]()
        for number in range(requests):
            journey = self._router.request(start + scenario.seconds * number / requests)
            if not number:
                for planned in journey.plan.offers:
                    vendors.setdefault(planned.offer.vendor.id, Tally()).offers[planned.offer.text] = None
            _count(journey, vendors, failed)
            if not (number + 1) % STEP:
                advance(STEP)
        advance(requests % STEP)
        end = start + scenario.seconds
        self._router.finish(end)
        standing = {budget.id: budget for budget in self._ledger.budgets(end).budgets}
        budgets = {vendor: _drawn(scenario.mesh, tally.offers, standing) for vendor, tally in vendors.items()}
        return Outcome(start, requests, vendors, failed, budgets)


def _count(journey: Journey, vendors: dict[str, Tally], failed: Counter[str]) -> None:
    """Note what became of a request."""
    for denial in journey.denials:
        vendors.setdefault(_vendor(denial.offer), Tally()).refused += 1
    attempt = journey.serving
    if attempt is None:
        failed[journey.failure(None).message] += 1
        return
    tally = vendors.setdefault(attempt.planned.offer.vendor.id, Tally())
    tally.served += 1
    tally.cost[attempt.planned.offer.plan] += attempt.usage.cost_nanos


@cache
def _vendor(offer: str) -> str:
    return OfferId.parse(offer).vendor


def _drawn(
    mesh: Mesh, offers: Iterable[str], standing: Mapping[str, quota_pb2.BudgetState]
) -> list[quota_pb2.BudgetState]:
    """Return the budgets that offers draw on, each once; places are lent, so they are left out."""
    limits = [pair for offer in offers for pair in limits_for(mesh.catalog, mesh, OfferId.parse(offer))]
    names = [budget_id(subject, limit.unit, limit.window) for subject, limit in limits if limit.unit != "concurrency"]
    return [standing[name] for name in dict.fromkeys(names) if name in standing]
