"""Finds out which models a vendor lists and whether a local server answers, without asking more often than it must."""

import asyncio
import datetime as dt
from collections.abc import Sequence

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.model import Vendor
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from provider_services import failures
from provider_services.attempts import Attempts
from provider_services.dialects.interface import Subject
from provider_services.slots import Slots
from provider_services.watch import Patience

PATIENCE = Patience(connect=1.0, first=3.0, idle=3.0, total=5.0)
FRESH = 10.0  # seconds a finding about a local server stays good; one found dead is asked again as soon
LISTED = 600.0  # seconds a list of models stays good


class Discovery:
    """What was found out about one vendor.

    Args:
        attempts, slots, subject: how to ask it.
        vendor: its row. A server of ours may not be running and is asked before every answer that is not fresh; the
            list of another matters when models outside the catalogue may be called. One that has ended is not asked.
    """

    def __init__(self, attempts: Attempts, slots: Slots, vendor: Vendor, subject: Subject, clock: Clock) -> None:
        self._attempts = attempts
        self._slots = slots
        self._vendor = vendor
        self._subject = subject
        self._clock = clock
        self._models: Sequence[DescribeResponse.DiscoveredModel] = ()
        self._unreachable = ""
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def look(self) -> None:
        """Ask the vendor again if what is known is old; never raises."""
        vendor = self._vendor
        if not (vendor.local or vendor.open_models) or not self._slots.usable or self._retired:
            return
        async with self._asking:
            age = self._clock.monotonic() - self._asked
            if age < (FRESH if vendor.local else LISTED):
                return
            await self._ask()

    async def _ask(self) -> None:
        line = self._slots.line(self._slots.usable[0])
        try:
            self._models = await self._attempts.models(line, self._subject, PATIENCE)
            self._unreachable = ""
        except MeshError as error:
            self._unreachable = error.message
        self._asked = self._clock.monotonic()
        now = int(self._clock.now())
        for model in self._models:
            model.listed_at.FromSeconds(now)

    @property
    def models(self) -> Sequence[DescribeResponse.DiscoveredModel]:
        """The models listed last."""
        return self._models

    @property
    def unreachable(self) -> str:
        """Why a local server cannot be used; empty when it can, or when nobody asked."""
        return self._unreachable if self._vendor.local else ""

    def refuse_retired(self) -> None:
        """Refuse to ask a vendor that has ended; raises MeshError VENDOR_RETIRED."""
        if self._retired:
            message = f"{self._vendor.id} ended on {self._vendor.retired_on}"
            raise failures.failure(Reason.VENDOR_RETIRED, message, failures.NOTHING)

    @property
    def _retired(self) -> bool:
        return self._vendor.retired_by(dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date())
