"""Under `spread` each account serves its share of a day, and what nobody has a share for goes on as listed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures.fake_provider import answers, fails
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, use_case, vendor

from catalog.model import Limit, Plan
from catalog.window import parse_window
from meshkit.errors import Reason

SHARE = 12
CHAIN = ("first/one", "second/two", "scarce/three", "home/llama")
FOUR_A_DAY = {"paid": Plan("paid", limits=(Limit("requests", parse_window("day"), 4),))}
ONE_AT_A_TIME = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1, "model"),))}
KNOWN = catalog(
    vendor("first", model("one")),
    vendor("second", model("two")),
    vendor("scarce", model("three"), plans=FOUR_A_DAY),
    vendor("home", model("llama"), plan="local", local=True, plans=ONE_AT_A_TIME),
    use_cases=(use_case(strategy="spread", spread_share=SHARE, candidates={"standard": CHAIN}), use_case("other")),
)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[House]:
    async with house(KNOWN, ledger=tmp_path / "ledger.db") as made:
        yield made


async def ask(running: House, requests: int, at_once: int = 16, **intent: str) -> Counter[str]:
    """Send requests, so many at a time; return how many each vendor served."""
    gate = asyncio.Semaphore(at_once)

    async def one() -> str:
        async with gate:
            return (await running.generate(timeout=30, **intent)).route.vendor

    return Counter(await asyncio.gather(*(one() for _ in range(requests))))


@pytest.mark.parametrize("at_once", [1, 16])
async def test_each_serves_its_share_exactly_a_scarce_one_its_quota_and_the_last_one_the_rest(running, at_once):
    served = await ask(running, 2 * SHARE + 4 + 5, at_once)
    assert served == {"first": SHARE, "second": SHARE, "scarce": 4, "home": 5}


async def test_when_all_shares_are_used_up_the_offers_serve_as_listed(running):
    served = await ask(running, 3 * SHARE + 4 + 7)
    assert served == {"first": SHARE + 7, "second": SHARE, "scarce": 4, "home": SHARE}
    route = (await running.generate()).route
    assert (route.vendor, route.fallback_used, len(route.attempts)) == ("first", False, 1)


async def test_a_local_model_that_stays_busy_is_not_waited_for_as_long_as_others_have_room(running):
    gate = asyncio.Event()
    running.provider("home").script.append(answers(gate=gate))
    await ask(running, 2 * SHARE + 4)
    busy = asyncio.create_task(running.generate(timeout=60))
    await eventually(lambda: running.provider("home").calls, within=30)
    route = (await running.generate(timeout=4)).route
    assert (route.vendor, [attempt.outcome for attempt in route.attempts]) == ("first", ["served"])
    gate.set()
    assert (await busy).route.vendor == "home"


async def test_who_names_a_model_and_who_asks_for_something_else_takes_from_no_share(running):
    assert await ask(running, SHARE + 1, model="first/one") == {"first": SHARE + 1}
    assert await ask(running, SHARE + 1, preferred_model="first/one") == {"first": SHARE + 1}
    assert (await ask(running, SHARE + 1, use_case="other")).total() == SHARE + 1
    assert await ask(running, SHARE) == {"first": SHARE}


async def test_who_failed_is_not_asked_again_beyond_its_share(running):
    running.provider("first").script.append(fails(Reason.VENDOR_SERVER))
    await ask(running, 3 * SHARE + 4 - 1)  # the failure has used one of the shares
    for name in ("first", "second", "home"):
        running.provider(name).script.append(fails(Reason.VENDOR_SERVER))
    failure = await running.failure()
    assert failure.reason is Reason.ROUTE_EXHAUSTED
    calls = Counter({name: len(provider.calls) for name, provider in running.providers.items()})
    assert calls == {"first": SHARE + 1, "second": SHARE + 1, "scarce": 4, "home": SHARE + 1}
