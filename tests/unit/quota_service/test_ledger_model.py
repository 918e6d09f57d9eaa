"""The ledger against a naive model, in memory: random lives (tests/fixtures/ledger_machine.py)."""

import pytest
from fixtures.ledger_machine import LedgerMachine
from fixtures.lives import lives

# Longer than any other test, for a machine that does other things.
pytestmark = pytest.mark.timeout(600)

TestLedgerAgainstTheNaiveModel = LedgerMachine.TestCase
TestLedgerAgainstTheNaiveModel.settings = lives(350)
