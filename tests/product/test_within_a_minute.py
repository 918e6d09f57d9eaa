"""A limit by the minute, over more than one minute. The name puts this file last: the first minute is over by then."""

import time
from itertools import pairwise

import pytest
from fixtures.customer import together
from fixtures.observation import wait_until

LIMIT = 10


@pytest.mark.product("P-OPS-9")
def test_a_vendor_limited_to_10_a_minute_receives_at_most_10_in_any_minute_and_the_rest_move_on(whole):
    def arrivals():
        return [
            heard.at
            for heard in whole.tap.ever
            if heard.vendor == "groq" and heard.body and heard.json["model"] == "openai/gpt-oss-safeguard-20b"
        ]

    assert len(arrivals()) == LIMIT  # of 30 callers at the start of this mesh
    first = arrivals()[0]

    def room_again():
        return whole.generate(use_case="by_the_minute").route.vendor == "groq"

    wait_until(room_again, 75, "the minute to pass")
    assert time.monotonic() - first > 60
    routes = [answer.route for answer in together(30, lambda: whole.generate(use_case="by_the_minute"))]
    assert [route.vendor for route in routes].count("groq") == LIMIT - 1
    assert {route.vendor for route in routes} == {"groq", "ollama"}
    times = arrivals()
    assert len(times) == 2 * LIMIT
    assert all(later - earlier > 60 for earlier, later in zip(times, times[LIMIT:], strict=False))
    assert all(earlier <= later for earlier, later in pairwise(times))
