"""The router: reads a request, plans it, pursues it, and tells how it went."""

import asyncio
import datetime as dt
import itertools
import secrets
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from meshkit.errors import MeshError
from meshkit.identity import LOCAL, Caller
from router_service import (
    breaker_control,
    comparison,
    counting,
    demand,
    explain,
    key_checks,
    listing,
    prompt_defaults,
    prompt_facts,
    replies,
    report,
    standings,
    validation,
)
from router_service.attempt import Attempt
from router_service.conversations import Conversations
from router_service.demand import Demand
from router_service.interface import Fallback, Standing
from router_service.journey import Journey
from router_service.lately import Lately
from router_service.listed import View
from router_service.offers import Signals
from router_service.order import Order, Tools
from router_service.prompt_facts import PromptFacts
from router_service.pursuit import Pursuit
from router_service.requests import Requests
from router_service.snapshot import Snapshot
from router_service.turns import Turns, of_conversation

WholeT = TypeVar("WholeT", provider_pb2.GenerateResponse, provider_pb2.EmbedResponse)


class MeshRouter:
    """Implements `interface.Router` over one configuration at a time: a request keeps the one it began with."""

    def __init__(self, mesh: Mesh, tools: Tools) -> None:
        self._requests = Requests(tools.clock)
        self._turns = Turns()
        self._conversations = Conversations()
        self._chances = itertools.count(secrets.randbits(32))
        self._lately = Lately(tools.clock)
        self._snapshot = Snapshot(mesh, tools, self._lately)

    def snapshot(self, mesh: Mesh) -> Snapshot:
        """Make what follows from another configuration; changes nothing, and may be called in a thread.

        Raises:
            StartError: it asks for a strategy that this router does not have.
        """
        return Snapshot(mesh, self._tools, self._lately)

    def take(self, snapshot: Snapshot) -> None:
        """Serve what begins from now on by another configuration."""
        self._snapshot = snapshot

    @property
    def mesh(self) -> Mesh:
        """The configuration that counts now."""
        return self._snapshot.mesh

    async def generate(
        self, request: router_pb2.GenerateRequest, caller: Caller, deadline: float
    ) -> router_pb2.GenerateResponse:
        """Answer whole."""
        journey, order = self._prepare(request, caller, deadline, streamed=False)
        answer, attempt, route = await self._whole(journey, order, provider_pb2.GenerateResponse)
        completion = replies.priced(answer.completion, attempt, journey.demand)
        return router_pb2.GenerateResponse(completion=completion, route=route)

    async def embed(
        self, request: router_pb2.EmbedRequest, caller: Caller, deadline: float
    ) -> router_pb2.EmbedResponse:
        """Turn texts into vectors of one model."""
        validation.check_texts(request)
        asked = self._read_texts(request.intent, request.texts, request.dimensions)
        journey = self._journey(request.request_id, asked, caller.tenant, streamed=False)
        ask = partial(self._tools.vendors.embed, request)
        order = Order(journey.request_id, caller.tenant, ask, self._tools.clock.monotonic() + deadline)
        answer, attempt, route = await self._whole(journey, order, provider_pb2.EmbedResponse)
        return router_pb2.EmbedResponse(
            embeddings=answer.embeddings,
            usage=attempt.usage,
            route=route,
            warnings=[*answer.warnings, *replies.notices(asked)],
            vendor_model=answer.vendor_model,
        )

    async def stream(
        self, request: router_pb2.StreamGenerateRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.StreamGenerateResponse]:
        """Answer piece by piece: start, deltas, one finish."""
        journey, order = self._prepare(request, caller, deadline, streamed=True)
        with self._requests.enter(caller.tenant, journey.request_id) as entry:
            started: Attempt | None = None
            with report.following(journey, self._tools.clock):
                async with aclosing(Pursuit(self._tools, order, journey).events()) as events:
                    async for attempt, event in events:
                        if not isinstance(event, provider_pb2.StreamGenerateResponse):
                            continue
                        if attempt is not started:
                            started = attempt
                            yield replies.start(journey, attempt)
                        if event.HasField("deltas"):
                            yield replies.deltas(event.deltas)
                        else:
                            self._served(journey, order)
                            entry.route = journey.route()
                            self._lately.served(journey)
                            yield replies.finish(event.finish, attempt, entry.route, journey.demand)

    async def compare(
        self, request: router_pb2.CompareRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.CompareResponse]:
        """Answer by several models side by side; what is wrong whoever answers is refused before any is asked."""
        validation.check(request.request_id, request.prompt, comparison.faults(request))
        self._read(request.intent, request.prompt)
        ends = self._tools.clock.monotonic() + deadline

        def stream(asked: router_pb2.StreamGenerateRequest) -> AsyncGenerator[router_pb2.StreamGenerateResponse]:
            return self.stream(asked, caller, ends - self._tools.clock.monotonic())

        async with aclosing(comparison.compare(request, stream, self._tools.clock)) as events:
            async for event in events:
                yield event

    async def explain(self, request: router_pb2.ExplainRouteRequest, caller: Caller) -> router_pb2.ExplainRouteResponse:
        """Say how a request would be served; send and hold nothing."""
        asked = self._read_explained(request)
        plan = self._view.planner.plan(asked, self._signals(asked, caller.tenant, streamed=True))
        return await explain.explain(asked, plan, caller.tenant, self._tools.quota)

    async def count_tokens(self, request: router_pb2.CountTokensRequest) -> router_pb2.CountTokensResponse:
        """Estimate how many tokens a prompt is for each model that might serve it."""
        asked = self._read_explained(request)
        plan = self._view.planner.plan(asked, self._signals(asked, "", streamed=True))
        return counting.count(asked, plan, self._view.catalog, self._tools.estimator)

    async def list_models(self, request: router_pb2.ListModelsRequest) -> router_pb2.ListModelsResponse:
        """List models with price, capabilities and status."""
        return listing.models(self._view.catalog, self._tools.vendors.states(), request, self._today())

    async def list_vendors(self, _request: router_pb2.ListVendorsRequest) -> router_pb2.ListVendorsResponse:
        """List vendors with their slots and budgets."""
        return self._snapshot.vendor_list.told(await self._tools.quota.read.budgets())

    async def health(self, _request: router_pb2.GetHealthRequest, caller: Caller) -> router_pb2.GetHealthResponse:
        """Say how the mesh is, for a request like the last one that left the choice to it."""
        try:
            asked = self._read(self._lately.intent, chat_pb2.Prompt())
        except MeshError:  # what it named has been taken out of the configuration since
            asked = self._read(router_pb2.Intent(), chat_pb2.Prompt())
        plan = self._view.planner.plan(asked, self._signals(asked, caller.tenant, streamed=True))
        return await self._snapshot.health.told(asked, plan, caller.tenant, self.serving())

    async def standings(self) -> tuple[Standing, ...]:
        """Say who would serve a short request of each use case and tier now."""
        found = []
        for intent in standings.intents(self._view.catalog):
            asked = self._read_explained(router_pb2.ExplainRouteRequest(intent=intent))
            plan = self._view.planner.plan(asked, self._signals(asked, LOCAL.tenant, streamed=True))
            found.append(standings.standing(asked, plan, LOCAL.tenant, self._tools))
        return tuple(await asyncio.gather(*found))

    def fallbacks(self) -> tuple[Fallback, ...]:
        """Return the last requests that another than the first choice served, the newest first."""
        return tuple(reversed(self._lately.fallbacks))

    async def spend(self, request: quota_pb2.QuerySpendRequest) -> quota_pb2.QuerySpendResponse:
        """Sum what was spent, of all tenants."""
        return await self._tools.quota.read.spend(request)

    def check_vendor(self, name: str) -> None:
        """Refuse a name that is neither a vendor's id nor an alias."""
        demand.vendor_named(name, "provider", self._view.catalog)

    async def check_vendors(
        self, request: router_pb2.CheckVendorsRequest
    ) -> AsyncGenerator[router_pb2.CheckVendorsResponse]:
        """Ask vendors whether they accept our keys; tell of each slot once, in the order of the answers."""
        named = key_checks.named(self._view.catalog, request.vendors)
        async with aclosing(key_checks.check(named, self._tools.vendors, self._tools.rejections)) as told:
            async for result in told:
                yield result

    async def list_breakers(self, _request: router_pb2.ListBreakersRequest) -> router_pb2.ListBreakersResponse:
        """List breakers, the closed ones too."""
        return breaker_control.listed(self._tools.breakers, self._tools.clock)

    async def set_breaker(self, request: router_pb2.SetBreakerRequest) -> router_pb2.SetBreakerResponse:
        """Force a breaker open or closed in the whole mesh, or leave it to itself again."""
        tools = self._tools
        return breaker_control.forced(request, self._view.catalog, tools.breakers, tools.clock)

    def serving(self) -> str | None:
        """Return None when requests can be served, else why not."""
        today, vendors = self._today(), self._view.catalog.vendors
        states = self._tools.vendors.states().items()
        if any(state.slots and not vendors[vendor].retired_by(today) for vendor, state in states):
            return None
        return "no vendor is active; `llm-mesh vendors` says why"

    def _prepare(
        self,
        request: router_pb2.GenerateRequest | router_pb2.StreamGenerateRequest,
        caller: Caller,
        deadline: float,
        *,
        streamed: bool,
    ) -> tuple[Journey, Order]:
        validation.check(request.request_id, request.prompt)
        asked = self._read(request.intent, request.prompt)
        journey = self._journey(request.request_id, asked, caller.tenant, streamed=streamed)
        ask = self._tools.vendors.stream if streamed else self._tools.vendors.generate
        order = Order(
            request_id=journey.request_id,
            tenant=caller.tenant,
            ask=partial(ask, prompt_defaults.filled(request.prompt, asked.use_case)),
            deadline=self._tools.clock.monotonic() + deadline,
            streamed=streamed,
            held_back=asked.guarantee == "whole",
            restarts=asked.guarantee == "restart",
        )
        return journey, order

    def _journey(self, request_id: str, asked: Demand, tenant: str, *, streamed: bool) -> Journey:
        request_id = request_id or uuid.UUID(bytes=secrets.token_bytes(16), version=4).hex
        plan = self._view.planner.plan(asked, self._signals(asked, tenant, streamed=streamed))
        self._turns.take(plan.shared)
        return Journey(request_id, asked, plan)

    async def _whole(
        self, journey: Journey, order: Order, kind: type[WholeT]
    ) -> tuple[WholeT, Attempt, router_pb2.Route]:
        """Pursue an answer that comes in one piece; return it, who served it, and how."""
        with self._requests.enter(order.tenant, order.request_id) as entry:
            with report.following(journey, self._tools.clock):
                async with aclosing(Pursuit(self._tools, order, journey).events()) as events:
                    answers = [(event, attempt) async for attempt, event in events if isinstance(event, kind)]
            self._served(journey, order)
            entry.route = journey.route()
            self._lately.served(journey)
            answer, attempt = answers[-1]
            return answer, attempt, entry.route

    def _read(self, intent: router_pb2.Intent, prompt: chat_pb2.Prompt) -> Demand:
        return self._demand(intent, prompt_facts.read(prompt))

    def _read_texts(self, intent: router_pb2.Intent, texts: Sequence[str], dimensions: int) -> Demand:
        return self._demand(intent, prompt_facts.read_texts(texts, dimensions))

    def _read_explained(self, request: router_pb2.ExplainRouteRequest | router_pb2.CountTokensRequest) -> Demand:
        """Read what is to be explained or counted; of an intent alone, its first model says for which work."""
        validation.check_explained(request)
        untold = not request.prompt.messages and demand.suggests_vectors(request.intent, self._view.catalog)
        if request.texts or untold:
            dimensions = request.dimensions if isinstance(request, router_pb2.ExplainRouteRequest) else 0
            return self._read_texts(request.intent, request.texts, dimensions)
        return self._read(request.intent, request.prompt)

    def _demand(self, intent: router_pb2.Intent, facts: PromptFacts) -> Demand:
        return self._view.demands.read(intent, facts, self._today())

    @property
    def _view(self) -> View:
        return self._snapshot.view

    @property
    def _tools(self) -> Tools:
        return self._snapshot.tools

    def _served(self, journey: Journey, order: Order) -> None:
        """Remember who served a conversation."""
        if journey.serving is not None:
            now = self._tools.clock.monotonic()
            self._conversations.served(order.tenant, journey.demand.conversation, journey.serving.offer_text, now)

    def _signals(self, asked: Demand, tenant: str, *, streamed: bool) -> Signals:
        tools, conversation = self._tools, asked.conversation
        now = tools.clock.monotonic()
        return Signals(
            today=self._today(),
            vendors=tools.vendors.states(),
            open_breakers=tools.breakers.open_until(),
            turns=self._turns.now(),
            wait=tools.speeds.wait(now, streamed=streamed),
            chance=of_conversation(conversation) if conversation else next(self._chances),
            last_offer=self._conversations.last_offer(tenant, conversation, now),
        )

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._tools.clock.now(), dt.UTC).date()
