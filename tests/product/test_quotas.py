"""The quota rows that need no scenario file: exact under concurrency, never refused while the local server lives."""

from collections import Counter

import pytest
from fixtures.customer import together, vendor_of


@pytest.fixture(scope="module")
def burst(_whole):
    """Send 50 requests at once down a chain of which groq has 10 left and gemini 40; return routes and arrivals."""
    _whole.tap.forget()
    routes = [answer.route for answer in together(50, lambda: _whole.generate(use_case="chain"))]
    return routes, Counter(heard.vendor for heard in _whole.tap.chats)


@pytest.mark.product("P-QUOTA-10")
def test_of_50_concurrent_requests_with_10_left_exactly_10_go_there_and_40_to_the_next(burst):
    routes, arrivals = burst
    assert Counter(route.vendor for route in routes) == {"groq": 10, "gemini": 40}
    assert arrivals == {"groq": 10, "gemini": 40}


@pytest.mark.product("P-QUOTA-9")
def test_with_all_metered_quotas_at_0_64_callers_at_once_are_all_served_by_the_local_server(burst, whole):
    used = {budget.id: budget.left for budget in whole.budgets().budgets if budget.limit in (10, 40)}
    assert used["groq/default/qwen/qwen3.8-27b/requests/rolling:86400s"] == 0
    assert used["gemini/default/gemini-3.1-flash-lite/requests/rolling:86400s"] == 0
    whole.tap.latency("ollama", 20, 0)
    routes = [answer.route for answer in together(64, lambda: whole.generate(use_case="chain"))]
    assert {route.offer for route in routes} == {"ollama/mistral:7b#1"}
    assert [len(route.attempts) for route in routes] == [1] * 64
    assert Counter(heard.vendor for heard in whole.tap.chats) == {"ollama": 64}
    # They waited their turn: the server of this mesh takes four at a time.
    assert whole.tap.counts("ollama")["max_in_flight"] == 4
    assert vendor_of(whole.explain(use_case="chain").offers[-1].offer) == "ollama"
