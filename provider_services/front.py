"""Fronts one vendor with the provider service that its configuration makes, and with another one when that changes."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import grpc
from llmmesh.provider.v1 import provider_pb2_grpc
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
)

from catalog.model import Vendor
from catalog.settings import Mesh
from meshkit.boundary import Context
from meshkit.clock import Clock
from meshkit.errors import StartError
from provider_services.attempts import Attempts
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Dialect
from provider_services.discovery import Discovery
from provider_services.measures import Measures
from provider_services.service import ProviderService
from provider_services.slots import ReadSlots, Slots, read_slots
from provider_services.subjects import Subjects


def dialect_of(vendor: Vendor) -> Dialect:
    """Return the vendor's dialect; raises StartError when there is none, or none with the quirks the row names."""
    dialect = DIALECTS.get(vendor.dialect)
    if dialect is None:
        raise StartError(f"{vendor.id}: unknown dialect `{vendor.dialect}`; allowed: {', '.join(DIALECTS)}")
    named = {*vendor.quirks, *(quirk for model in vendor.models.values() for quirk in model.quirks)}
    if unknown := named - dialect.quirks:
        raise StartError(
            f"{vendor.id}: unknown quirks {', '.join(sorted(unknown))}; allowed: {', '.join(sorted(dialect.quirks))}"
        )
    return dialect


@dataclass(frozen=True, slots=True)
class Made:
    """A provider service and its slots; `way` closes their connections, which were made of `wiring`."""

    service: ProviderService
    slots: Slots
    way: AsyncExitStack
    wiring: object
    incarnation: str


class Front(provider_pb2_grpc.ProviderServiceServicer):
    """The servicer of one vendor; a context manager that opens its connections.

    A call goes to the provider service that is there when it begins, and ends there.

    Args:
        vendor: its id.
        mesh: the configuration.
        env: where its keys and the proxy variables are.
        notes: what is worth a word beside the warnings of its keys.
    """

    def __init__(
        self,
        vendor: str,
        mesh: Mesh,
        env: Mapping[str, str],
        clock: Clock,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._vendor = vendor
        self._mesh = mesh
        self._env = env
        self._clock = clock
        self._notes = notes
        self._made: Made | None = None
        self._open: list[AsyncExitStack] = []
        self._farewells: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        made = await self.make(self._mesh)
        assert made is not None  # noqa: S101 - there was none before
        self._made = made
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for farewell in self._farewells:
            farewell.cancel()
        for way in self._open:
            await way.aclose()

    def register(self, server: grpc.aio.Server) -> None:
        """Add this servicer to a server."""
        provider_pb2_grpc.add_ProviderServiceServicer_to_server(self, server)

    async def make(self, mesh: Mesh) -> Made | None:
        """Make the provider service of another configuration; None when this vendor is not concerned.

        Connections are kept where the same keys call the same places.

        Raises:
            StartError: the row is impossible.
        """
        vendor = mesh.catalog.vendors.get(self._vendor)
        if vendor is None or (self._made is not None and _same(self._vendor, self._mesh, mesh)):
            return None
        dialect = dialect_of(vendor)
        read = read_slots(vendor, mesh, self._env)
        wiring = _wiring(vendor, read)
        if self._made is not None and self._made.wiring == wiring:
            slots, way, incarnation = self._made.slots, self._made.way, self._made.incarnation
        else:
            way, incarnation = AsyncExitStack(), secrets.token_hex(4)
            slots = await way.enter_async_context(Slots(vendor, read, self._env))
            self._open.append(way)
        subjects = Subjects(vendor, mesh.vendors[vendor.id].deployments)
        measures = Measures(vendor.id, vendor.provider_name, urlsplit(mesh.endpoint(vendor.id).url).hostname or "")
        attempts = Attempts(dialect, measures, subjects.label)
        service = ProviderService(
            vendor=vendor,
            subjects=subjects,
            slots=slots,
            attempts=attempts,
            discovery=Discovery(attempts, slots, vendor, subjects.subject(), self._clock),
            timeouts=mesh.timeouts,
            clock=self._clock,
            incarnation=incarnation,
        )
        return Made(service, slots, way, wiring, incarnation)

    def take(self, mesh: Mesh, made: Made | None) -> None:
        """Serve what begins from now on by another configuration; connections it does not use go when nobody can."""
        before = self._made
        if made is not None and before is not None and made.way is not before.way:
            farewell = asyncio.create_task(self._see_off(before.way, 2 * self._mesh.timeouts.total))
            self._farewells.add(farewell)
            farewell.add_done_callback(self._farewells.discard)
        self._mesh, self._made = mesh, made or before

    async def Generate(self, request: GenerateRequest, context: Context) -> GenerateResponse:
        """Generate a whole completion."""
        return await self._service.Generate(request, context)

    def StreamGenerate(self, request: StreamGenerateRequest, context: Context) -> AsyncIterator[StreamGenerateResponse]:
        """Generate a completion piece by piece."""
        return self._service.StreamGenerate(request, context)

    async def Embed(self, request: EmbedRequest, context: Context) -> EmbedResponse:
        """Turn texts into vectors."""
        return await self._service.Embed(request, context)

    async def Describe(self, request: DescribeRequest, context: Context) -> DescribeResponse:
        """Say which vendor this is and what of it can be used."""
        described = await self._service.Describe(request, context)
        described.warnings.extend(f"{name}: {note}" for name, note in self._notes().items())
        return described

    async def CheckCredentials(self, request: CheckCredentialsRequest, context: Context) -> CheckCredentialsResponse:
        """Ask the vendor whether it accepts the keys."""
        return await self._service.CheckCredentials(request, context)

    @property
    def _service(self) -> ProviderService:
        assert self._made is not None  # noqa: S101 - made when it was entered
        return self._made.service

    async def _see_off(self, way: AsyncExitStack, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._open.remove(way)
        await way.aclose()


def _same(vendor: str, before: Mesh, now: Mesh) -> bool:
    """Tell whether two configurations say the same of a vendor, as far as its provider service goes by it."""
    return (
        before.catalog.vendors.get(vendor) == now.catalog.vendors.get(vendor)
        and before.vendors[vendor] == now.vendors[vendor]
        and before.timeouts == now.timeouts
    )


def _wiring(vendor: Vendor, read: ReadSlots) -> object:
    """Return what connections and keys follow from; the environment, where the keys are, never changes."""
    places = tuple((slot.number, slot.state, slot.reason, slot.endpoint) for slot in read.states)
    return places, read.warnings, vendor.auth, vendor.headers, vendor.local, vendor.key_env
