"""A conversation goes on where it was served last, as long as that offer would be in the plan anyway."""

from collections.abc import AsyncIterator

import pytest
from fixtures.fake_provider import fails
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, model, use_case, vendor

from meshkit.errors import Reason
from router_service.conversations import MOST, SECONDS, Conversations

BOTH = ("alpha/one", "beta/two")
KNOWN = catalog(
    vendor("alpha", model("one", capabilities=frozenset({"tools", "vision"}))),
    vendor("beta", model("two")),
    use_cases=(use_case(candidates={"standard": BOTH}),),
)
TALK = {"conversation_id": "talk"}


@pytest.fixture
async def running() -> AsyncIterator[House]:
    async with house(KNOWN) as made:
        yield made


async def moved(running: House) -> None:
    """Let the conversation move to the second candidate."""
    running.provider("alpha").script.append(fails(Reason.VENDOR_SERVER))
    route = (await running.generate(**TALK)).route
    assert (route.offer, route.fallback_used) == ("beta/two#1", True)


async def test_it_stays_with_who_served_last_and_that_is_no_fallback(running):
    await moved(running)
    route = (await running.generate(**TALK)).route
    assert (route.offer, route.fallback_used, route.primary_error) == ("beta/two#1", False, "")
    told = await running.stream(**TALK)
    assert told.starts == ["beta/two#1"]


async def test_other_conversations_and_requests_without_one_go_as_listed(running):
    await moved(running)
    for other in ({"conversation_id": "other"}, {}):
        assert (await running.generate(**other)).route.offer == "alpha/one#1"


async def test_it_moves_on_when_that_offer_may_not_serve_or_cannot(running):
    await moved(running)
    assert (await running.generate(**TALK, requirements=["vision"])).route.offer == "alpha/one#1"
    assert (await running.generate(**TALK)).route.offer == "alpha/one#1"  # who served last, again
    await moved(running)
    assert (await running.generate(**TALK, deny_vendors=["beta"])).route.offer == "alpha/one#1"
    await moved(running)
    running.provider("beta").script.append(fails(Reason.VENDOR_SERVER))
    route = (await running.generate(**TALK)).route
    assert (route.offer, route.fallback_used) == ("alpha/one#1", True)
    assert route.primary_error.startswith("VENDOR_SERVER")


async def test_what_the_caller_names_comes_before_it(running):
    await moved(running)
    for asked in ({"model": "alpha/one"}, {"preferred_model": "alpha/one"}, {"candidates": BOTH}):
        assert (await running.generate(conversation_id=f"talk {asked}", **asked)).route.offer == "alpha/one#1"
        assert (await running.generate(**TALK, **asked)).route.offer == "alpha/one#1"
        await moved(running)


def test_it_is_forgotten_after_a_while_and_the_oldest_when_there_are_too_many():
    known = Conversations()
    known.served("t", "old", "alpha/one#1", 0.0)
    known.served("t", "kept", "alpha/one#1", 0.0)
    assert known.last_offer("t", "old", SECONDS - 1) == "alpha/one#1"
    assert known.last_offer("t", "old", SECONDS) == ""
    for number in range(MOST - 2):
        known.served("t", f"{number}", "beta/two#1", 1.0)
    known.served("t", "kept", "alpha/one#1", 1.0)
    known.served("t", "one too many", "beta/two#1", 1.0)
    assert known.last_offer("t", "old", 1.0) == ""
    assert known.last_offer("t", "kept", 1.0) == "alpha/one#1"
    known.served("t", "", "beta/two#1", 1.0)
    assert (known.last_offer("t", "", 1.0), known.last_offer("other", "kept", 1.0)) == ("", "")
