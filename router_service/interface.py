"""What the router can do, as its gRPC face, its HTTP edge and its console see it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from llmmesh.quota.v1 import quota_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.identity import Caller


@dataclass(frozen=True, slots=True)
class Standing:
    """Who would serve a use case at a tier now, `offer` by its `plan`; nobody, and why, when `offer` is empty.

    `usual` says that it is the tier of requests that name none.
    """

    use_case: str
    tier: str
    usual: bool
    offer: str = ""
    plan: str = ""
    why_nobody: str = ""


@dataclass(frozen=True, slots=True)
class Fallback:
    """A request that another than the first choice served: `at` in Unix seconds, `reason` in one word."""

    at: float
    use_case: str
    tier: str
    wanted: str
    offer: str
    reason: str


class Router(Protocol):
    """Serves callers; every method raises MeshError and nothing else on purpose.

    `deadline` is the number of seconds the caller will wait from now.
    """

    async def generate(
        self, request: router_pb2.GenerateRequest, caller: Caller, deadline: float
    ) -> router_pb2.GenerateResponse:
        """Answer whole."""

    def stream(
        self, request: router_pb2.StreamGenerateRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.StreamGenerateResponse]:
        """Answer piece by piece: start, deltas, one finish. Close the iterator to cancel."""

    async def embed(
        self, request: router_pb2.EmbedRequest, caller: Caller, deadline: float
    ) -> router_pb2.EmbedResponse:
        """Turn texts into vectors of one model."""

    def compare(
        self, request: router_pb2.CompareRequest, caller: Caller, deadline: float
    ) -> AsyncGenerator[router_pb2.CompareResponse]:
        """Answer by several models side by side, each on its own hold. Close the iterator to cancel them all."""

    async def explain(self, request: router_pb2.ExplainRouteRequest, caller: Caller) -> router_pb2.ExplainRouteResponse:
        """Say how a request would be served; send and hold nothing."""

    async def count_tokens(self, request: router_pb2.CountTokensRequest) -> router_pb2.CountTokensResponse:
        """Estimate how many tokens a prompt is for each model that might serve it; send and hold nothing."""

    async def list_models(self, request: router_pb2.ListModelsRequest) -> router_pb2.ListModelsResponse:
        """List models with price, capabilities and status."""

    async def list_vendors(self, request: router_pb2.ListVendorsRequest) -> router_pb2.ListVendorsResponse:
        """List vendors with their state and budgets."""

    async def health(self, request: router_pb2.GetHealthRequest, caller: Caller) -> router_pb2.GetHealthResponse:
        """Say whether the mesh can serve and who would, what is used and left, and what is broken."""

    async def standings(self) -> tuple[Standing, ...]:
        """Say who would serve a short request of each use case and tier now, if tenant `local` asked."""

    def fallbacks(self) -> tuple[Fallback, ...]:
        """Return the last requests that another than the first choice served, as this router saw them, newest first."""

    async def spend(self, request: quota_pb2.QuerySpendRequest) -> quota_pb2.QuerySpendResponse:
        """Sum what was spent, of all tenants: for operators."""

    def check_vendor(self, name: str) -> None:
        """Refuse a name that is neither a vendor's id nor an alias; UNKNOWN_VENDOR names those there are."""

    def check_vendors(self, request: router_pb2.CheckVendorsRequest) -> AsyncGenerator[router_pb2.CheckVendorsResponse]:
        """Ask vendors whether they accept our keys; tell of each slot once, in the order of the answers."""

    async def list_breakers(self, request: router_pb2.ListBreakersRequest) -> router_pb2.ListBreakersResponse:
        """List breakers, the closed ones too."""

    async def set_breaker(self, request: router_pb2.SetBreakerRequest) -> router_pb2.SetBreakerResponse:
        """Force a breaker open or closed in the whole mesh, or leave it to itself again."""

    def serving(self) -> str | None:
        """Return None when requests can be served, else why not."""
