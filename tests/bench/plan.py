"""Measures what planning one request costs: `python -m tests.bench.plan [--json]`.

CPU of this process from the intent as it came to the offers in order, the names resolved; the prompt has been measured
before. Every request is another one: other sizes, now and then a count of a vendor to learn from.
"""

import argparse
import datetime as dt
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import count
from time import process_time

from fixtures.small_mesh import catalog, mesh, model, price, use_case, vendor
from llmmesh.router.v1 import router_pb2

from catalog.loader import load_catalog
from catalog.mesh import Mesh, load_mesh
from router_service.demand import Reader
from router_service.estimate import Estimator
from router_service.offers import Signals, VendorState
from router_service.planner import Plan, Planner
from router_service.prompt_facts import PromptFacts
from tests.bench import machine
from tests.bench.cpu import Figure, a_figure

REQUESTS, ROUNDS = 200, 25
TODAY = dt.date(2026, 11, 29)
LIMITS = {6: 60.0, 100: 600.0}
STRATEGIES = ("priority", "cheapest", "fastest", "balanced", "spread", "weighted")


def a_mesh(offers: int, strategy: str, *, listed: bool) -> Mesh:
    """Return a mesh of so many offers, five of each vendor where there are many."""
    each = 5 if offers > 10 else 1
    vendors = [
        vendor(f"v{n}", *(model(f"m{m}", price=price(0.1 + n / 100 + m / 1000)) for m in range(each)))
        for n in range(offers // each)
    ]
    names = tuple(f"{known.id}/{name}" for known in vendors for name in known.models)
    needs = {"spread": {"spread_share": 1_000}, "weighted": {"weights": {known.id: 1.0 for known in vendors}}}
    case = use_case(strategy=strategy, candidates={"standard": names} if listed else {}, **needs.get(strategy, {}))
    return mesh(catalog(*vendors, use_cases=(case,)))


def planning(made: Mesh, intent: router_pb2.Intent) -> Callable[[], Plan]:
    """Return what plans one request after the other."""
    estimator, numbers = Estimator(), count()
    planner, demands = Planner(made, estimator), Reader(made.catalog, made.tiers)
    states = {name: VendorState(slots=(1,)) for name in made.catalog.vendors}

    def plan() -> Plan:
        number = next(numbers)
        facts = PromptFacts(text_bytes=200 + number % 997, messages=1 + number % 3, max_output_tokens=300)
        asked = demands.read(intent, facts, TODAY)
        signals = Signals(TODAY, states, chance=number, wait=lambda text: len(text) / 100)
        made_plan = planner.plan(asked, signals)
        if number % 10 == 0:
            estimator.learn(facts, made_plan.offers[0].offer.model_text, 100 + number % 50, 200)
        return made_plan

    return plan


def of_round(plan: Callable[[], Plan], offers: int) -> float:
    """Return the microseconds one plan takes now."""
    begun = process_time()
    for _ in range(REQUESTS):
        made = plan()
    spent = (process_time() - begun) / REQUESTS * 1e6
    if len(made.offers) != offers:
        raise SystemExit(f"{len(made.offers)} offers instead of {offers}")
    return spent


def figures() -> Iterator[Figure]:
    """Measure small meshes under each strategy, then the shipped catalogue."""
    for offers, most in LIMITS.items():
        for strategy in STRATEGIES:
            plan = planning(a_mesh(offers, strategy, listed=True), router_pb2.Intent())
            yield a_figure(f"{offers} offers, {strategy}", [of_round(plan, offers) for _ in range(ROUNDS)], most)
    unlisted = planning(a_mesh(100, "cheapest", listed=False), router_pb2.Intent())
    yield a_figure("100 offers, none listed", [of_round(unlisted, 100) for _ in range(ROUNDS)], LIMITS[100])
    shipped = load_mesh(None, {}, load_catalog())
    chain = planning(shipped, router_pb2.Intent(use_case="conversation", tier=router_pb2.TIER_FREE))
    offers = len(chain().offers)
    yield a_figure(
        f"the shipped free chain, {offers} offers", [of_round(chain, offers) for _ in range(ROUNDS)], LIMITS[6]
    )


def main() -> None:
    """Measure and print; a figure beyond its limit is told, and is no failure of the program."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plan", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    found = list(figures())
    where = machine.describe(before)
    if options.json:
        plain = {"machine": where.plain(), "figures": [asdict(figure) for figure in found]}
        sys.stdout.write(json.dumps(plain, indent=1) + "\n")
        return
    head = f"{'microseconds of CPU for one plan':<58} {'least':>7} {'median':>7} {'limit':>7}"
    sys.stdout.write("\n".join([where.sentence(), "", head, *map(str, found)]) + "\n")


if __name__ == "__main__":
    main()
