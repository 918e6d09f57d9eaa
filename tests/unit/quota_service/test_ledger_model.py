"""The ledger against a naive model, a hundred random lives of forty steps."""

from fixtures.ledger_machine import LedgerMachine
from hypothesis import HealthCheck, settings

TestLedgerAgainstTheNaiveModel = LedgerMachine.TestCase
TestLedgerAgainstTheNaiveModel.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
