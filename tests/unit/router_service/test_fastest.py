"""Under `fastest` a router goes by what it has measured itself, from the calls it makes anyway."""

from collections.abc import AsyncIterator

import pytest
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, model, use_case, vendor

BOTH = ("alpha/one", "beta/two")
KNOWN = catalog(
    vendor("alpha", model("one")),
    vendor("beta", model("two")),
    use_cases=(use_case(strategy="fastest", candidates={"standard": BOTH}),),
)


@pytest.fixture
async def running() -> AsyncIterator[House]:
    async with house(KNOWN) as made:
        yield made


@pytest.mark.parametrize("streamed", [True, False])
async def test_each_is_measured_once_and_then_the_faster_one_serves_until_it_is_slow_itself(running, streamed):
    async def ask() -> str:
        if streamed:
            (offer,) = (await running.stream()).starts
            return offer
        route = (await running.generate()).route
        assert not route.fallback_used  # whom the strategy puts first is the first choice
        return route.offer

    assert {await ask(), await ask()} == {"alpha/one#1", "beta/two#1"}
    speeds, clock = running.tools.speeds, running.tools.clock
    for slow, fast, seconds in (("alpha/one#1", "beta/two#1", 1e3), ("beta/two#1", "alpha/one#1", 1e6)):
        speeds.observe(slow, seconds, clock.monotonic(), streamed=streamed)
        assert await ask() == fast
    assert {name: len(provider.calls) for name, provider in running.providers.items()} == {"alpha": 2, "beta": 2}
