"""The router: reads a request, plans it, pursues it, and tells how it went."""

import datetime as dt
import secrets
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from meshkit.identity import Caller
from router_service import breaker_control, demand, explain, key_checks, listing, prompt_facts, report, validation
from router_service.attempt import Attempt
from router_service.demand import Demand
from router_service.journey import Journey
from router_service.listed import View
from router_service.offers import Signals
from router_service.order import Order, Tools
from router_service.prompt_facts import PromptFacts
from router_service.pursuit import Pursuit
from router_service.requests import Requests
from router_service.turns import Turns
from router_service.vendor_list import VendorList

WholeT = TypeVar("WholeT", provider_pb2.GenerateResponse, provider_pb2.EmbedResponse)


class MeshRouter:
    """Implements `interface.Router` over one configuration."""

    def __init__(self, mesh: Mesh, tools: Tools) -> None:
        self._tools = tools
        self._seen = View(mesh, tools.estimator)
        self._requests = Requests(tools.clock)
        self._turns = Turns()
        self._vendor_list = VendorList(mesh, tools.vendors, tools.breakers, tools.rejections, tools.clock)

    async def generate(
        self, request: router_pb2.GenerateRequest, caller: Caller, deadline: float
    ) -> router_pb2.GenerateResponse:
        """Answer whole."""
        journey, order = self._prepare(request, caller, deadline, streamed=False)
        answer, attempt, route = await self._whole(journey, order, provider_pb2.GenerateResponse)
        return router_pb2.GenerateResponse(completion=_priced(answer.completion, attempt, journey.demand), route=route)

    async def embed(
        self, request: router_pb2.EmbedRequest, caller: Caller, deadline: float
    ) -> router_pb2.EmbedResponse:
        """Turn texts into vectors of one model."""
        validation.check_texts(request)
        asked = self._read_texts(request.intent, request.texts, request.dimensions)
        journey = self._journey(request.request_id, asked)
        ask = partial(self._tools.vendors.embed, request)
        order = Order(journey.request_id, caller.tenant, ask, self._tools.clock.monotonic() + deadline)
        answer, attempt, route = await self._whole(journey, order, provider_pb2.EmbedResponse)
        return router_pb2.EmbedResponse(
            embeddings=answer.embeddings,
            usage=attempt.usage,
            route=route,
            warnings=[*answer.warnings, *_notices(asked)],
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
                            yield _start(journey, attempt)
                        if event.HasField("deltas"):
                            yield _deltas(event.deltas)
                        else:
                            entry.route = journey.route()
                            yield _finish(event.finish, attempt, entry.route, journey.demand)

    async def explain(self, request: router_pb2.ExplainRouteRequest, caller: Caller) -> router_pb2.ExplainRouteResponse:
        """Say how a request would be served; send and hold nothing."""
        asked = self._read_explained(request)
        plan = self._view.planner.plan(asked, self._signals())
        return await explain.explain(asked, plan, caller.tenant, self._tools.quota)

    async def list_models(self, request: router_pb2.ListModelsRequest) -> router_pb2.ListModelsResponse:
        """List models with price, capabilities and status."""
        return listing.models(self._view.catalog, self._tools.vendors.states(), request, self._today())

    async def list_vendors(self, _request: router_pb2.ListVendorsRequest) -> router_pb2.ListVendorsResponse:
        """List vendors with their slots and budgets."""
        return self._vendor_list.told(await self._tools.quota.budgets())

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
        journey = self._journey(request.request_id, asked)
        vendors = self._tools.vendors
        order = Order(
            request_id=journey.request_id,
            tenant=caller.tenant,
            ask=partial(vendors.stream if streamed else vendors.generate, _with_defaults(request.prompt, asked)),
            deadline=self._tools.clock.monotonic() + deadline,
            streamed=streamed,
            held_back=asked.guarantee == "whole",
            restarts=asked.guarantee == "restart",
        )
        return journey, order

    def _journey(self, request_id: str, asked: Demand) -> Journey:
        request_id = request_id or uuid.UUID(bytes=secrets.token_bytes(16), version=4).hex
        plan = self._view.planner.plan(asked, self._signals())
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
            entry.route = journey.route()
            answer, attempt = answers[-1]
            return answer, attempt, entry.route

    def _read(self, intent: router_pb2.Intent, prompt: chat_pb2.Prompt) -> Demand:
        return self._demand(intent, prompt_facts.read(prompt))

    def _read_texts(self, intent: router_pb2.Intent, texts: Sequence[str], dimensions: int) -> Demand:
        return self._demand(intent, prompt_facts.read_texts(texts, dimensions))

    def _read_explained(self, request: router_pb2.ExplainRouteRequest) -> Demand:
        """Read what is to be explained; where only an intent is given, its first model says for which work."""
        validation.check_explained(request)
        untold = not request.prompt.messages and demand.suggests_vectors(request.intent, self._view.catalog)
        if request.texts or untold:
            return self._read_texts(request.intent, request.texts, request.dimensions)
        return self._read(request.intent, request.prompt)

    def _demand(self, intent: router_pb2.Intent, facts: PromptFacts) -> Demand:
        view = self._view
        return demand.read(intent, facts, view.catalog, view.mesh.tiers, self._today())

    @property
    def _view(self) -> View:
        return self._seen.now(self._tools.vendors.lists())

    def _signals(self) -> Signals:
        tools = self._tools
        return Signals(self._today(), tools.vendors.states(), tools.breakers.open_until(), self._turns.now())

    def _today(self) -> dt.date:
        return dt.datetime.fromtimestamp(self._tools.clock.now(), dt.UTC).date()


def _with_defaults(prompt: chat_pb2.Prompt, asked: Demand) -> chat_pb2.Prompt:
    """Return the prompt with the use case's defaults where the caller said nothing."""
    use_case = asked.use_case
    if use_case.temperature is None and use_case.max_output_tokens is None and not use_case.system:
        return prompt
    filled = chat_pb2.Prompt()
    filled.CopyFrom(prompt)
    if use_case.temperature is not None and not prompt.sampling.HasField("temperature"):
        filled.sampling.temperature = use_case.temperature
    if use_case.max_output_tokens is not None and not prompt.sampling.HasField("max_output_tokens"):
        filled.sampling.max_output_tokens = use_case.max_output_tokens
    if use_case.system and not any(message.role == chat_pb2.ROLE_SYSTEM for message in prompt.messages):
        system = chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM)
        system.parts.add().text.text = use_case.system
        filled.messages.insert(0, system)
    return filled


