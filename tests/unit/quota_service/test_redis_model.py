"""The ledger in a real Valkey against the naive model, and beside the ledger in memory: the same answers, in full."""

import pytest
from fixtures.lives import lives
from fixtures.valkey_machine import ValkeyMachine

# Longer than any other test, for a machine that does other things.
pytestmark = pytest.mark.timeout(600)

TestTheLedgerInAStoreAgainstTheNaiveModel = ValkeyMachine.TestCase
TestTheLedgerInAStoreAgainstTheNaiveModel.settings = lives(100)
