"""Whether the ledger answers, and who goes on without it while it does not."""

import asyncio

from prometheus_client import Counter, Gauge

from catalog.limits import goes_on
from catalog.mesh import Mesh
from catalog.offers import OfferId
from meshkit import logs
from router_service.planner import Planned

# While it is silent it is asked so often whether it is back, in seconds.
PROBE_EVERY = 0.5
SILENT = Gauge("mesh_ledger_silent", "The ledger does not answer this router: only what may go on without it does.")
UNMETERED = Counter("mesh_unmetered_attempts", "Calls made while the ledger was silent, held by nothing.", ["vendor"])
log = logs.get("ledger")


class Silence:
    """A breaker: opens when the ledger has been silent, closes with its first answer.

    Args:
        felt_after: seconds a call may be unanswered before that is silence.
    """

    def __init__(self, felt_after: float) -> None:
        self.open = False
        self._felt_after = felt_after
        self._asked_at: float | None = None
        SILENT.set(0)

    def asked(self) -> None:
        """Note that a call to the ledger has begun."""
        self._asked_at = asyncio.get_running_loop().time()

    def failed(self) -> None:
        """Note that the call ended without an answer, which alone is no silence: it may be starting again."""
        self._asked_at = None

    def answered(self) -> None:
        """Note an answer: silence, if there was any, is broken."""
        self._asked_at = None
        if self.open:
            self.open = False
            SILENT.set(0)
            log.info("ledger_back")

    def fell(self, why: str) -> None:
        """Note that it is silent."""
        if not self.open:
            self.open = True
            SILENT.set(1)
            log.warning("ledger_silent", why=why)

    def felt(self) -> bool:
        """Tell whether a call has been unanswered for so long that it is felt."""
        now = asyncio.get_running_loop().time()
        return self.open or (self._asked_at is not None and now - self._asked_at >= self._felt_after)


class WithoutLedger:
    """Says which offers may be used while the ledger is silent (`when_silent` of limits and budgets)."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    def allows(self, planned: Planned, tenant: str, use_case: str) -> bool:
        """Tell whether a planned call may be made with nothing held."""
        offer = OfferId.parse(planned.offer.text)
        return goes_on(self._mesh.catalog, self._mesh, offer, (tenant, use_case), planned.cost)
