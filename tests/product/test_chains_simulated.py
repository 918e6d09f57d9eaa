"""The free chains at their full size, simulated: real plans and real ledger rules in virtual time."""

import datetime as dt
import json
import subprocess
import sys

import pytest
from fixtures.chains import SCENARIOS
from fixtures.sandbox_mesh import bare_environment

from llm_mesh.simulation.run import Simulation
from llm_mesh.simulation.scenario import Wanted, load

# Some take ten seconds of computing: a crowded machine may be slow.
pytestmark = pytest.mark.timeout(900)
FIVE, TEN = "free_chain_five", "free_chain_ten"
DAY, NEXT_DAY, NEXT_MONTH = (
    dt.datetime(*day, 12, tzinfo=dt.UTC) for day in ((2025, 12, 10), (2025, 12, 11), (2026, 1, 1))
)
CREDIT = "anthropic/default/nanodollars/once"
MONTHLY = "mistral/default/tokens/month"


def simulation(scenario, **wanted):
    """Make a simulation of a file of the scenarios."""
    return Simulation(load(SCENARIOS / f"{scenario}.yaml", {}, Wanted(**wanted)))


def served(simulated, requests, day=DAY):
    """Send requests on a day, and return how many each vendor served, every request one, and what is left."""
    outcome = simulated.run(day.timestamp(), requests)
    assert outcome.failed == {}
    assert sum(outcome.served.values()) == requests
    assert outcome.cost("paid") == 0
    return outcome.served, {budget.id: budget.left for rows in outcome.budgets.values() for budget in rows}


def expected(row, order):
    """Return what the row expects of every vendor of a chain; of those it does not name, nothing."""
    return {vendor: row["expect"].get(vendor, 0) for vendor in order}


def command(*words):
    """Run `llm-mesh simulate` to its end."""
    run = [sys.executable, "-m", "llm_mesh", "simulate", *words]
    return subprocess.run(
        run, env=bare_environment(SCENARIOS), capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.product("P-QUOTA-1", "P-QUOTA-1a", "P-QUOTA-1b", "P-QUOTA-1c", "P-MONEY-14")
def test_a_hundred_and_five_thousand_requests_under_priority_and_spread_are_served_as_promised(row):
    for demand in map(row, ("P-QUOTA-1a", "P-QUOTA-1b", "P-QUOTA-1c")):
        wanted = {name: demand[name] for name in ("strategy", "spread_share") if name in demand}
        found, _ = served(simulation(FIVE, **wanted), demand["requests"])
        assert list(found) == row("P-QUOTA-1")["order"]
        assert found == demand["expect"]


@pytest.mark.product("P-QUOTA-1", "P-QUOTA-1d", "P-MONEY-14", "P-CMD-15")
def test_the_command_says_what_would_become_of_twenty_thousand(row):
    file = str(SCENARIOS / f"{FIVE}.yaml")
    told = command(file, "--requests", "20000")
    assert (told.returncode, told.stderr) == (0, "")
    lines = [line.split() for line in told.stdout.splitlines()]
    counts = {words[0]: int(words[1].replace(",", "")) for words in lines[2:-1]}
    assert counts == row("P-QUOTA-1d")["expect"]
    assert list(counts) == row("P-QUOTA-1")["order"]
    assert told.stdout.splitlines()[-1] == "20,000 served, 0 not; money $0"


@pytest.mark.product("P-QUOTA-2")
def test_with_estimates_three_times_too_high_only_the_vendor_of_tokens_ends_a_request_before_its_allowance(row):
    found, left = served(simulation(FIVE, estimates=3.0), 20_000)
    exact = row("P-QUOTA-1d")["expect"]
    assert 0 <= left[MONTHLY] < 3 * 500  # no room for one more as it is estimated
    assert found["mistral"] == (750_000 - left[MONTHLY]) // 500
    assert {v: n for v, n in found.items() if v not in ("mistral", "ollama")} == {
        v: n for v, n in exact.items() if v not in ("mistral", "ollama")
    }
    assert found["ollama"] == exact["ollama"] + exact["mistral"] - found["mistral"]


@pytest.mark.product("P-QUOTA-4")
def test_the_other_stated_figure_of_groq_is_a_scenario_of_its_own(row):
    found, _ = served(simulation("free_chain_five_14400", callers=1), 20_000)
    assert list(found) == row("P-QUOTA-1")["order"]
    assert tuple(found.values()) == (14_400, 1_500, 1_500, 50, 2_550)


@pytest.mark.product("P-QUOTA-6", "P-QUOTA-6a", "P-QUOTA-6b")
@pytest.mark.parametrize("demand", ["P-QUOTA-6a", "P-QUOTA-6b"])
def test_the_chain_of_ten_begins_with_its_first_and_goes_on_with_its_second(row, demand):
    found, _ = served(simulation(TEN, callers=1), row(demand)["requests"])
    assert found == expected(row(demand), row("P-QUOTA-6")["order"])


@pytest.mark.product("P-QUOTA-6", "P-QUOTA-6c", "P-QUOTA-6d", "P-QUOTA-6e")
def test_the_chain_of_ten_is_used_up_in_its_order_and_comes_back_by_days_and_months_but_for_its_credit(row):
    simulated = simulation(TEN, callers=1)
    for day, demand in ((DAY, "P-QUOTA-6c"), (NEXT_DAY, "P-QUOTA-6d"), (NEXT_MONTH, "P-QUOTA-6e")):
        found, left = served(simulated, row(demand)["requests"], day)
        assert list(found) == row("P-QUOTA-6")["order"]
        assert found == expected(row(demand), row("P-QUOTA-6")["order"])
        assert left[CREDIT] == 5_000_000_000 - 980 * 5_100_000


def test_programs_are_told_the_same_and_several_days_follow_one_another():
    days = ("--at", "2025-12-10", "--at", "2025-12-10T23:59:59", "--at", "2025-12-11T01:00:00+00:00")
    told = command(str(SCENARIOS / f"{TEN}.yaml"), "-n", "120", "--over", "0s", *days, "--json")
    runs = json.loads(told.stdout)["runs"]
    assert [run["start"] for run in runs] == ["2025-12-10T12:00:00Z", "2025-12-10T23:59:59Z", "2025-12-11T01:00:00Z"]
    assert [(run["requests"], run["served"], run["failed"]) for run in runs] == [(120, 120, {})] * 3
    used = [run["vendors"][0]["budgets"][0]["used"] for run in runs]
    assert used == [120, 240, 120 + 120]  # the second before midnight counts in both days
