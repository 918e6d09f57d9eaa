"""A connection to one vendor's provider service, and what its failures mean."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc

from catalog.model import Vendor
from meshkit import logs, status
from meshkit.channel import open_channel
from meshkit.errors import MeshError, Reason
from router_service.breakers import OWN_HOP
from router_service.offers import LOST, UNDESCRIBED, VendorState

AWAY = (UNDESCRIBED, LOST)
# How many starts of provider services of one vendor are remembered: more than it has replicas.
INCARNATIONS = 64
# gRPC's own words for "no connection was ever made". A connection that was reset may have carried the call.
NEVER_CONNECTED = (
    "failed to connect",
    "connections to all backends failing",
    "connection refused",
    "resolution failed",
)
log = logs.get("vendors")


@dataclass(slots=True)
class Connection:
    """The channel to one vendor's provider service, and what it last said of itself."""

    vendor: Vendor
    dial: str
    channel: grpc.aio.Channel
    stub: provider_pb2_grpc.ProviderServiceAsyncStub
    state: VendorState = UNDESCRIBED
    described_at: float | None = None
    models: Sequence[provider_pb2.DescribeResponse.DiscoveredModel] = ()
    # Several, for replicas answer in turns; a restarted one is new.
    incarnations: deque[str] = field(default_factory=lambda: deque(maxlen=INCARNATIONS))
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    poll: asyncio.Task[None] | None = None

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

    async def close(self) -> None:
        """Ask no more, and close the channel."""
        if self.poll is not None:
            self.poll.cancel()
        await self.channel.close()


def connect(vendor: Vendor, dial: str) -> Connection:
    """Make a connection that nobody asks anything yet."""
    channel = open_channel(dial)
    return Connection(vendor, dial, channel, provider_pb2_grpc.ProviderServiceStub(channel))


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


def silent() -> MeshError:
    """Make the error for a provider service that says nothing at all."""
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_UNKNOWN, retryable=True)
    return MeshError(Reason.VENDOR_SILENT, "its provider service is silent", details=[failure])


def gone(vendor: str) -> MeshError:
    """Make the error for a vendor that a newer configuration no longer has."""
    failure = provider_pb2.AttemptFailure(sent=provider_pb2.AttemptFailure.SENT_NOTHING, retryable=True)
    return MeshError(Reason.VENDOR_NOT_CONFIGURED, f"{vendor} is configured no longer", details=[failure])
