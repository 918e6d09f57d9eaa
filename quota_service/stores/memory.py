"""Keeps the ledger in this process's memory: for tests and simulations; a restart forgets everything."""

from collections.abc import Sequence

from meshkit.clock import Clock
from meshkit.errors import StartError
from quota_service.changes import SpendKey
from quota_service.clock import LedgerClock
from quota_service.definitions import Definitions
from quota_service.image import Image, Taken, changes_of, header, image_of
from quota_service.ledger import Ledger
from quota_service.memory import Retention
from quota_service.operations import Operation
from quota_service.rules import Closure
from quota_service.spend import LabelSets, SpendLine, SpendQuery, SpendRetention, SpendTable
from quota_service.standing import Standing, standing
from quota_service.stores.protocol import Applied, Heard
from quota_service.verify import discrepancies


class MemoryStore:
    """The ledger alone."""

    def __init__(
        self,
        definitions: Definitions,
        clock: Clock,
        retention: Retention | None = None,
        spending: SpendRetention | None = None,
    ) -> None:
        self._retention = retention
        self._ledger = Ledger(definitions, retention)
        self._clock = LedgerClock(clock)
        self._spend = SpendTable()
        self._labels = LabelSets((spending or SpendRetention()).labels)

    @property
    def problem(self) -> str | None:
        """Return None: memory does not fail."""
        return None

    @property
    def epoch(self) -> str:
        """Return nothing: memory loses all or nothing."""
        return ""

    @property
    def version(self) -> int:
        """Return the version of the definitions."""
        return self._ledger.definitions.version

    def listen(self, heard: Heard | None) -> None:
        """Do nothing: there is no other process."""

    def unfit(self, _definitions: Definitions) -> str | None:
        """Return None: it counts to any limit."""
        return None

    def until_next_expiry(self) -> float | None:
        """Return the seconds until a hold may lapse, None when none is open."""
        expiry = self._ledger.next_expiry
        return None if expiry is None else max(0.0, (expiry - self._clock.now()) / 1_000)

    async def apply(self, operations: Sequence[Operation]) -> Applied:
        """Do a batch."""
        answers, changes = self._ledger.apply(operations, self._clock.now())
        self._spend.add(delta._replace(key=self._labels.bounded(delta.key)) for delta in changes.spend)
        freed = frozenset(changes.freed)
        return Applied(answers, changes.now, freed, changes.lapsed, changes.late, changes.overage)

    async def standing(self, prefix: str = "") -> Standing:
        """Return how the budgets stand whose subjects start with this."""
        return standing(self._ledger, self._clock.now(), prefix)

    async def spend(self, query: SpendQuery) -> list[SpendLine]:
        """Sum what was spent."""
        return self._spend.query(query)

    async def verify(self) -> list[str]:
        """Recompute every level; return a sentence for each that is wrong (I2)."""
        return discrepancies(self._ledger)

    async def image(self) -> Image:
        """Return the whole ledger."""
        ledger = self._ledger
        cells = [cell for line in ledger.lines.values() for cell in line.cells.values()]
        spend = self._spend.query(SpendQuery(group_by=SpendKey._fields))
        taken = Taken(cells, ledger.holds.values(), ledger.closures, ledger.definitions.overrides, spend)
        return image_of(taken, header("memory", self.epoch, ledger.now, self.version))

    async def take_in(self, image: Image) -> None:
        """Become what an image shows."""
        if self._ledger.holds or self._spend.query(SpendQuery()):
            raise StartError("the store is not empty")
        changes = changes_of(image, self._ledger.definitions)
        assert changes.definitions is not None  # noqa: S101 - an import always has some
        ledger = self._ledger = Ledger(changes.definitions, self._retention)
        cells = sorted(changes.cells, key=lambda cell: cell.start)
        holds = sorted(changes.made, key=lambda hold: hold.ended)
        ledger.restore(changes.now, cells, holds, {name: Closure(*told) for name, told in changes.closures.items()})
        self._clock.not_before(changes.now)
        self._spend.add(changes.spend)

    async def close(self) -> None:
        """Do nothing: there is nothing to let go of."""
