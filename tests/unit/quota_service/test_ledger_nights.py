"""The ledger against the naive model through twenty thousand random lives: memory, SQLite, Valkey."""

import os

import pytest
from fixtures.ledger_machine import LedgerMachine
from fixtures.lives import lives
from fixtures.restarting_machine import RestartingMachine
from fixtures.valkey_machine import ValkeyMachine
from hypothesis.stateful import run_state_machine_as_test

LIVES = int(os.environ.get("MESH_MODEL_LIVES", "20000"))


@pytest.mark.nightly
@pytest.mark.timeout(4 * 3_600)
@pytest.mark.parametrize(
    ("machine", "share"),
    [(LedgerMachine, 0.6), (RestartingMachine, 0.2), (ValkeyMachine, 0.2)],
    ids=["memory", "sqlite", "valkey"],
)
def test_the_ledger_leads_many_random_lives_as_the_naive_model_does(machine, share):
    """Each night other lives; a failure prints the operations that lead to it."""
    run_state_machine_as_test(machine, settings=lives(round(LIVES * share), anew=True))
