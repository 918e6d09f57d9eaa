"""Says who would serve each use case at each tier now: the first offer of its plan that the ledger would hold."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog
from router_service import explain
from router_service.demand import Demand
from router_service.interface import Standing
from router_service.journey import TIER_NUMBERS, why_denied
from router_service.offers_left import MAX_OFFERS
from router_service.order import Tools
from router_service.planner import Plan, Planned


def intents(catalog: Catalog) -> Iterator[router_pb2.Intent]:
    """Give every use case at every tier, the cheapest first."""
    for use_case, tier in itertools.product(catalog.use_cases, TIER_NUMBERS.values()):
        yield router_pb2.Intent(use_case=use_case, tier=tier)


async def standing(asked: Demand, plan: Plan, tenant: str, tools: Tools) -> Standing:
    """Say who would serve a demand of a tenant; raises MeshError QUOTA_UNAVAILABLE."""
    found = Standing(asked.use_case.name, asked.tier, asked.tier == asked.use_case.default_tier)
    if tools.quota.notes():  # the ledger is silent
        allows = tools.without_ledger.allows
        going_on = (planned for planned in plan.offers if allows(planned, tenant, asked.use_case.name))
        return _served(found, next(going_on, None)) or replace(found, why_nobody="the ledger does not answer")
    left_out = (f"{each.text}: {each.detail}" for each in plan.excluded)
    why = next(left_out, "no candidate at all")
    waited_for: Planned | None = None
    for first in range(0, len(plan.offers), MAX_OFFERS):
        batch = plan.offers[first : first + MAX_OFFERS]
        answer = await tools.quota.reserve(explain.dry_run(asked, batch, tenant), explain.DEADLINE)
        named = {planned.offer.text: planned for planned in batch}
        if isinstance(answer, quota_pb2.Held):
            return _served(found, named[answer.offer]) or found
        if first == 0:
            why = f"{answer.denials[0].offer}: {why_denied(answer.denials[0])}"
        queues = (named[denial.offer] for denial in answer.denials if denial.unit == "concurrency")
        waited_for = waited_for or next(queues, None)
    return _served(found, waited_for) or replace(found, why_nobody=why)


def _served(found: Standing, planned: Planned | None) -> Standing | None:
    return None if planned is None else replace(found, offer=planned.offer.text, plan=planned.offer.plan)
