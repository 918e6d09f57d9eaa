"""The ledger over a file against the naive model, restarted at any moment."""

import pytest
from fixtures.lives import lives
from fixtures.restarting_machine import RestartingMachine

# Longer than any other test, for a machine that does other things.
pytestmark = pytest.mark.timeout(600)

TestLedgerAgainstTheNaiveModelWithRestarts = RestartingMachine.TestCase
TestLedgerAgainstTheNaiveModelWithRestarts.settings = lives(50)
