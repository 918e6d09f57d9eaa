"""Answers ExplainRoute: the plan of a request, and whether the ledger would have room for each offer now."""

import asyncio
import secrets
from collections.abc import Iterable

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from router_service.demand import Demand
from router_service.journey import TIER_NUMBERS, why_denied
from router_service.planner import Plan, Planned
from router_service.quota_client import QuotaClient

DEADLINE = 10.0


async def explain(asked: Demand, plan: Plan, tenant: str, quota: QuotaClient) -> router_pb2.ExplainRouteResponse:
    """Tell the plan, with a dry-run reserve for each offer."""
    answers = await asyncio.gather(*(_would_hold(planned, asked, tenant, quota) for planned in plan.offers))
    return router_pb2.ExplainRouteResponse(
        offers=[_offer(planned, answer) for planned, answer in zip(plan.offers, answers, strict=True)],
        excluded=[
            router_pb2.ExcludedOffer(offer=exclusion.text, reason=exclusion.reason, detail=exclusion.detail)
            for exclusion in plan.excluded
        ],
        use_case=asked.use_case.name,
        tier=TIER_NUMBERS[asked.tier],
        strategy=asked.use_case.strategy,
        price_cap_nanos=asked.price_cap,
    )


async def _would_hold(
    planned: Planned, asked: Demand, tenant: str, quota: QuotaClient
) -> quota_pb2.Held | quota_pb2.Denied:
    return await quota.reserve(dry_run(asked, [planned], tenant), DEADLINE)


def dry_run(asked: Demand, offers: Iterable[Planned], tenant: str) -> quota_pb2.Reserve:
    """Make the reserve of such a request, to be decided and not held."""
    return quota_pb2.Reserve(
        attempt_id=f"dry-run/{secrets.token_hex(8)}",
        tenant=tenant,
        use_case=asked.use_case.name,
        offers=[planned.amounts() for planned in offers],
        dry_run=True,
        tier=asked.tier,
        beyond_share=asked.use_case.spread_share > 0 and not asked.spreads,
    )


def _offer(planned: Planned, answer: quota_pb2.Held | quota_pb2.Denied) -> router_pb2.PlannedOffer:
    told = router_pb2.PlannedOffer(
        offer=planned.offer.text,
        plan=planned.offer.plan,
        blended_price_nanos=planned.offer.blended_price or 0,
        input_tokens=planned.input_tokens,
        output_tokens=planned.output_tokens,
        cost_nanos=planned.cost,
        has_room=isinstance(answer, quota_pb2.Held),
    )
    if isinstance(answer, quota_pb2.Denied):
        denial = answer.denials[0]
        told.limiting_budget = denial.budget
        told.why_no_room = why_denied(denial)
        if denial.HasField("retry_after"):
            told.retry_after.CopyFrom(denial.retry_after)
    return told
