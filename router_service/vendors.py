"""The provider services as the router knows them: a channel each, what they last said of themselves, and calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc
from llmmesh.router.v1 import router_pb2

from catalog.mesh import Mesh
from catalog.model import Vendor
from meshkit import durations, logs, status, tracing
from meshkit.channel import open_channel
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from router_service import listed, vectors
from router_service.breakers import OWN_HOP
from router_service.descriptions import vendor_state
from router_service.listed import Lists
from router_service.listening import Listener
from router_service.offers import LOST, UNDESCRIBED, Offer, VendorState

POLL_UP = 5.0
POLL_DOWN = 0.5
POLL_TIMEOUT = 3.0
# How long to wait at the start for what every provider service says of itself.
FIRST_POLL = 2.0
# How many starts of provider services of one vendor are remembered: more than it has replicas.
INCARNATIONS = 64
# Longer than a provider service waits for its vendor's word on a key.
CHECK_TIMEOUT = 20.0
AWAY = (UNDESCRIBED, LOST)
# gRPC's own words for "no connection was ever made". A connection that was reset may have carried the call.
NEVER_CONNECTED = (
    "failed to connect",
    "connections to all backends failing",
    "connection refused",
    "resolution failed",
)
# The provider service keeps the time of the vendor's silence; this much later it is silent itself.
SLACK = 0.5
WholeT = TypeVar("WholeT", provider_pb2.GenerateResponse, provider_pb2.EmbedResponse)
log = logs.get("vendors")
Event = provider_pb2.GenerateResponse | provider_pb2.StreamGenerateResponse | provider_pb2.EmbedResponse


@dataclass(slots=True)
class _Connection:
    vendor: Vendor
    stub: provider_pb2_grpc.ProviderServiceAsyncStub
    state: VendorState = UNDESCRIBED
    described_at: float | None = None
    models: Sequence[provider_pb2.DescribeResponse.DiscoveredModel] = ()
    # Several, for replicas answer in turns; a restarted one is new.
    incarnations: deque[str] = field(default_factory=lambda: deque(maxlen=INCARNATIONS))
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def fault(self, error: grpc.aio.AioRpcError) -> MeshError:
        """Explain a failed call; a provider service that is gone gets no other one before it has described itself."""
        fault = vendor_error(error)
        if OWN_HOP in fault.metadata:
            self.lose(error.code().name)
            self.lost.set()
        return fault

    def lose(self, code: str) -> None:
        """Note that the provider service is gone."""
        if self.state not in AWAY:
            log.warning("provider_service_lost", vendor=self.vendor.id, code=code)
        self.state = UNDESCRIBED if self.described_at is None else LOST


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
        self._connections: dict[str, _Connection] = {}
        self._lists: Lists = {}
        self._switched_off = {
            vendor: VendorState(reason="disabled", detail=f"{vendor} is disabled by {settings.disabled_by}")
            for vendor, settings in mesh.vendors.items()
            if not settings.enabled
        }
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for vendor in self._mesh.catalog.vendors.values():
            if not self._mesh.vendors[vendor.id].enabled:
                continue
            target = self._mesh.provider_address(vendor.id).dial
            channel = await self._stack.enter_async_context(open_channel(target))
            self._connections[vendor.id] = _Connection(vendor, provider_pb2_grpc.ProviderServiceStub(channel))
        self._polls = [asyncio.create_task(self._poll(c)) for c in self._connections.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_POLL):
                for connection in self._connections.values():
                    await connection.asked.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for poll in self._polls:
            poll.cancel()
        await self._stack.aclose()

    def states(self) -> Mapping[str, VendorState]:
        """Return what each vendor last said of itself."""
        return self._switched_off | {vendor: connection.state for vendor, connection in self._connections.items()}

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
            connection = self._connections[offer.ref.vendor]
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
            connection = self._connections[offer.ref.vendor]
            call = connection.stub.Embed(request, timeout=limits.total, metadata=tracing.outgoing())
            yield vectors.checked(await _whole(connection, call), request)

    async def stream(self, prompt: chat_pb2.Prompt, offer: Offer, limits: Limits) -> AsyncGenerator[Event]:
        """Call for a streamed completion; yields its events.

        Raises:
            MeshError: VENDOR_*, with an AttemptFailure that says what may have been spent.
        """
        request = provider_pb2.StreamGenerateRequest(target=_target(offer, limits), prompt=prompt)
        with tracing.span("Sent.llmmesh.provider.v1.ProviderService.StreamGenerate", tracing.SpanKind.CLIENT):
            connection = self._connections[offer.ref.vendor]
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
                raise _silent() from None
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

    def _connection(self, vendor: str) -> _Connection:
        """Return the way to a vendor's provider service; one that is switched off has none."""
        if vendor in self._switched_off:
            raise MeshError(Reason.VENDOR_NOT_CONFIGURED, self._switched_off[vendor].detail)
        return self._connections[vendor]

    async def _poll(self, connection: _Connection) -> None:
        while True:
            connection.lost.clear()
            await self._describe(connection)
            connection.asked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_DOWN if connection.state in AWAY else POLL_UP):
                    await connection.lost.wait()

    async def _describe(self, connection: _Connection) -> None:
        try:
            described = await connection.stub.Describe(provider_pb2.DescribeRequest(), timeout=POLL_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            connection.lose(error.code().name)
            return
        connection.described_at = self._clock.now()
        connection.state = vendor_state(connection.vendor, described)
        self._note_list(connection, described.models)
        if described.incarnation and described.incarnation not in connection.incarnations:
            connection.incarnations.append(described.incarnation)
            self._renewed(connection.vendor.id, connection.state.slots)

    def _note_list(
        self, connection: _Connection, models: Sequence[provider_pb2.DescribeResponse.DiscoveredModel]
    ) -> None:
        """Keep what a vendor lists; the same list is repeated for minutes, and reading it takes milliseconds."""
        if not models or models == connection.models:
            return
        connection.models = models
        found = listed.read(models)
        if found != self._lists.get(connection.vendor.id):
            self._lists = {**self._lists, connection.vendor.id: found}


async def _whole(connection: _Connection, call: grpc.aio.UnaryUnaryCall[Any, WholeT]) -> WholeT:
    """Await an answer that comes in one piece; who is cancelled cancels the call."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise connection.fault(error) from None
    finally:
        call.cancel()


def vendor_error(error: grpc.aio.AioRpcError) -> MeshError:
    """Rebuild the vendor's error; a provider service that died says nothing, so what was sent is inferred."""
    told = status.from_rpc_error(error)
    if told.detail(provider_pb2.AttemptFailure) is not None:
        return told
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_UNKNOWN, retryable=True)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return MeshError(Reason.VENDOR_SILENT, "the vendor took too long", details=[failure])
    words = (error.details() or "").lower()
    if error.code() is grpc.StatusCode.UNAVAILABLE and any(phrase in words for phrase in NEVER_CONNECTED):
        failure.sent = provider_pb2.AttemptFailure.SENT_NOTHING
        return _own_hop(Reason.VENDOR_UNREACHABLE, "its provider service does not answer", failure)
    if told.reason is not Reason.INTERNAL:
        return MeshError(told.reason, told.message, fields=told.fields, retry_after=told.retry_after, details=[failure])
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return _own_hop(Reason.VENDOR_INCOMPLETE, "its provider service broke off", failure)
    return MeshError(Reason.VENDOR_INCOMPLETE, "its provider service broke off", details=[failure])


def _own_hop(reason: Reason, message: str, failure: provider_pb2.AttemptFailure) -> MeshError:
    return MeshError(reason, message, metadata={OWN_HOP: "provider"}, details=[failure])


def _silent() -> MeshError:
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_UNKNOWN, retryable=True)
    return MeshError(Reason.VENDOR_SILENT, "its provider service is silent", details=[failure])


def _target(offer: Offer, limits: Limits) -> provider_pb2.Target:
    return provider_pb2.Target(
        model=offer.ref.model,
        slot=offer.slot,
        first_token_timeout=durations.to_proto(limits.first_token),
        idle_timeout=durations.to_proto(limits.idle),
    )
