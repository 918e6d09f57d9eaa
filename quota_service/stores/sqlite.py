"""Keeps the ledger in one SQLite file: decides in memory, acknowledges only what is on the disk (I7)."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from meshkit import logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason, StartError
from quota_service.changes import Changes
from quota_service.clock import LedgerClock
from quota_service.definitions import Definitions
from quota_service.image import Image, changes_of
from quota_service.ledger import Ledger
from quota_service.memory import Retention
from quota_service.operations import Operation
from quota_service.spend import SpendLine, SpendQuery, SpendRetention
from quota_service.standing import Standing, standing
from quota_service.stores.database import Database, JournalRetention
from quota_service.stores.protocol import Applied, Heard
from quota_service.verify import discrepancies

log = logs.get("ledger")
T = TypeVar("T")
RETRY_AFTER = 0.5


class SqliteStore:
    """The ledger over a database; use `open` to make one.

    A batch is applied in memory, written in the database's own thread, and only then answered. When writing fails
    nothing is answered and the state is read back from the disk, which alone is true.
    """

    def __init__(
        self, database: Database, definitions: Definitions, clock: LedgerClock, retention: Retention | None
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._clock = clock
        self._retention = retention
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._problem: str | None = None
        self._ledger = self._read_back()

    @classmethod
    def open(
        cls,
        path: Path,
        definitions: Definitions,
        clock: Clock,
        *,
        retention: Retention | None = None,
        journal: JournalRetention | None = None,
        spending: SpendRetention | None = None,
    ) -> Self:
        """Open or make the file and read its state.

        Raises:
            StartError: the file is in use, no ledger, or too new.
        """
        database = Database(path, journal, spending)
        database.number(definitions.fingerprint)
        return cls(database, definitions, LedgerClock(clock), retention)

    def _read_back(self) -> Ledger:
        stored = self._database.load()
        self._clock.not_before(stored.last_clock)
        ledger = Ledger(self._definitions.numbered(stored.version, stored.overrides), self._retention)
        ledger.restore(stored.last_clock, stored.cells, stored.holds, stored.closures)
        return ledger

    @property
    def problem(self) -> str | None:
        """Say why nothing can be written now, None when all is well."""
        return self._problem

    @property
    def epoch(self) -> str:
        """Return nothing: what a file acknowledged it has, so callers need not tell it again."""
        return ""

    @property
    def version(self) -> int:
        """Return the version of the definitions."""
        return self._ledger.definitions.version

    def listen(self, heard: Heard | None) -> None:
        """Do nothing: no other process has the file."""

    def unfit(self, _definitions: Definitions) -> str | None:
        """Return None: it counts to any limit."""
        return None

    def until_next_expiry(self) -> float | None:
        """Return the seconds until a hold may lapse, None when none is open."""
        expiry = self._ledger.next_expiry
        return None if expiry is None else max(0.0, (expiry - self._clock.now()) / 1_000)

    async def apply(self, operations: Sequence[Operation]) -> Applied:
        """Do a batch; one at a time.

        Raises:
            MeshError: QUOTA_UNAVAILABLE when it could not be written.
        """
        if self._problem is not None:
            await self._recover()
        answers, changes = self._ledger.apply(operations, self._clock.now())
        if not changes.empty:
            await self._write(changes)
        if changes.definitions is not None:
            self._definitions = changes.definitions  # durable now: a state that is read back goes by these
        freed = frozenset(changes.freed)
        return Applied(answers, changes.now, freed, changes.lapsed, changes.late, changes.overage)

    async def _write(self, changes: Changes) -> None:
        try:
            await self._in_thread(lambda: self._database.write(changes))
        except sqlite3.Error as error:
            failure = self._failed(error)
            await self._recover()
            raise failure from error

    async def _recover(self) -> None:
        """Read the state back and prove that the disk takes writes again."""
        try:
            self._ledger = await self._in_thread(self._read_back)
            await self._in_thread(lambda: self._database.write(Changes(self._clock.now())))
        except sqlite3.Error as error:
            raise self._failed(error) from error
        log.info("recovered", was=self._problem)
        self._problem = None

    def _failed(self, error: sqlite3.Error) -> MeshError:
        if self._problem is None:
            log.error("write_failed", error=str(error))
        self._problem = f"the ledger cannot be written: {error}"
        return MeshError(Reason.QUOTA_UNAVAILABLE, self._problem, retry_after=RETRY_AFTER)

    def look(self, prefix: str = "") -> Standing:
        """Return how the budgets stand; a batch that is being written just now is already counted."""
        return standing(self._ledger, self._clock.now(), prefix)

    async def standing(self, prefix: str = "") -> Standing:
        """Return how the budgets stand whose subjects start with this."""
        return self.look(prefix)

    async def spend(self, query: SpendQuery) -> list[SpendLine]:
        """Sum what was spent."""
        return await self._in_thread(lambda: self._database.spend(query))

    async def verify(self) -> list[str]:
        """Recompute every level from the holds, in memory and on the disk, and from the journal (I2)."""
        return [*discrepancies(self._ledger), *await self._in_thread(self._database.audit)]

    async def image(self) -> Image:
        """Return the whole ledger as it is on the disk."""
        return await self._in_thread(self._database.image)

    async def take_in(self, image: Image) -> None:
        """Become what an image shows, in one transaction.

        Raises:
            StartError: the file is not empty or cannot be written.
        """
        if not await self._in_thread(self._database.is_empty):
            raise StartError("the ledger's file is not empty: import into a new one (ledger.path, MESH_LEDGER_PATH)")
        changes = changes_of(image, self._ledger.definitions)
        try:
            await self._in_thread(lambda: self._database.write(changes))
        except sqlite3.Error as error:
            raise StartError(f"the ledger cannot be written: {error}") from error
        self._ledger = await self._in_thread(self._read_back)

    async def close(self) -> None:
        """Close the file."""
        await self._in_thread(self._database.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
