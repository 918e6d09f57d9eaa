"""What one process knows of the store it asks: its epoch, the last batch acknowledged, about what time it is."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshkit import logs
from meshkit.clock import Clock, SystemClock
from quota_service.definitions import Definitions
from quota_service.memory import Retention
from quota_service.operations import LEASE
from quota_service.overrides import Override
from quota_service.spend import LABEL_DAYS, SpendRetention
from quota_service.stores.redis.demands import Server
from quota_service.stores.redis.rows import Batch, encode
from quota_service.stores.redis.witness import Told

log = logs.get("ledger")
# How many journal lines are kept; a line of a reserve with three legs takes some sixty bytes of the store's memory.
JOURNAL_LINES = 200_000


@dataclass(frozen=True, slots=True)
class Recovery:
    """For how long hard budgets close, in milliseconds: after a restart that lost nothing, and after a loss."""

    short: int = 3_000
    long: int = 15_000


class Known:
    """Writes requests and takes in what every reply says of the store itself.

    Args:
        definitions: until they are numbered.
        retention: how long ended holds are remembered.
        recovery: how long hard budgets close.
        spending: how long spend is kept, and how many labels of a day.
        clock: for tests only; else the store's own time counts.
    """

    def __init__(
        self,
        definitions: Definitions,
        retention: Retention,
        recovery: Recovery,
        spending: SpendRetention,
        clock: Clock | None = None,
    ) -> None:
        self.definitions = definitions
        self.replica = secrets.token_hex(8)
        self.epoch = ""
        self.now = 0
        self.next_expiry = -1
        self._seen = self._told = 0
        self._wall = clock
        self._clock = clock or SystemClock()
        self._same_always = {
            "replica": self.replica,
            "short": recovery.short,
            "long": recovery.long,
            "definitions": str(definitions.fingerprint),
            "keep_ended": retention.ended,
            "keep_lapsed": retention.lapsed,
            "most": retention.most,
            "journal": JOURNAL_LINES,
            "lease": LEASE,
            "spend_seconds": spending.days * 86_400,
            "labels": spending.labels,
            "label_seconds": LABEL_DAYS * 86_400,
        }
        self.tell_time(int(self._clock.now() * 1_000))

    def request(
        self,
        ask: str,
        server: Server | None,
        batch: Batch | None = None,
        restate: Sequence[Told] = (),
        more: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Write a request; the server is the process it goes to, None when only somebody reads."""
        return encode(
            {
                **self._same_always,
                "ask": ask,
                "wall": 0 if self._wall is None else self._wall.now() * 1_000,
                "told": self._told,
                "fresh": secrets.token_hex(8),
                "epoch": self.epoch,
                "seen": self._seen,
                "run_id": "" if server is None else server.run_id,
                "sure": server is not None and server.certain,
                "version": self.definitions.version,
                "overrides": self.definitions.overrides,
                "budgets": () if batch is None else batch.budgets,
                "draws": () if batch is None else batch.draws,
                "others": () if batch is None else batch.others,
                "reserves": () if batch is None else batch.reserves,
                "restate": restate,
                **(more or {}),
            }
        )

    def heed(self, reply: dict[str, Any]) -> tuple[str, ...]:
        """Take in a reply to a batch; return what befell the store."""
        self.tell_time(reply["now"])
        self.epoch, self._seen, self._told = reply["epoch"], reply["batches"], reply["now"]
        self.next_expiry = reply["next_expiry"]
        self.adopt(reply)
        return self._events(reply)

    def _events(self, reply: dict[str, Any]) -> tuple[str, ...]:
        events = tuple(reply["events"])
        for event in events:
            log.warning("ledger_state", why=event, epoch=reply["epoch"], closed_ms=reply["closed_for"])
        return events

    def redefine(self, definitions: Definitions, begun: dict[str, Any]) -> tuple[str, ...]:
        """Go by the definitions of another configuration, as the store has numbered them; return what befell the store.

        Its epoch is left to the next batch, which tells the store what it may have lost.
        """
        self._same_always["definitions"] = str(definitions.fingerprint)
        self.definitions = definitions.numbered(begun["version"], self.definitions.overrides)
        self.adopt(begun)
        return self._events(begun)

    def adopt(self, reply: dict[str, Any]) -> bool:
        """Take over the overrides of a store that has another version of the same definitions (I14)."""
        if "overrides" not in reply or reply["definitions"] != str(self.definitions.fingerprint):
            return False
        overrides = {budget: Override(*told) for budget, told in dict(reply["overrides"]).items()}
        self.definitions = self.definitions.numbered(reply["version"], overrides)
        return True

    def tell_time(self, now: int) -> None:
        """Take in the store's time."""
        self.now, self._told_at = now, self._clock.monotonic()

    def guess(self) -> int:
        """Guess the store's time; only which spans to send depends on it."""
        guess = self.now + int((self._clock.monotonic() - self._told_at) * 1_000)
        return guess if self._wall is None else max(guess, int(self._wall.now() * 1_000))
