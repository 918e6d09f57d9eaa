"""The free chains through a running mesh, for sixteen callers at once: at a hundredth of their quotas, or whole.

Of one mesh each test uses months of its own, and counts by the vendors themselves are compared with the routes.
"""

import datetime as dt
import itertools
import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest
from fixtures.chain_mesh import chain_mesh, prompt
from fixtures.chains import chain, scenario, written
from fixtures.customer import vendor_of
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import bare_environment
from prometheus_client.parser import text_string_to_metric_families

from llm_mesh.simulation.run import Simulation
from llm_mesh.simulation.scenario import Wanted, load

HUNDREDTH = pytest.param(100, id="hundredth", marks=pytest.mark.timeout(900))
WHOLE = pytest.param(1, id="whole", marks=[pytest.mark.long, pytest.mark.timeout(3600)])
MONTHLY = "mistral/default/tokens/month"
CREDIT = "anthropic/default/nanodollars/once"
DAY, MONTH = 86_400, 32 * 86_400
LAST = 5
TOKENS = 500  # of a request, and of the allowance of mistral


def moment(*parts):
    """Return a moment in UTC, Unix seconds."""
    return dt.datetime(*parts, tzinfo=dt.UTC).timestamp()


class World:
    """A chain at a scale: its mesh, and simulations by the same file."""

    def __init__(self, mesh, file, by, order):
        self.mesh, self.file, self.by, self.order = mesh, file, by, order

    def scaled(self, number):
        """Return a promised number at this scale: what a quota keeps of itself is at least one."""
        return max(1, number // self.by)

    def begin(self, *parts):
        """Let it be a day of a month in which nothing is used yet."""
        self.mesh.pass_time(moment(*parts), MONTH)

    def served(self, requests, asked=None, **more):
        """Send requests; return how many each vendor served, which by their own counts is what reached them.

        The last few come when all before them are settled: what was held at the edge of an allowance has come back.
        """
        last = min(LAST, requests - 1)
        routes = self.mesh.send(requests - last, asked or prompt(), **more)
        self.left()
        routes += self.mesh.send(last, asked or prompt(), **more)
        counts = Counter(route.vendor for route in routes)
        assert self.mesh.arrivals() == counts
        assert sum(route.total_cost_nanos for route in routes if route.attempts[0].plan != "credit") == 0
        return counts

    def left(self):
        """Return what is left of every budget, by id, once all is settled."""
        wait_until(lambda: not any(budget.held for budget in self.mesh.budgets().values()), 60, "all to be settled")
        return {name: budget.left for name, budget in self.mesh.budgets().items()}

    def totals(self):
        """Return what `llm-mesh vendors` says is left: requests a day, tokens a month, and who has no limit."""
        self.left()
        environment = {**bare_environment(self.file.parent), "MESH_ROUTER_ADDRESS": self.mesh.router}
        command = [sys.executable, "-m", "llm_mesh", "vendors", "--json"]
        told = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, timeout=300).stdout)
        sums = told["totals"]
        return sums["requests_per_day_left"], sums["tokens_per_month_left"], sums["unlimited"]

    def gauges(self, name):
        """Return the samples of a gauge of the quota service, by budget."""
        families = text_string_to_metric_families(self.mesh.metrics("quota"))
        samples = (sample for family in families if family.name == name for sample in family.samples)
        return {
            "/".join(sample.labels[part] for part in ("subject", "unit", "window")): sample.value for sample in samples
        }

    def simulated(self, **wanted):
        """Make a simulation of what the mesh runs by: of a day and so many requests it tells who serves how many."""
        simulation = Simulation(load(self.file, {}, Wanted(**{"use_case": "chain", **wanted})))

        def run(requests, *day):
            outcome = simulation.run(moment(*day), requests)
            assert outcome.failed == {}
            return {vendor: count for vendor, count in outcome.served.items() if count}

        return run


