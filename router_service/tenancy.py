"""Holds every request to the rules of its tenant before anybody plans it; a `Router` in front of the router."""

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

from llmmesh.router.v1 import router_pb2

from catalog import caller_labels
from catalog.model import Catalog
from catalog.tenants import Tenant, permitted
from meshkit.errors import FieldViolation, MeshError, Reason, invalid
from meshkit.identity import Caller
from router_service.demand import DATA_POLICIES, DATA_POLICY_ORDER, TIERS, usual_use_case
from router_service.interface import Router

TIER_NUMBERS = {name: number for number, name in TIERS.items()}
POLICY_NUMBERS = {
    "": router_pb2.DATA_POLICY_UNSPECIFIED,
    "no_training": router_pb2.DATA_POLICY_NO_TRAINING,
    "local_only": router_pb2.DATA_POLICY_LOCAL_ONLY,
}
GUARANTEE_NUMBERS = {
    "fast": router_pb2.STREAM_GUARANTEE_FAST,
    "whole": router_pb2.STREAM_GUARANTEE_WHOLE,
    "restart": router_pb2.STREAM_GUARANTEE_RESTART,
}


class Tenancy:
    """Implements `interface.Router` by another one, with intents as the tenant's rules make them.

    Args:
        router: serves what is left of a request.
        catalog: returns what names in intents mean now.
        tenant: returns the rules of a tenant.
    """

    def __init__(self, router: Router, catalog: Callable[[], Catalog], tenant: Callable[[str], Tenant]) -> None:
        self._router = router
        self._catalog = catalog
        self._tenant = tenant
        self.list_models = router.list_models
        self.list_vendors = router.list_vendors
        self.health = router.health
        self.standings = router.standings
        self.fallbacks = router.fallbacks
        self.spend = router.spend
        self.list_breakers = router.list_breakers
        self.set_breaker = router.set_breaker
        self.count_tokens = router.count_tokens
        self.check_vendor = router.check_vendor
        self.check_vendors = router.check_vendors
        self.serving = router.serving

    async def generate(
        self, request: router_pb2.GenerateRequest, caller: Caller, deadline: float
    ) -> router_pb2.GenerateResponse:
        """Answer whole."""
        self._rule(request.intent, caller)
        return await self._router.generate(request, caller, deadline)

    async def stream(
        self, request: router_pb2.StreamGenerateRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.StreamGenerateResponse]:
        """Answer piece by piece."""
        self._rule(request.intent, caller)
        async with aclosing(self._router.stream(request, caller, deadline)) as events:
            async for event in events:
                yield event

    async def embed(
        self, request: router_pb2.EmbedRequest, caller: Caller, deadline: float
    ) -> router_pb2.EmbedResponse:
        """Turn texts into vectors."""
        self._rule(request.intent, caller, embeds=True)
        return await self._router.embed(request, caller, deadline)

    async def compare(
        self, request: router_pb2.CompareRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.CompareResponse]:
        """Answer by several models side by side."""
        self._rule(request.intent, caller)
        async with aclosing(self._router.compare(request, caller, deadline)) as events:
            async for event in events:
                yield event

    async def explain(self, request: router_pb2.ExplainRouteRequest, caller: Caller) -> router_pb2.ExplainRouteResponse:
        """Say how a request of this caller would be served."""
        self._rule(request.intent, caller, embeds=bool(request.texts))
        return await self._router.explain(request, caller)

    def _rule(self, intent: router_pb2.Intent, caller: Caller, *, embeds: bool = False) -> None:
        tenant = self._tenant(caller.tenant)
        if tenant != Tenant(tenant.name):
            rule(intent, tenant, self._catalog(), embeds=embeds)


def rule(intent: router_pb2.Intent, tenant: Tenant, catalog: Catalog, *, embeds: bool = False) -> None:
    """Change an intent into what the tenant's rules make of it.

    What the intent leaves open the tenant decides; a data policy becomes the stricter of both; the tenant's labels
    take the place of the caller's; only models that both allow remain.

    Raises:
        MeshError: FORBIDDEN, naming the field, when the intent names a use case or a model the tenant may not use.
    """
    _use_case(intent, tenant, catalog, embeds=embeds)
    _models(intent, tenant, catalog)
    if not intent.tier and tenant.default_tier:
        intent.tier = TIER_NUMBERS[tenant.default_tier]
    said = DATA_POLICIES.get(intent.data_policy)
    if said is not None:  # a word nobody knows is refused later
        intent.data_policy = POLICY_NUMBERS[max(said, tenant.data_policy, key=DATA_POLICY_ORDER.index)]
    if not intent.stream_guarantee and tenant.stream_guarantee:
        intent.stream_guarantee = router_pb2.StreamGuarantee.Value(
            f"STREAM_GUARANTEE_{tenant.stream_guarantee.upper()}"
        )
    for key, value in tenant.labels.items():
        intent.labels[key] = value
    if len(intent.labels) > caller_labels.MOST:
        ours = ", ".join(sorted(tenant.labels))
        raise invalid("intent.labels", f"allowed: at most {caller_labels.MOST} with those of the tenant ({ours})")


def _use_case(intent: router_pb2.Intent, tenant: Tenant, catalog: Catalog, *, embeds: bool) -> None:
    """Check what the request is for; who does not say it is taken to mean the first that is allowed."""
    if not tenant.use_cases:
        return
    purposes = [name for name in intent.requirements if catalog.use_case(name) is not None]
    named = [intent.use_case] if intent.use_case else purposes
    if not named and usual_use_case(catalog, embeds) not in tenant.use_cases:
        intent.use_case = tenant.use_cases[0]
    for name in named:
        found = catalog.use_case(name)
        if found is not None and found.name not in tenant.use_cases:
            allowed = ", ".join(tenant.use_cases)
            raise _forbidden("intent.use_case", f"use case `{found.name}`", tenant, allowed)


def _models(intent: router_pb2.Intent, tenant: Tenant, catalog: Catalog) -> None:
    """Check the models that are named, and leave only those that are allowed."""
    if not tenant.models:
        return
    named = [("model", intent.model), ("preferred_model", intent.preferred_model)]
    named += [(f"candidates[{place}]", name) for place, name in enumerate(intent.candidates)]
    for field, name in named:
        meant = [str(ref) for ref in catalog.resolve(name)]
        if meant and not any(permitted(tenant.models, model) for model in meant):
            raise _forbidden(f"intent.{field}", f"model `{name[:120]}`", tenant, ", ".join(tenant.models))
    own = tuple(intent.allow_models)
    del intent.allow_models[:]
    intent.allow_models.extend(_both(tenant.models, own, catalog) if own else tenant.models)


def _both(ours: tuple[str, ...], theirs: tuple[str, ...], catalog: Catalog) -> Iterable[str]:
    """Name every model that both allow; when there is none, what no model is called."""
    models = [str(ref) for ref in catalog.refs()]
    return [model for model in models if permitted(ours, model) and permitted(theirs, model)] or ["-"]


def _forbidden(field: str, what: str, tenant: Tenant, allowed: str) -> MeshError:
    return MeshError(
        Reason.FORBIDDEN,
        f"tenant `{tenant.name}` may not use {what}; allowed: {allowed}",
        fields=[FieldViolation(field, f"allowed for this tenant: {allowed}")],
    )
