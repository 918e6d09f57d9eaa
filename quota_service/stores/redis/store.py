"""The ledger in Redis or Valkey as a `Store`: sends batches to the script and heeds what it says of itself."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

from meshkit import logs
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason, StartError
from meshkit.secret import Secret
from quota_service.changes import SpendKey
from quota_service.definitions import Definitions
from quota_service.image import Image
from quota_service.memory import RecentDenials, Retention
from quota_service.operations import Answer, Denied, Operation, Redefine, Reserve
from quota_service.overrides import differing
from quota_service.spend import SpendLine, SpendQuery, SpendRetention
from quota_service.standing import Standing
from quota_service.stores.protocol import SILENCE, Applied, Heard
from quota_service.stores.redis import audit, moving, reading
from quota_service.stores.redis.answers import other_answer, reserve_answer
from quota_service.stores.redis.demands import Server
from quota_service.stores.redis.known import Known, Recovery
from quota_service.stores.redis.link import FAILURES, Link, meaning, was_cut
from quota_service.stores.redis.listener import Listener
from quota_service.stores.redis.rows import Batch, BudgetRows
from quota_service.stores.redis.witness import Told, Witness

log = logs.get("ledger")
RETRY_AFTER = 0.5
# Somebody must notice that another process died and left holds, or that the store lost something: this often.
HEARTBEAT = 1.0
LARGEST_LIMIT = 2**53 - 1


class RedisStore:
    """The ledger over a link; use `open` to make one. Every decision is the script's, by the store's own clock."""

    def __init__(self, link: Link, known: Known) -> None:
        self._link = link
        self._known = known
        self._rows = BudgetRows()
        self._denied = RecentDenials()
        self._witness = Witness()
        self._listener = Listener(link, known.replica)
        self._problem: str | None = None
        self._befell: list[str] = []
        self._owes_account = False
        self._lock = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        url: Secret,
        definitions: Definitions,
        *,
        prefix: str = "llm-mesh:",
        retention: Retention | None = None,
        recovery: Recovery | None = None,
        spending: SpendRetention | None = None,
        silence: float = SILENCE,
        clock: Clock | None = None,
    ) -> Self:
        """Connect and number the definitions; a clock is for tests only, else the store's own time counts.

        Raises:
            StartError: the store cannot be reached or is not fit, or a limit is larger than it can count.
        """
        if (why := _too_large(definitions)) is not None:
            raise StartError(why)
        link = await Link.open(url, prefix, silence)
        known = Known(
            definitions, retention or Retention(), recovery or Recovery(), spending or SpendRetention(), clock
        )
        try:
            begun = await link.run(lambda server: known.request("begin", server))
        except FAILURES as error:
            await link.close()
            raise StartError(f"cannot open the ledger in the store: {meaning(error)}") from None
        known.definitions = definitions.numbered(begun["version"])
        known.heed(begun)
        log.info("opened", prefix=prefix, epoch=known.epoch, version=begun["version"])
        return cls(link, known)

    @property
    def epoch(self) -> str:
        """Return what tells this life of the store from the next: another one means that it lost something."""
        return self._known.epoch

    @property
    def version(self) -> int:
        """Return the version of the definitions."""
        return self._known.definitions.version

    @property
    def problem(self) -> str | None:
        """Say why nothing can be admitted now, None when all is well."""
        return self._problem

    def unfit(self, definitions: Definitions) -> str | None:
        """Say why it cannot count by these definitions."""
        return _too_large(definitions)

    def until_next_expiry(self) -> float | None:
        """Return the seconds until a hold may lapse, or something else is worth a look."""
        expiry = self._known.next_expiry
        return HEARTBEAT if expiry < 0 else max(0.0, min(HEARTBEAT, (expiry - self._known.guess()) / 1_000))

    def listen(self, heard: Heard | None) -> None:
        """Hear of what other processes free, or no longer."""
        self._listener.listen(heard)

    async def apply(self, operations: Sequence[Operation]) -> Applied:
        """Do a batch; one at a time.

        Raises:
            MeshError: QUOTA_UNAVAILABLE; what became of the batch is unknown, repeat it with the same ids (I13).
        """
        async with self._lock:
            redefined = await self._redefine(operations)
            overrides = self._known.definitions.overrides
            batch, reply = await self._decided(operations)
            self._heed(reply)
            freed = differing(overrides, self._known.definitions.overrides).union(reply["freed"])
            applied = self._applied(operations, batch, reply | {"freed": freed | redefined})
            self._befell.clear()
            self._denied.forget(reply["now"])
            return applied

    async def _redefine(self, operations: Sequence[Operation]) -> set[str]:
        """Have the store number other definitions before the batch; return the budgets that may have more room."""
        told = [operation.definitions for operation in operations if isinstance(operation, Redefine)]
        if not told or told[-1].fingerprint == self._known.definitions.fingerprint:
            return set()
        more = {"definitions": str(told[-1].fingerprint)}
        try:
            begun = await self._link.run(lambda server: self._known.request("begin", server, more=more))
        except FAILURES as error:
            raise self._failed(meaning(error)) from error
        self._befell += self._known.redefine(told[-1], begun)
        return {budget.id for budget in self._known.definitions.budgets()}

    async def _decided(self, operations: Sequence[Operation]) -> tuple[Batch, dict[str, Any]]:
        """Send a batch until it is decided: again after a cut, a loss, with other overrides, calendars that reach."""
        for _ in range(6):
            if self._owes_account:
                await self._restate()
            batch = Batch(self._known.definitions, self._rows, self._denied, self._known.guess())
            batch.add(operations)
            reply = await self._run(batch)
            if reply is not None and reply["kind"] == "applied":
                return batch, reply
            if reply is not None and reply["kind"] == "lost":
                self._heed(reply)
                self._owes_account = reply["misses"]
            elif reply is not None:
                self._known.tell_time(reply["now"])
        raise self._failed("it is cut off again and again, or its time does not fit our calendars")

    async def _run(self, batch: Batch | None, restate: Sequence[Told] = ()) -> dict[str, Any] | None:
        """Send a batch once; None when the connection was cut, which leaves open what became of it."""

        def request(server: Server) -> bytes:
            if server.faults:
                raise self._failed("it is not fit for a ledger: " + "; ".join(server.faults))
            return self._known.request("apply", server, batch, restate)

        try:
            reply = await self._link.run(request)
        except FAILURES as error:
            if was_cut(error):
                return None
            raise self._failed(meaning(error)) from error
        if reply["kind"] == "stale" and not self._known.adopt(reply):
            ours, theirs = self.version, reply["version"]
            told = f"another process has version {theirs} of the definitions, this one {ours}"
            raise self._failed(f"{told}: it has yet to read the same files, or is to be restarted")
        return reply

    def _failed(self, why: str) -> MeshError:
        if self._problem is None:
            log.error("store_failed", why=why)
        self._problem = f"the ledger's store does not serve: {why}"
        return MeshError(Reason.QUOTA_UNAVAILABLE, self._problem, retry_after=RETRY_AFTER)

    def _heed(self, reply: dict[str, Any]) -> None:
        if self._problem is not None:
            log.info("recovered", was=self._problem)
            self._problem = None
        self._befell += self._known.heed(reply)
        if reply["kind"] != "applied":
            return
        self._witness.saw(reply["touched"], reply["now"])
        if reply["assumed"]:
            log.warning("assumed_spent", budgets=reply["assumed"])

    async def _restate(self) -> None:
        """Tell a store that has lost its state the levels this process has seen; all once more when it failed (I19)."""
        for part in list(self._witness.account(self._known.now)):
            reply = await self._run(None, part)
            if reply is not None and reply["kind"] == "stale":
                reply = await self._run(None, part)
            if reply is None:
                raise self._failed("it was cut off")
            self._heed(reply)
            if reply["kind"] != "applied":
                raise self._failed("it was lost again")
        self._owes_account = False

    def _applied(self, operations: Sequence[Operation], batch: Batch, reply: dict[str, Any]) -> Applied:
        answers: list[Answer] = []
        for operation, place in zip(operations, batch.places, strict=True):
            if not isinstance(place, int):
                answers.append(place)
            elif isinstance(operation, Reserve):
                answer = reserve_answer(reply["reserves"][place], batch.draws, batch.definitions.version)
                if answer is None or type(answer) is Denied:
                    answer = self._told(operation, batch.marks[place], answer, reply["now"])
                answers.append(answer)
            else:
                answers.append(other_answer(reply["others"][place]))
        freed, overage = frozenset(reply["freed"]), Counter[str](reply["overage"] or {})
        return Applied(
            answers,
            reply["now"],
            freed,
            reply["lapsed"],
            reply["late"],
            overage,
            tuple(self._befell),
            reply["closed_for"] > 0,
        )

    def _told(self, reserve: Reserve, mark: int, answer: Denied | None, now: int) -> Answer:
        """Remember a denial for as long as it is to be repeated, and repeat it (I6)."""
        if answer is None:
            answer = self._denied.find(reserve.attempt_id, mark, 0)
            assert answer is not None  # noqa: S101 - the script says so only of what was sent as remembered
        elif not reserve.dry_run:
            self._denied.add(reserve.attempt_id, mark, answer, now)
        return answer

    async def standing(self, prefix: str = "") -> Standing:
        """Return how the budgets stand whose subjects start with this."""
        try:
            return await reading.standing(self._link, self._known, self._rows, prefix)
        except FAILURES as error:
            raise self._failed(meaning(error)) from error

    async def spend(self, query: SpendQuery) -> list[SpendLine]:
        """Sum what was spent."""
        try:
            return await reading.spend(self._link, query)
        except FAILURES as error:
            raise self._failed(meaning(error)) from error

    async def verify(self) -> list[str]:
        """Recompute every level from the journal and from the open holds; return where they differ (I2)."""
        try:
            return await audit.discrepancies(self._link, self._known.request("dump", None))
        except FAILURES as error:
            raise self._failed(meaning(error)) from error

    async def image(self) -> Image:
        """Return the whole ledger as of one moment, and what had been spent just before."""
        try:
            spend = await reading.spend(self._link, SpendQuery(group_by=SpendKey._fields))
            return await moving.image(self._link, self._known, spend)
        except FAILURES as error:
            raise self._failed(meaning(error)) from error

    async def take_in(self, image: Image) -> None:
        """Become what an image shows, in one call.

        Raises:
            StartError: there is something under the prefix, an amount is too large, or the store fails.
        """
        if moving.largest(image) > LARGEST_LIMIT:
            raise StartError(f"an amount is {moving.largest(image)}; the store counts to {LARGEST_LIMIT}")
        try:
            taken = await moving.take_in(self._link, self._known, image)
        except FAILURES as error:
            raise StartError(f"the store does not take it: {meaning(error)}") from None
        if not taken:
            raise StartError("the store is not empty: import under another prefix (ledger.prefix)")

    async def close(self) -> None:
        """Let go of the connections."""
        await self._listener.close()
        await self._link.close()


def _too_large(definitions: Definitions) -> str | None:
    """Name a limit that the store cannot count to."""
    told = (budget for budget in definitions.budgets() if budget.limit > LARGEST_LIMIT)
    return next((f"the limit of {b.id} is {b.limit}; the store counts to {LARGEST_LIMIT}" for b in told), None)
