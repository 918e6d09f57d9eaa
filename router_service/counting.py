"""Answers CountTokens: what a prompt is for each model of a plan, and for those that were left out of it."""

from collections.abc import Mapping

from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog, ModelRef, cost_nanos
from router_service.demand import Demand
from router_service.estimate import Estimator
from router_service.planner import Plan


def count(asked: Demand, plan: Plan, catalog: Catalog, estimator: Estimator) -> router_pb2.CountTokensResponse:
    """Count for the planned models in their order, then for the other candidates, each with why it would not serve."""
    planned = {f"{each.offer.ref}": each.offer.ref for each in plan.offers}
    others = {f"{ref}": ref for ref in asked.candidates if f"{ref}" not in planned}
    why = _reasons(plan)
    response = router_pb2.CountTokensResponse()
    for name, ref in {**planned, **others}.items():
        told = _counted(asked, ref, catalog, estimator)
        told.left_out = why.get(name, "") if name in others else ""
        response.counts.append(told)
    return response


def _counted(asked: Demand, ref: ModelRef, catalog: Catalog, estimator: Estimator) -> router_pb2.TokenCount:
    model, name = catalog.vendors[ref.vendor].models[ref.model], f"{ref}"
    told = router_pb2.TokenCount(
        model=name,
        input_tokens=estimator.input_tokens(asked.facts, name),
        output_tokens=estimator.output_tokens(
            asked.facts, asked.use_case.max_output_tokens, name, model.max_output_tokens
        ),
        learned_from=estimator.learned_from(name),
        context_window=model.context_window,
    )
    if model.price is not None:
        told.list_cost_nanos = cost_nanos(model.price, told.input_tokens, told.output_tokens)
    return told


def _reasons(plan: Plan) -> Mapping[str, str]:
    """Return why each model was left out; of several offers of one the first says it."""
    reasons: dict[str, str] = {}
    for excluded in plan.excluded:
        reasons.setdefault(excluded.text.partition("#")[0], excluded.detail)
    return reasons
