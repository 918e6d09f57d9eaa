"""The ledger in a real Valkey against the naive model, and beside the ledger in memory: the same answers, in full."""

import asyncio

from fixtures.clock import ManualClock
from fixtures.ledger_machine import DEFINITIONS, FOREVER, STEPS, LedgerMachine
from fixtures.valkey import PATIENCE, fresh_prefix, shared
from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule

from quota_service.ledger import Ledger
from quota_service.operations import Answer, Operation
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore


class ValkeyMachine(LedgerMachine):
    """The same random lives in a store; every answer is, word for word, what the state machine in memory says."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.prefix = fresh_prefix()
        self.clock = ManualClock(0)
        self.store: RedisStore | None = None

    def new_ledger(self) -> Ledger:
        self.wall = self.now
        self.clock.set(self.wall / 1_000)
        self.open()
        return super().new_ledger()

    def open(self) -> None:
        opening = RedisStore.open(
            shared().url,
            DEFINITIONS,
            prefix=self.prefix,
            retention=FOREVER,
            recovery=Recovery(short=0, long=0),
            clock=self.clock,
            silence=PATIENCE,
        )
        self.store = self.runner.run(opening)

    def apply(self, operations: list[Operation]) -> list[Answer]:
        self.clock.set(self.wall / 1_000)
        applied = self.runner.run(self.store.apply(operations))
        assert applied.now >= max(self.now, self.wall)
        self.now = applied.now
        expected, changes = self.ledger.apply(operations, self.now)
        assert list(applied.answers) == expected
        assert (applied.lapsed, applied.late, applied.overage) == (changes.lapsed, changes.late, changes.overage)
        return expected

    def discrepancies(self) -> list[str]:
        return self.runner.run(self.store.verify())

    def levels(self) -> dict[str, tuple[int, int]]:
        told = self.runner.run(self.store.standing())
        return {row.budget.id: (row.used, row.held) for row in told.budgets}

    @rule(step=STEPS)
    def time_passes(self, step: int) -> None:
        self.wall += step
        self.now = max(self.now, self.wall)

    @rule()
    def time_jumps_back(self) -> None:
        self.apply([])
        self.model.move_to(self.now)
        self.wall -= 3_000

    @rule()
    def another_process_goes_on(self) -> None:
        if self.wall < self.now:
            return  # what was told beside a batch that wrote nothing only binds the process that told it
        self.runner.run(self.store.close())
        self.open()
        self.model.denied.clear()
        self.ledger._denied._denied.clear()

    def teardown(self) -> None:
        if self.store is not None:
            self.runner.run(self.store.close())
        self.runner.close()


TestTheLedgerInAStoreAgainstTheNaiveModel = ValkeyMachine.TestCase
TestTheLedgerInAStoreAgainstTheNaiveModel.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
