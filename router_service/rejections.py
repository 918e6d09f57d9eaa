"""Remembers whose key its vendor rejected, and has the ledger open a slot again once its key may be another or works.

The ledger keeps requests away from a rejected key for some minutes; then one of them tries it again. What is remembered
here outlasts that: a key nobody has tried since is still a rejected one.
"""

from collections.abc import Collection, Iterable, Mapping

from llmmesh.quota.v1 import quota_pb2

from catalog.mesh import Mesh
from catalog.offers import OfferId
from meshkit import durations, logs
from router_service.observations import REJECTED_SECONDS
from router_service.quota_client import QuotaClient

log = logs.get("keys")


class Rejections:
    """The keys that were rejected, as far as this router has seen."""

    def __init__(self, mesh: Mesh, quota: QuotaClient) -> None:
        self._mesh = mesh
        self._quota = quota
        self._slots: dict[str, set[int]] = {}

    def take(self, mesh: Mesh) -> None:
        """Go by another configuration."""
        self._mesh = mesh

    @property
    def slots(self) -> Mapping[str, Collection[int]]:
        """The slots whose keys were rejected, by vendor."""
        return self._slots

    def rejected(self, vendor: str, slot: int) -> None:
        """A call was refused for its key; its fault closes the slot."""
        slots = self._slots.setdefault(vendor, set())
        if slot not in slots:
            slots.add(slot)
            log.warning("key_rejected", vendor=vendor, slot=slot)

    def served(self, vendor: str, slot: int) -> None:
        """A call was answered: its key works."""
        if slot in self._slots.get(vendor, ()):
            self._accepted(vendor, slot)

    def checked(self, vendor: str, slot: int, *, accepted: bool) -> None:
        """The vendor was asked about a key."""
        if accepted:
            self._accepted(vendor, slot)
            return
        self.rejected(vendor, slot)
        pause = durations.to_proto(REJECTED_SECONDS)
        said = quota_pb2.Observe(offer=self._offer(vendor, slot), scope="slot", reason="auth", closed_for=pause)
        self._quota.observe(said)

    def renewed(self, vendor: str, slots: Iterable[int]) -> None:
        """A provider service has started anew, perhaps with other keys: each of them gets its chance at once.

        With the keys goes what the vendor said of credit and quota: it may have been said of another account.
        """
        self._slots.pop(vendor, None)
        accounts = {self._mesh.slot(vendor, slot).account: slot for slot in slots}
        for slot in accounts.values():
            self._open(vendor, slot, "account", "quota")
        for slot in slots:
            self._open(vendor, slot, "slot", "auth")

    def _accepted(self, vendor: str, slot: int) -> None:
        if slot in (slots := self._slots.get(vendor, set())):
            slots.remove(slot)
            log.info("key_accepted", vendor=vendor, slot=slot)
        self._open(vendor, slot, "slot", "auth")

    def _open(self, vendor: str, slot: int, scope: str, reason: str) -> None:
        offer = self._offer(vendor, slot)
        self._quota.observe(quota_pb2.Observe(offer=offer, scope=scope, reason=reason, opened=True))

    def _offer(self, vendor: str, slot: int) -> str:
        """Name the slot to the ledger; any model does. A call may end after its vendor was taken out."""
        known = self._mesh.catalog.vendors.get(vendor)
        model = "any" if known is None else next(iter(known.models), "any")
        return str(OfferId(vendor, model, slot))
