"""The one connection to the ledger's SQLite file: opens it, loads the state, writes batches, audits.

There is deliberately only one connection for writes, checkpoints and reads alike. SQLite before 3.51.3 (Debian 12 has
3.40.1) can corrupt a database when one connection writes while another checkpoints and resets the write-ahead log.
Nothing here is for the event loop: `stores/sqlite.py` calls it from one thread.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshkit import logs
from meshkit.errors import StartError
from quota_service.changes import Changes, SpendKey
from quota_service.holds import Hold
from quota_service.image import Image, Taken, header, image_of
from quota_service.levels import Cell
from quota_service.overrides import Override, Overrides
from quota_service.rules import Closure
from quota_service.spend import LABEL_DAYS, LabelSets, SpendLine, SpendQuery, SpendRetention, summed
from quota_service.stores import journal, rows, schema
from quota_service.windows import DAY, utc_day

log = logs.get("ledger")
MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class JournalRetention:
    """How long journal lines are kept, in milliseconds; how many at most; how many are let go of at once."""

    age: int = 7 * 86_400_000
    most: int = 1_000_000
    at_once: int = 5_000


@dataclass(frozen=True, slots=True)
class Stored:
    """The state as it was stored: cells by start, holds by end; the version is that of the definitions."""

    cells: list[Cell]
    holds: list[Hold]
    closures: dict[str, Closure]
    last_clock: int
    version: int
    overrides: Overrides


class Database:
    """One SQLite file, held by this process alone.

    Args:
        path: the file; made when missing.
        retention: bounds of the journal.
        spending: bounds of spend.

    Raises:
        StartError: another process has the ledger, the file is no ledger, or it was written by a newer version.
    """

    def __init__(
        self, path: Path, retention: JournalRetention | None = None, spending: SpendRetention | None = None
    ) -> None:
        self._retention = retention or JournalRetention()
        self._spending = spending or SpendRetention()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _Lock(path.with_name(path.name + ".lock"))
        try:
            self._connection = _connect(path)
            self._prepare(path)
        except sqlite3.Error as error:
            self._lock.close()
            raise StartError(f"cannot open the ledger {path}: {error}") from error
        self._seq = 0
        self._labels = LabelSets(self._spending.labels)
        self._trimmed_at = self._trimmed_seq = 0
        log.info("opened", path=str(path), sqlite=sqlite3.sqlite_version, epoch=self.meta()["epoch"])

    def _prepare(self, path: Path) -> None:
        """Make the tables, or check that they are ours."""
        version = self._one("PRAGMA user_version")
        if version > schema.SCHEMA_VERSION:
            raise StartError(f"the ledger {path} was written by a newer version (schema {version}); upgrade first")
        if 0 < version < schema.SCHEMA_VERSION:
            self._upgrade(version)
        if version == 0:
            with self._transaction():
                for statement in schema.TABLES.split(";\n"):
                    self._connection.execute(statement)
                self._connection.execute(schema.META_WRITE, ("epoch", secrets.token_hex(8)))
                self._connection.execute(schema.META_WRITE, ("last_clock", "0"))
                self._connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")

    def _upgrade(self, version: int) -> None:
        """Make the tables of an older version ours."""
        with self._transaction():
            for older in range(version, schema.SCHEMA_VERSION):
                for statement in schema.UPGRADES[older].split(";\n"):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {schema.SCHEMA_VERSION}")
        log.info("upgraded", from_schema=version, to_schema=schema.SCHEMA_VERSION)

    def meta(self) -> dict[str, str]:
        """Return what is noted about the ledger: epoch, last clock, definitions."""
        return dict(self._connection.execute(schema.META).fetchall())

    def number(self, fingerprint: int) -> int:
        """Return the version of the definitions with this fingerprint: one more whenever it is another one (I14)."""
        known = self.meta()
        version = int(known.get("definitions_version", "0"))
        if known.get("definitions") != str(fingerprint):
            version += 1
            with self._transaction():
                self._connection.execute(schema.META_WRITE, ("definitions", str(fingerprint)))
                self._connection.execute(schema.META_WRITE, ("definitions_version", str(version)))
        return version

    def load(self) -> Stored:
        """Read everything the ledger keeps, and where the journal ends."""
        self._seq = self._one(schema.JOURNAL_END)
        run, meta = self._connection.execute, self.meta()
        last_clock = int(meta["last_clock"])
        recent = utc_day(max(0, last_clock - LABEL_DAYS * DAY))
        self._labels = LabelSets(self._spending.labels, run(schema.LABELS, (recent,)))
        cells = [rows.cell_of(row) for row in run(schema.WINDOWS)]
        holds = rows.holds_of(run(schema.HOLDS), cells)
        closures = {subject: Closure(until, reason) for subject, until, reason in run(schema.CLOSURES)}
        overrides = {budget: Override(*told) for budget, *told in run(schema.OVERRIDES)}
        return Stored(cells, holds, closures, last_clock, int(meta.get("definitions_version", "1")), overrides)

    def write(self, changes: Changes) -> None:
        """Write what a batch changed in one transaction; when this returns it is on the disk (I7)."""
        many = self._connection.executemany
        gone = rows.runs(hold.number for hold in changes.forgotten)
        with self._transaction():
            many(schema.HOLD_INSERT, rows.hold_rows(changes.made))
            many(schema.HOLD_EXTEND, [(hold.expires, hold.number) for hold in changes.extended.values()])
            many(schema.ENDING_UPSERT, [rows.ending_row(hold) for hold in changes.ended.values()])
            many(schema.WINDOW_UPSERT, [rows.cell_row(cell) for cell in changes.cells])
            many(schema.WINDOW_DELETE, [(cell.budget, cell.start) for cell in changes.dropped])
            many(schema.HOLDS_DELETE, gone)
            many(schema.ENDINGS_DELETE, gone)
            many(schema.SPEND_ADD, rows.spend_rows(changes, self._labels))
            self._write_closures(changes)
            self._write_definitions(changes)
            seq = self._append(changes)
            self._connection.execute(schema.META_WRITE, ("last_clock", str(changes.now)))
            self._trim(changes.now, seq)
        self._seq = seq

    def _write_closures(self, changes: Changes) -> None:
        for subject, (until, reason) in changes.closures.items():
            if until:
                self._connection.execute(schema.CLOSURE_UPSERT, (subject, until, reason))
            else:
                self._connection.execute(schema.CLOSURE_DELETE, (subject,))

    def _write_definitions(self, changes: Changes) -> None:
        if (definitions := changes.definitions) is not None:
            self._connection.execute(schema.META_WRITE, ("definitions", str(definitions.fingerprint)))
            self._connection.execute(schema.META_WRITE, ("definitions_version", str(definitions.version)))
            self._connection.execute(schema.OVERRIDES_CLEAR)
            told = [(budget, *override) for budget, override in definitions.overrides.items()]
            self._connection.executemany(schema.OVERRIDE_INSERT, told)

    def _append(self, changes: Changes) -> int:
        """Append to the journal and return the number of its last line."""
        last = self._seq + len(changes.journal)
        if changes.journal:
            self._connection.execute(schema.JOURNAL_APPEND, journal.journal_row(last, changes))
        return last

    def _trim(self, now: int, last: int) -> None:
        """Once a minute, or when there are many, let go of old spend and of journal lines, folded into the windows."""
        keep = self._retention
        if now < self._trimmed_at + MINUTE and last < self._trimmed_seq + keep.at_once // 2:
            return
        bounds = {"at_once": keep.at_once, "before": now - keep.age, "beyond": last - keep.most}
        cut = self._one(schema.JOURNAL_CUT, bounds)
        if cut is not None:
            sums = journal.moved(self._connection.execute(schema.JOURNAL, (cut,)))
            self._connection.executemany(schema.JOURNAL_FOLD, [(*row, *window) for window, row in sums.items()])
            self._connection.execute(schema.JOURNAL_TRIM, (cut,))
        self._connection.execute(schema.SPEND_TRIM, (utc_day(now - (self._spending.days - 1) * DAY),))
        self._trimmed_at, self._trimmed_seq = now, last

    def spend(self, query: SpendQuery) -> list[SpendLine]:
        """Sum what was spent."""
        names = ", ".join(query.stored_columns)
        text = schema.SPEND_SUMS.format(
            group=names + "," if names else "", grouping=f"GROUP BY {names}" if names else ""
        )
        bounds = {"from_day": query.from_day, "to_day": query.to_day, "tenant": query.tenant}
        found = self._connection.execute(text, bounds).fetchall()
        columns = query.stored_columns
        rows = ((dict(zip(columns, row, strict=False)), row[len(columns) :]) for row in found if row[-1] is not None)
        return summed(rows, query.group_by)

    def is_empty(self) -> bool:
        """Tell whether nothing has ever been written."""
        return not self._one(schema.ANYTHING)

    def image(self) -> Image:
        """Return everything there is, but for ended holds."""
        stored = self.load()
        spend = self.spend(SpendQuery(group_by=SpendKey._fields))
        taken = Taken(stored.cells, stored.holds, stored.closures, stored.overrides, spend)
        return image_of(taken, header("sqlite", self.meta()["epoch"], stored.last_clock, stored.version))

    def audit(self) -> list[str]:
        """Recompute every window from the journal, and again from the holds; return where they differ (I2)."""
        wrong = []
        run = self._connection.execute
        cells = [rows.cell_of(row) for row in run(schema.WINDOWS)]
        summed = {(cell.budget, cell.start): [cell.forgotten, 0] for cell in cells}
        for hold in rows.holds_of(run(schema.HOLDS), cells):
            for cell, used, held in hold.levels():
                summed[cell.budget, cell.start][0] += used
                summed[cell.budget, cell.start][1] += held
        moved = journal.moved(run(schema.JOURNAL, (self._seq,)))
        for budget, start, used, held, base_used, base_held in run(schema.BASES):
            told = moved.get((budget, start), (0, 0))
            from_journal, from_holds = (base_used + told[0], base_held + told[1]), tuple(summed[budget, start])
            for source, sums in (("the journal", from_journal), ("the holds", from_holds)):
                if (used, held) != sums:
                    wrong.append(
                        f"{budget} at {start}: used {used} held {held}, {source} say(s) {sums[0]} and {sums[1]}"
                    )
        return wrong

    def close(self) -> None:
        """Close the file and let another process have it."""
        self._connection.close()
        self._lock.close()

    def _one(self, text: str, parameters: Mapping[str, int] | Sequence[int] = ()) -> Any:
        return self._connection.execute(text, parameters).fetchone()[0]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


class _Lock:
    """Keeps every other process away from the ledger; the system frees it when this one dies."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._file, 32).decode(errors="replace").strip()
            os.close(self._file)
            raise StartError(
                f"the ledger {path.with_suffix('')} is in use by process {owner or 'unknown'}: "
                "one quota service per ledger; stop that one or set another ledger path"
            ) from error
        os.truncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def close(self) -> None:
        """Let another process have the ledger."""
        os.close(self._file)
