"""The router's gRPC face: reads the caller and the deadline from the call, and hands the rest to the router."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc
from llmmesh.router.v1 import router_pb2, router_pb2_grpc

from meshkit import identity
from meshkit.boundary import DEFAULT_DEADLINE
from router_service.interface import Router

Context = grpc.aio.ServicerContext[Any, Any]
NAME = router_pb2.DESCRIPTOR.services_by_name["RouterService"].full_name


class RouterServicer(router_pb2_grpc.RouterServiceServicer):
    """Serves `llmmesh.router.v1.RouterService`; a call without a deadline gets the default one, in seconds."""

    def __init__(self, router: Router, default_deadline: float = DEFAULT_DEADLINE) -> None:
        self._router = router
        self.default_deadline = default_deadline

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        router_pb2_grpc.add_RouterServiceServicer_to_server(self, server)

    async def Generate(self, request: router_pb2.GenerateRequest, context: Context) -> router_pb2.GenerateResponse:
        """Generate a whole completion."""
        return await self._router.generate(request, identity.current.get(), self._deadline(context))

    async def StreamGenerate(
        self, request: router_pb2.StreamGenerateRequest, context: Context
    ) -> AsyncGenerator[router_pb2.StreamGenerateResponse]:
        """Generate a completion piece by piece."""
        async with aclosing(self._router.stream(request, identity.current.get(), self._deadline(context))) as events:
            async for event in events:
                yield event

    async def Compare(
        self, request: router_pb2.CompareRequest, context: Context
    ) -> AsyncGenerator[router_pb2.CompareResponse]:
        """Generate completions of several models side by side."""
        async with aclosing(self._router.compare(request, identity.current.get(), self._deadline(context))) as events:
            async for event in events:
                yield event

    async def Embed(self, request: router_pb2.EmbedRequest, context: Context) -> router_pb2.EmbedResponse:
        """Turn texts into vectors."""
        return await self._router.embed(request, identity.current.get(), self._deadline(context))

    async def ExplainRoute(
        self, request: router_pb2.ExplainRouteRequest, _context: Context
    ) -> router_pb2.ExplainRouteResponse:
        """Say how a request would be served."""
        return await self._router.explain(request, identity.current.get())

    async def CountTokens(
        self, request: router_pb2.CountTokensRequest, _context: Context
    ) -> router_pb2.CountTokensResponse:
        """Estimate the tokens of a prompt."""
        return await self._router.count_tokens(request)

    async def ListModels(
        self, request: router_pb2.ListModelsRequest, _context: Context
    ) -> router_pb2.ListModelsResponse:
        """List models."""
        return await self._router.list_models(request)

    async def ListVendors(
        self, request: router_pb2.ListVendorsRequest, _context: Context
    ) -> router_pb2.ListVendorsResponse:
        """List vendors."""
        return await self._router.list_vendors(request)

    async def GetHealth(self, request: router_pb2.GetHealthRequest, _context: Context) -> router_pb2.GetHealthResponse:
        """Say how the mesh is."""
        return await self._router.health(request, identity.current.get())

    async def CheckVendors(
        self, request: router_pb2.CheckVendorsRequest, _context: Context
    ) -> AsyncGenerator[router_pb2.CheckVendorsResponse]:
        """Ask vendors whether they accept our keys."""
        identity.demand_operator()  # it costs calls
        async with aclosing(self._router.check_vendors(request)) as results:
            async for result in results:
                yield result

    async def ListBreakers(
        self, request: router_pb2.ListBreakersRequest, _context: Context
    ) -> router_pb2.ListBreakersResponse:
        """List breakers."""
        return await self._router.list_breakers(request)

    async def SetBreaker(
        self, request: router_pb2.SetBreakerRequest, _context: Context
    ) -> router_pb2.SetBreakerResponse:
        """Force a breaker, or leave it to itself."""
        identity.demand_operator()
        return await self._router.set_breaker(request)

    def _deadline(self, context: Context) -> float:
        remaining = context.time_remaining()
        return self.default_deadline if remaining is None else remaining
