"""A cheaper tier never chooses a dearer model: over every set of keys and plans, and by the running mesh."""

import datetime as dt
import itertools

import pytest
import yaml
from fixtures.customer import TIERS
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import load_mesh
from router_service import demand, prompt_facts
from router_service.estimate import Estimator
from router_service.offers import Signals, VendorState
from router_service.planner import Planner

TODAY = dt.date(2026, 11, 20)


def paid_or_free(catalogue):
    """Give the ways vendors may be paid for, as mesh.yaml says it: none, one alone, all but one, all."""
    both = [vendor.id for vendor in catalogue.vendors.values() if {"free", "paid"} <= set(vendor.plans)]
    for paid in {(), *itertools.combinations(both, 1), *itertools.combinations(both, len(both) - 1), tuple(both)}:
        yield {"vendors": {vendor: {"slots": {"1": {"plan": "paid"}}} for vendor in paid}}


def some_of(vendors):
    """Give every set of up to three vendors with a key, and all of them."""
    yield tuple(vendors)
    yield from itertools.chain.from_iterable(itertools.combinations(vendors, size) for size in (1, 2, 3))


def rising(prices):
    """Tell whether no price is below the one before it; tiers that nobody serves are left out."""
    told = [price for price in prices if price is not None]
    return told == sorted(told)


@pytest.mark.product("P-OPS-25")
def test_with_any_set_of_keys_and_plans_a_cheaper_tier_chooses_a_model_that_costs_no_more(tmp_path, catalogue):
    facts = prompt_facts.read(chat_pb2.Prompt())
    for config in paid_or_free(catalogue):
        (tmp_path / "mesh.yaml").write_text(yaml.safe_dump(config))
        mesh = load_mesh(tmp_path / "mesh.yaml", {})
        planner = Planner(mesh, Estimator())
        asked = {
            use_case: [
                demand.read(router_pb2.Intent(use_case=use_case, tier=tier), facts, mesh.catalog, mesh.tiers, TODAY)
                for tier in TIERS.values()
            ]
            for use_case in mesh.use_cases
        }
        for vendors in some_of(list(catalogue.vendors)):
            signals = Signals(TODAY, {vendor: VendorState(slots=(1,)) for vendor in vendors})
            for use_case, tiers in asked.items():
                plans = [planner.plan(each, signals).offers for each in tiers]
                assert rising([offers[0].offer.blended_price if offers else None for offers in plans]), (
                    config,
                    vendors,
                    use_case,
                )


@pytest.mark.product("P-OPS-25")
def test_the_running_mesh_advises_the_same_and_follows_its_advice(whole, catalogue):
    for use_case in catalogue.use_cases:
        plans = [whole.explain(use_case=use_case, tier=tier).offers for tier in TIERS.values()]
        assert rising([offers[0].blended_price_nanos if offers else None for offers in plans]), use_case
    costs = []
    for tier in TIERS.values():
        usage = whole.generate("say: one two three", use_case="code_generation", tier=tier).completion.usage
        costs.append(usage.cost_nanos)
    assert costs == sorted(costs)
