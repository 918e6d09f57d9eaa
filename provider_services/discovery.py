"""Finds out which models a vendor lists and whether a local server answers, without asking more often than it must."""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from catalog.model import Vendor
from meshkit import logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason
from provider_services import failures
from provider_services.attempts import Attempts
from provider_services.dialects.interface import Subject
from provider_services.slots import Slots
from provider_services.watch import Patience

# Shorter than a router waits for a description: a server that hangs must not make its provider service look dead.
PATIENCE = Patience(connect=1.0, first=2.0, idle=2.0, total=2.0)
# Seconds a finding stays good: of a local server that answered, of one that did not, of a vendor's list, of a list that
# could not be had.
FRESH = 10.0
DEAD = 2.0
LISTED = 600.0
UNLISTED = 60.0
# How often in a row a server that has answered before may be silent and still counts as busy.
SILENCES = 3
log = logs.get("discovery")


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
        self._problem = ""
        self._silences = 0
        self._unread: Mapping[str, str] = {}
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def look(self) -> None:
        """Ask the vendor again if what is known is old; never raises."""
        listed = self._vendor.local or self._vendor.open_models
        if not listed or not self._slots.usable or self._retired:
            return
        async with self._asking:
            if self._clock.monotonic() - self._asked >= self._good_for():
                await self._ask()

    def _good_for(self) -> float:
        if self._vendor.local:
            return DEAD if self._problem or self._silences else FRESH
        return UNLISTED if self._problem or self._silences else LISTED

    async def _ask(self) -> None:
        line = self._slots.line(self._slots.usable[0])
        before = self._problem
        try:
            self._models = await self._attempts.models(line, self._subject, PATIENCE)
            self._problem, self._silences = "", 0
        except MeshError as error:
            self._silences += 1
            if not self._only_busy(error):
                self._problem = error.message
        self._asked = self._clock.monotonic()
        if self._problem and not before:
            log.warning("no list of models", vendor=self._vendor.id, why=self._problem, local=self._vendor.local)
        elif before and not self._problem:
            log.info("lists its models again", vendor=self._vendor.id)
        self._tell_of_prices()
        now = int(self._clock.now())
        for model in self._models:
            model.listed_at.FromSeconds(now)

    def _only_busy(self, error: MeshError) -> bool:
        """Tell whether a server that answered a moment ago merely has too much to do: no reason to leave it."""
        silent = error.reason in (Reason.VENDOR_SILENT, Reason.VENDOR_INCOMPLETE)
        return silent and bool(self._models) and not self._problem and self._silences < SILENCES

    def _tell_of_prices(self) -> None:
        """Log which prices of the list could not be read, once as long as they are the same."""
        unread = {model.id: model.price_problem for model in self._models if model.price_problem}
        if unread and unread != self._unread:
            model, why = next(iter(unread.items()))
            log.warning("prices not read", vendor=self._vendor.id, models=len(unread), first=model, why=why)
        self._unread = unread

    @property
    def models(self) -> Sequence[DescribeResponse.DiscoveredModel]:
        """The models listed last."""
        return self._models

    @property
    def unreachable(self) -> str:
        """Why a local server cannot be used; empty when it can, or when nobody asked."""
        return self._problem if self._vendor.local else ""

    def refuse_retired(self) -> None:
        """Refuse to ask a vendor that has ended; raises MeshError VENDOR_RETIRED."""
        if self._retired:
            message = f"{self._vendor.id} ended on {self._vendor.retired_on}"
            raise failures.failure(Reason.VENDOR_RETIRED, message, failures.NOTHING)

    @property
    def _retired(self) -> bool:
        return self._vendor.retired_by(dt.datetime.fromtimestamp(self._clock.now(), dt.UTC).date())