@contextmanager
def world(directory, name, by, start):
    """Run a chain."""
    content = scenario(name, by)
    content["use_cases"]["spread"] = content["use_cases"]["chain"] | {"strategy": "spread", "spread_share": 1_500 // by}
    with chain_mesh(directory, content, start) as mesh:
        yield World(mesh, written(directory, content), by, [vendor_of(model) for model in chain(content)])


@pytest.fixture(scope="module", params=[HUNDREDTH, WHOLE])
def five(request, tmp_path_factory):
    with world(tmp_path_factory.mktemp("five"), "free_chain_five", request.param, moment(2025, 1, 10, 12)) as running:
        yield running


@pytest.fixture(scope="module", params=[HUNDREDTH, WHOLE])
def ten(request, tmp_path_factory):
    with world(tmp_path_factory.mktemp("ten"), "free_chain_ten", request.param, moment(2025, 12, 10, 12)) as running:
        yield running


@pytest.mark.product("P-QUOTA-2", "P-QUOTA-11")
def test_with_estimates_three_times_too_high_the_vendor_of_tokens_ends_within_one_request_of_its_allowance(five, row):
    requests = five.scaled(20_000)
    # The first test of this mesh, for the router learns. It learns
    # that prompts are shorter than it thinks, but no more than half as long: 492 tokens for 200.
    counts = five.served(requests, prompt(3 * TOKENS - 492, wide=True))
    left = five.left()[MONTHLY]
    assert 0 <= left < 3 * TOKENS  # no room for one more as it is estimated
    assert counts["mistral"] == (five.scaled(750_000) - left) // TOKENS
    exact = {vendor: five.scaled(row("P-QUOTA-1d")["expect"][vendor]) for vendor in ("groq", "gemini", "openrouter")}
    assert {vendor: counts[vendor] for vendor in exact} == exact
    assert counts.total() == requests
    assert five.simulated(estimates=3.0)(requests, 2025, 1, 10, 12) == counts


@pytest.mark.product("P-QUOTA-1", "P-QUOTA-1a", "P-QUOTA-1b", "P-MONEY-14")
def test_as_long_as_the_first_has_some_of_its_quota_it_serves_all(five):
    five.begin(2025, 2, 10)
    assert five.served(100) == {"groq": 100}
    five.begin(2025, 3, 10)
    assert five.served(five.scaled(5_000)) == {"groq": five.scaled(5_000)}
    assert set(five.left().values()) >= {five.scaled(14_000) - five.scaled(5_000)}


@pytest.mark.product("P-QUOTA-1", "P-QUOTA-1c", "P-QUOTA-11", "P-MONEY-14")
def test_under_spread_each_serves_its_share_and_the_local_server_the_rest(five, row):
    five.begin(2025, 4, 10)
    requests = five.scaled(5_000)
    promised = {vendor: five.scaled(count) for vendor, count in row("P-QUOTA-1c")["expect"].items()}
    promised["ollama"] = requests - sum(promised.values()) + promised["ollama"]
    assert five.served(requests, use_case="spread") == promised
    assert five.simulated(use_case="spread")(requests, 2025, 4, 10) == promised


@pytest.mark.product("P-QUOTA-1", "P-QUOTA-1d", "P-QUOTA-3", "P-QUOTA-11", "P-MONEY-14")
def test_twenty_thousand_use_up_the_chain_exactly_and_after_midnight_the_first_serves_again(five, row):
    five.begin(2025, 5, 10, 23)
    requests = five.scaled(20_000)
    promised = {vendor: five.scaled(count) for vendor, count in row("P-QUOTA-1d")["expect"].items()}
    promised["ollama"] = requests - sum(promised.values()) + promised["ollama"]
    assert five.served(requests) == promised
    assert five.simulated()(requests, 2025, 5, 10, 23) == promised
    left = five.left()
    daily = [name for name in left if vendor_of(name) in five.order and name.endswith("/requests/day")]
    assert {name: left[name] for name in (*daily, MONTHLY)} == dict.fromkeys((*daily, MONTHLY), 0)
    five.mesh.turn(moment(2025, 5, 11, 0, 0, 1))  # nobody knows yet by whose clock it is another day
    assert five.served(1) == {"ollama": 1}
    five.mesh.pass_time(moment(2025, 5, 11, 0, 0, 3), DAY)
    assert five.served(1) == {"groq": 1}
    left = five.left()
    assert {name: left[name] for name in daily} == {
        "groq/default/requests/day": five.scaled(14_000) - 1,
        "gemini/default/requests/day": five.scaled(1_500),
        "openrouter/default/pool:free/requests/day": five.scaled(50),
    }
    assert left[MONTHLY] == 0
    five.mesh.turn(moment(2025, 6, 1, 0, 0, 3))
    assert five.left()[MONTHLY] == five.scaled(750_000)


@pytest.mark.product("P-QUOTA-5")
def test_the_vendors_command_tells_what_is_left_of_the_chain_and_never_adds_requests_to_tokens(five):
    five.begin(2025, 7, 10)
    daily = five.scaled(14_000) + five.scaled(1_500) + five.scaled(50)
    assert five.totals() == (daily, five.scaled(750_000), ["ollama"])
    used = five.served(five.scaled(14_000) + 1)
    assert used["mistral"] == 1
    left = (daily - five.scaled(14_000), five.scaled(750_000) - TOKENS, ["ollama"])
    # A hold that lapsed under a slow machine is charged in full until its settle comes.
    wait_until(lambda: five.totals() == left, 60, f"the command to tell {left}")


DEMANDS = [("P-QUOTA-6c", (2025, 12, 10, 12), 0), ("P-QUOTA-6d", (2025, 12, 11, 12), DAY)]
DEMANDS.append(("P-QUOTA-6e", (2026, 1, 1, 12), MONTH))


@pytest.mark.product("P-QUOTA-6", "P-QUOTA-6c", "P-QUOTA-6d", "P-QUOTA-6e", "P-QUOTA-11")
def test_the_chain_of_ten_is_used_up_to_its_last_and_comes_back_by_days_and_months_but_for_its_credit(ten, row):
    simulated = ten.simulated()
    for demand, day, passed in DEMANDS:
        ten.mesh.pass_time(moment(*day), passed)
        requests = ten.scaled(25_000)
        counts = ten.served(requests)
        assert counts == simulated(requests, *day)
        if ten.by == 1:
            assert counts == {vendor: count for vendor, count in row(demand)["expect"].items() if count}
        assert {vendor for vendor, count in row(demand)["expect"].items() if count} == set(counts)
        assert 0 <= ten.left()[CREDIT] < 5_100_000  # no room for one more, and never overdrawn


@pytest.mark.product("P-QUOTA-8")
@pytest.mark.parametrize("ten", [HUNDREDTH], indirect=True)
def test_when_one_is_exhausted_the_next_serves_the_very_next_request_and_route_and_metric_name_the_budget(ten, row):
    ten.begin(2026, 3, 10)
    ten.mesh.grant(CREDIT, 100_000_000)
    order = ten.order
    assert order == row("P-QUOTA-6")["order"]
    routes = ten.mesh.send(ten.scaled(25_000), prompt(), callers=1)
    served = [route.vendor for route in routes]
    assert served == sorted(served, key=order.index)
    assert list(dict.fromkeys(served)) == order
    used, limits = (ten.gauges(f"mesh_quota_{name}") for name in ("used", "limit"))
    for before, after in itertools.pairwise(order):
        first = routes[served.index(after)]
        passed = {vendor_of(each.offer): each for each in first.passed_over}
        assert list(passed) == order[: order.index(after)]
        assert passed[before].reason == "budget"
        budget = passed[before].budget
        assert vendor_of(budget) == before
        # Everything is used, or of tokens and money so much that there is no room for one more.
        assert limits[budget] - used[budget] < {MONTHLY: TOKENS, CREDIT: 5_100_000}.get(budget, 1)
