"""The provider services as the router knows them: a channel each, what they last said of themselves, and calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from meshkit import durations, tracing
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service import listed, vectors
from router_service.connection import AWAY, Connection, connect, gone, silent
from router_service.descriptions import vendor_state
from router_service.listed import Lists
from router_service.listening import Listener
from router_service.offers import Offer, VendorState

POLL_UP = 5.0
POLL_DOWN = 0.5
POLL_TIMEOUT = 3.0
# How long to wait at the start for what every provider service says of itself.
FIRST_POLL = 2.0
# Longer than a provider service waits for its vendor's word on a key.
CHECK_TIMEOUT = 20.0
# The provider service keeps the time of the vendor's silence; this much later it is silent itself.
SLACK = 0.5
WholeT = TypeVar("WholeT", provider_pb2.GenerateResponse, provider_pb2.EmbedResponse)
Event = provider_pb2.GenerateResponse | provider_pb2.StreamGenerateResponse | provider_pb2.EmbedResponse


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take, in seconds: in all, until the first piece, and between pieces."""

    total: float
    first_token: float
    idle: float


# One call that could go to any offer: all that is missing is whom to ask and how long to wait.
Ask = Callable[[Offer, Limits], AsyncGenerator[Event]]


class Vendors:
    """Connections to every vendor's provider service.

    Args:
        mesh: which vendors there are, where their provider services listen, which are switched off.
        clock: says when a description was read.
        renewed: is told of a vendor whose provider service has started anew, and of its usable slots.
    """

    def __init__(
        self, mesh: Mesh, clock: Clock, renewed: Callable[[str, Sequence[int]], None] = lambda _vendor, _slots: None
    ) -> None:
        self._mesh = mesh
        self._clock = clock
        self._renewed = renewed
        self._connections: dict[str, Connection] = {}
        self._leaving: dict[str, Connection] = {}
        self._opened: list[Connection] = []
        self._lists: Lists = {}
        self._switched_off = _switched_off(mesh)
        self._farewells: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._connections = self._open(self._mesh)
        await _described(self._connections)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for farewell in self._farewells:
            farewell.cancel()
        for connection in self._opened:
            await connection.close()

    async def prepare(self, mesh: Mesh) -> Mapping[str, Connection]:
        """Connect to what another configuration has elsewhere or in addition, and hear what it says of itself."""
        opened = self._open(mesh)
        await _described(opened)
        return opened

    def take(self, mesh: Mesh, opened: Mapping[str, Connection]) -> None:
        """Go by another configuration, with the connections prepared for it; the others go on as they are.

        What is there no longer is closed when nobody can have a request under way that was planned with it.
        """
        known = {**self._connections, **opened}
        kept = {name: known[name] for name in _enabled(mesh)}
        for name, connection in self._connections.items():
            if kept.get(name) is not connection:
                self._leaving[name] = connection
                farewell = asyncio.create_task(self._see_off(connection, 2 * self._mesh.timeouts.total))
                self._farewells.add(farewell)
                farewell.add_done_callback(self._farewells.discard)
        for name, connection in kept.items():
            connection.vendor = mesh.catalog.vendors[name]
            connection.lost.set()  # asked at once what it is now
        self._mesh, self._connections, self._switched_off = mesh, kept, _switched_off(mesh)

    def _open(self, mesh: Mesh) -> dict[str, Connection]:
        """Connect to every vendor that has no connection to where it is now."""
        opened = {}
        for name in _enabled(mesh):
            dial, known = mesh.provider_address(name).dial, self._connections.get(name)
            if known is None or known.dial != dial:
                connection = opened[name] = connect(mesh.catalog.vendors[name], dial)
                connection.poll = asyncio.create_task(self._poll(connection))
        self._opened += opened.values()
        return opened

    async def _see_off(self, connection: Connection, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._leaving.get(connection.vendor.id) is connection:
            del self._leaving[connection.vendor.id]
        self._opened = [other for other in self._opened if other is not connection]
        await connection.close()

    def states(self) -> Mapping[str, VendorState]:
        """Return what each vendor last said of itself."""
        return {**self._switched_off} | {vendor: connection.state for vendor, connection in self._connections.items()}

    def lists(self) -> Lists:
        """Return the models that vendors listed last; another mapping whenever one has changed."""
        return self._lists

    def described_at(self, vendor: str) -> float | None:
        """Return when the vendor last described itself, Unix seconds, or None."""
        connection = self._connections.get(vendor)
        return None if connection is None else connection.described_at

    async def generate(self, prompt: chat_pb2.Prompt, offer: Offer, limits: Limits) -> AsyncGenerator[Event]:
        """Call for a whole completion; yields it once.

        Raises:
            MeshError: VENDOR_*, with an AttemptFailure that says what may have been spent.
        """
        request = provider_pb2.GenerateRequest(target=_target(offer, limits), prompt=prompt)
        with tracing.span("Sent.llmmesh.provider.v1.ProviderService.Generate", tracing.SpanKind.CLIENT):
            connection = self._way(offer)
            call = connection.stub.Generate(request, timeout=limits.total, metadata=tracing.outgoing())
            yield await _whole(connection, call)

    async def embed(self, asked: router_pb2.EmbedRequest, offer: Offer, limits: Limits) -> AsyncGenerator[Event]:
        """Call for the vectors of some texts; yields them once.

        Raises:
            MeshError: VENDOR_*, with an AttemptFailure that says what may have been spent.
        """
        request = provider_pb2.EmbedRequest(
            target=_target(offer, limits),
            texts=asked.texts,
            dimensions=asked.dimensions if asked.HasField("dimensions") else None,
            input_kind=asked.input_kind,
        )
        with tracing.span("Sent.llmmesh.provider.v1.ProviderService.Embed", tracing.SpanKind.CLIENT):
            connection = self._way(offer)
            call = connection.stub.Embed(request, timeout=limits.total, metadata=tracing.outgoing())
            yield vectors.checked(await _whole(connection, call), request)

    async def stream(self, prompt: chat_pb2.Prompt, offer: Offer, limits: Limits) -> AsyncGenerator[Event]:
        """Call for a streamed completion; yields its events.

        Raises:
            MeshError: VENDOR_*, with an AttemptFailure that says what may have been spent.
        """
        request = provider_pb2.StreamGenerateRequest(target=_target(offer, limits), prompt=prompt)
        with tracing.span("Sent.llmmesh.provider.v1.ProviderService.StreamGenerate", tracing.SpanKind.CLIENT):
            connection = self._way(offer)
            call = connection.stub.StreamGenerate(request, timeout=limits.total, metadata=tracing.outgoing())
            listener = Listener(call)
            try:
                patience = limits.first_token + SLACK
                while (event := await listener.next(patience)) is not None:
                    yield event
                    patience = limits.idle + SLACK
            except grpc.aio.AioRpcError as error:
                raise connection.fault(error) from None
            except TimeoutError:
                raise silent() from None
            finally:
                listener.close()

    async def describe(self, vendor: str) -> provider_pb2.DescribeResponse:
        """Ask a provider service what it is now.

        Raises:
            MeshError: VENDOR_*; it does not answer, or the vendor is switched off.
        """
        connection = self._connection(vendor)
        try:
            return await connection.stub.Describe(provider_pb2.DescribeRequest(), timeout=CHECK_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise connection.fault(error) from None

    async def check(self, vendor: str, slot: int) -> provider_pb2.CheckCredentialsResponse.Result:
        """Have a vendor asked whether it accepts the key of a slot.

        Raises:
            MeshError: VENDOR_*; its provider service does not answer, or the vendor is switched off.
        """
        connection = self._connection(vendor)
        request = provider_pb2.CheckCredentialsRequest(slot=slot)
        try:
            checked = await connection.stub.CheckCredentials(request, timeout=CHECK_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            raise connection.fault(error) from None
        return next(iter(checked.results), provider_pb2.CheckCredentialsResponse.Result(slot=slot))

    def _connection(self, vendor: str) -> Connection:
        """Return the way to a vendor's provider service; one that is switched off has none."""
        if vendor in self._switched_off:
            raise MeshError(Reason.VENDOR_NOT_CONFIGURED, self._switched_off[vendor].detail)
        if vendor not in self._connections:
            raise gone(vendor)
        return self._connections[vendor]

    def _way(self, offer: Offer) -> Connection:
        """Return the way to an offer; a request may have been planned before its vendor was taken out.

        Raises:
            MeshError: VENDOR_NOT_CONFIGURED; it is not there any longer.
        """
        name = offer.ref.vendor
        connection = self._connections.get(name) or self._leaving.get(name)
        if connection is None:
            raise gone(name)
        return connection

    async def _poll(self, connection: Connection) -> None:
        while True:
            connection.lost.clear()
            await self._describe(connection)
            connection.asked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_DOWN if connection.state in AWAY else POLL_UP):
                    await connection.lost.wait()

    async def _describe(self, connection: Connection) -> None:
        try:
            described = await connection.stub.Describe(provider_pb2.DescribeRequest(), timeout=POLL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            connection.lose(error.code().name)
            return
        connection.described_at = self._clock.now()
        connection.state = vendor_state(connection.vendor, described)
        self._note_list(connection, described.models)
        in_use = self._connections.get(connection.vendor.id) is connection
        if in_use and described.incarnation and described.incarnation not in connection.incarnations:
            connection.incarnations.append(described.incarnation)
            self._renewed(connection.vendor.id, connection.state.slots)

    def _note_list(
        self, connection: Connection, models: Sequence[provider_pb2.DescribeResponse.DiscoveredModel]
    ) -> None:
        """Keep what a vendor lists; the same list is repeated for minutes, and reading it takes milliseconds."""
        if not models or models == connection.models:
            return
        connection.models = models
        found = listed.read(models)
        if found != self._lists.get(connection.vendor.id):
            self._lists = {**self._lists, connection.vendor.id: found}


def _enabled(mesh: Mesh) -> list[str]:
    return [name for name in mesh.catalog.vendors if mesh.vendors[name].enabled]


def _switched_off(mesh: Mesh) -> Mapping[str, VendorState]:
    return {
        vendor: VendorState(reason="disabled", detail=f"{vendor} is disabled by {settings.disabled_by}")
        for vendor, settings in mesh.vendors.items()
        if not settings.enabled
    }


async def _described(connections: Mapping[str, Connection]) -> None:
    """Wait a moment until each has been asked what it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_POLL):
            for connection in connections.values():
                await connection.asked.wait()


async def _whole(connection: Connection, call: grpc.aio.UnaryUnaryCall[Any, WholeT]) -> WholeT:
    """Await an answer that comes in one piece; who is cancelled cancels the call."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise connection.fault(error) from None
    finally:
        call.cancel()


def _target(offer: Offer, limits: Limits) -> provider_pb2.Target:
    return provider_pb2.Target(
        model=offer.ref.model,
        slot=offer.slot,
        first_token_timeout=durations.to_proto(limits.first_token),
        idle_timeout=durations.to_proto(limits.idle),
    )
