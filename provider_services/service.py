"""Serves one vendor over gRPC: the provider contract's five calls."""

from collections.abc import AsyncIterator

from google.protobuf.duration_pb2 import Duration
from llmmesh.provider.v1.provider_pb2 import (
    CheckCredentialsRequest,
    CheckCredentialsResponse,
    DescribeRequest,
    DescribeResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    GenerateResponse,
    StreamGenerateRequest,
    StreamGenerateResponse,
    Target,
)
from llmmesh.provider.v1.provider_pb2_grpc import ProviderServiceServicer

from catalog.model import Vendor
from catalog.settings import Timeouts
from meshkit.boundary import Context
from meshkit.clock import Clock
from meshkit.errors import MeshError
from provider_services.attempts import Attempts
from provider_services.dialects.faults import duration
from provider_services.discovery import Discovery
from provider_services.slots import Slots
from provider_services.subjects import Subjects
from provider_services.watch import Patience

VERSION = "0.1.0"
CHECK = Patience(connect=5.0, first=10.0, idle=10.0, total=15.0)


class ProviderService(ProviderServiceServicer):
    """The servicer of one vendor.

    Args:
        vendor: its row.
        subjects, slots, attempts, discovery: its models, keys, wire and findings.
        timeouts: how long to wait when a request does not say.
        incarnation: tells this start from every other.
    """

    def __init__(
        self,
        *,
        vendor: Vendor,
        subjects: Subjects,
        slots: Slots,
        attempts: Attempts,
        discovery: Discovery,
        timeouts: Timeouts,
        clock: Clock,
        incarnation: str,
    ) -> None:
        self._vendor = vendor
        self._subjects = subjects
        self._slots = slots
        self._attempts = attempts
        self._discovery = discovery
        self._timeouts = timeouts
        self._clock = clock
        self._incarnation = incarnation

    async def Generate(self, request: GenerateRequest, context: Context) -> GenerateResponse:
        """Generate a whole completion."""
        call = self._subjects.call(request.target, request.prompt, stream=False)
        line = self._slots.line(request.target.slot)
        return await self._attempts.generate(line, call, self._patience(request.target, whole=True))

    def StreamGenerate(self, request: StreamGenerateRequest, context: Context) -> AsyncIterator[StreamGenerateResponse]:
        """Generate a completion piece by piece."""
        call = self._subjects.call(request.target, request.prompt, stream=True)
        line = self._slots.line(request.target.slot)
        return self._attempts.stream(line, call, self._patience(request.target, whole=False))

    async def Embed(self, request: EmbedRequest, context: Context) -> EmbedResponse:
        """Turn texts into vectors."""
        call = self._subjects.embed_call(request)
        line = self._slots.line(request.target.slot)
        return await self._attempts.embed(line, call, self._patience(request.target, whole=True))

    async def Describe(self, request: DescribeRequest, context: Context) -> DescribeResponse:
        """Say which vendor this is and what of it can be used."""
        await self._discovery.look()
        return DescribeResponse(
            vendor=self._vendor.id,
            dialect=self._vendor.dialect,
            slots=self._described_slots(),
            models=self._discovery.models,
            version=VERSION,
            endpoint_host=next((self._slots.line(number).upstream.host for number in self._slots.usable), ""),
            incarnation=self._incarnation,
            warnings=self._slots.warnings,
        )

    async def CheckCredentials(self, request: CheckCredentialsRequest, context: Context) -> CheckCredentialsResponse:
        """Ask the vendor whether it accepts the keys."""
        numbers = [request.slot] if request.slot else [slot.number for slot in self._slots.states]
        return CheckCredentialsResponse(results=[await self._check(number) for number in numbers])

    async def _check(self, number: int) -> CheckCredentialsResponse.Result:
        result = CheckCredentialsResponse.Result(slot=number)
        began = self._clock.monotonic()
        try:
            self._discovery.refuse_retired()
            await self._attempts.prove(self._slots.line(number), self._subjects.subject(), CHECK)
            result.accepted = True
        except MeshError as error:
            result.reason, result.message = error.reason.value, error.message
        result.latency.CopyFrom(duration(self._clock.monotonic() - began))
        return result

    def _described_slots(self) -> list[DescribeResponse.Slot]:
        unreachable = self._discovery.unreachable
        described = []
        for slot in self._slots.states:
            state, reason = slot.state, slot.reason
            if unreachable and state == DescribeResponse.STATE_CONFIGURED:
                state, reason = DescribeResponse.STATE_UNREACHABLE, unreachable
            described.append(DescribeResponse.Slot(slot=slot.number, state=state, reason=reason))
        return described

    def _patience(self, target: Target, *, whole: bool) -> Patience:
        """Return how long to wait; the first piece of a whole answer is all of it."""
        limits = self._timeouts
        first = limits.total if whole else limits.first_token[self._subjects.model_class(target.model)]
        if target.HasField("first_token_timeout"):
            first = _seconds(target.first_token_timeout)
        idle = _seconds(target.idle_timeout) if target.HasField("idle_timeout") else limits.idle
        return Patience(connect=limits.connect, first=first, idle=idle, total=limits.total)


def _seconds(length: Duration) -> float:
    return length.seconds + length.nanos / 1e9
