"""A cheaper tier never chooses a dearer model: over every set of keys and plans, and by the running mesh."""

import collections
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


def with_every_plan(catalogue):
    """Give, as mesh.yaml says it, a slot for every plan of every vendor, and those slots."""
    plans = {vendor.id: dict(enumerate(vendor.plans, start=1)) for vendor in catalogue.vendors.values()}
    vendors = {
        vendor: {"slots": {str(slot): {"plan": plan} for slot, plan in of_vendor.items()}}
        for vendor, of_vendor in plans.items()
    }
    return {"vendors": vendors}, [(vendor, slot) for vendor, slots in plans.items() for slot in slots]


def some_of(slots):
    """Give all slots, each alone, and any two: of more, only the two that two tiers choose matter to these."""
    yield tuple(slots)
    yield from itertools.chain.from_iterable(itertools.combinations(slots, size) for size in (1, 2))


def states(slots):
    """Tell which slots of each vendor have a key."""
    found = collections.defaultdict(list)
    for vendor, slot in slots:
        found[vendor].append(slot)
    return {vendor: VendorState(slots=tuple(numbers)) for vendor, numbers in found.items()}


def rising(prices):
    """Tell whether no price is below the one before it; tiers that nobody serves are left out."""
    told = [price for price in prices if price is not None]
    return told == sorted(told)


@pytest.mark.product("P-OPS-25")
def test_with_any_set_of_keys_and_plans_a_cheaper_tier_chooses_a_model_that_costs_no_more(tmp_path, catalogue):
    prompt, texts = prompt_facts.read(chat_pb2.Prompt()), prompt_facts.read_texts(["a text"], 0)
    config, slots = with_every_plan(catalogue)
    (tmp_path / "mesh.yaml").write_text(yaml.safe_dump(config))
    mesh = load_mesh(tmp_path / "mesh.yaml", {})
    planner = Planner(mesh, Estimator())
    asked = {
        name: [
            demand.read(router_pb2.Intent(use_case=name, tier=tier), facts, mesh.catalog, mesh.tiers, TODAY)
            for tier in TIERS.values()
        ]
        for name, facts in ((name, texts if name == "embedding" else prompt) for name in mesh.use_cases)
    }
    for chosen in some_of(slots):
        signals = Signals(TODAY, states(chosen))
        for use_case, tiers in asked.items():
            plans = [planner.plan(each, signals).offers for each in tiers]
            prices = [offers[0].offer.blended_price if offers else None for offers in plans]
            assert rising(prices), (chosen, use_case)


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