def _notices(asked: Demand) -> list[chat_pb2.Warning]:
    return [chat_pb2.Warning(code="retired", field="intent.model", message=notice) for notice in asked.notices]


def _priced(completion: chat_pb2.Completion, attempt: Attempt, asked: Demand) -> chat_pb2.Completion:
    completion.usage.CopyFrom(attempt.usage)
    completion.warnings.extend(_notices(asked))
    return completion


def _start(journey: Journey, attempt: Attempt) -> router_pb2.StreamGenerateResponse:
    start = router_pb2.StreamGenerateResponse.Start(request_id=journey.request_id, offer=attempt.offer_text)
    return router_pb2.StreamGenerateResponse(start=start)


def _deltas(told: provider_pb2.StreamGenerateResponse.Deltas) -> router_pb2.StreamGenerateResponse:
    response = router_pb2.StreamGenerateResponse()
    response.deltas.deltas.MergeFrom(told.deltas)
    return response


def _finish(
    told: provider_pb2.StreamGenerateResponse.Finish, attempt: Attempt, route: router_pb2.Route, asked: Demand
) -> router_pb2.StreamGenerateResponse:
    finish = router_pb2.StreamGenerateResponse.Finish(
        choices=told.choices,
        usage=attempt.usage,
        route=route,
        warnings=[*told.warnings, *_notices(asked)],
        vendor_model=told.vendor_model,
    )
    return router_pb2.StreamGenerateResponse(finish=finish)
