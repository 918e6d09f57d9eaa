"""How the mesh says it is: who would serve a request like the last one, who stands in for whom, what is broken."""

from collections.abc import AsyncIterator

import pytest
from fixtures.router_house import House, eventually, house
from fixtures.small_mesh import catalog, model, timeouts, use_case, vendor
from llmmesh.router.v1 import router_pb2

from catalog.model import Limit, Plan
from catalog.window import parse_window

LONG = 60.0
ONE = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1),))}
HOME = vendor("home", model("llama"), plan="local", local=True, plans=ONE)
KNOWN = catalog(
    vendor("alpha", model("one")),
    HOME,
    use_cases=(
        use_case("default", candidates={"standard": ("home/llama", "alpha/one")}, default_tier="standard"),
        use_case("chain", candidates={"standard": ("alpha/one", "home/llama")}, default_tier="standard"),
    ),
)


@pytest.fixture
async def both() -> AsyncIterator[House]:
    async with house(KNOWN, silence=1.0, limits=timeouts(quota_grace=3.0)) as made:
        yield made


async def health(running: House) -> router_pb2.GetHealthResponse:
    """Ask how the mesh is."""
    return await running.stub.GetHealth(router_pb2.GetHealthRequest(), timeout=LONG)


async def test_before_any_request_it_is_said_for_the_default_use_case(both: House) -> None:
    told = await health(both)
    assert (told.can_serve, told.use_case, list(told.serving)) == (True, "default", ["home/llama#1", "alpha/one#1"])
    assert (told.local_fallback, told.problem, list(told.warnings)) == (False, "", [])


async def test_it_is_said_for_the_last_request_that_left_the_choice_to_the_mesh(both: House) -> None:
    await both.generate(timeout=LONG, use_case="chain")
    assert (await health(both)).use_case == "chain"
    for intent in ({"model": "home/llama"}, {"use_case": "default", "deny_vendors": ["alpha"]}):
        await both.generate(timeout=LONG, **intent)
    told = await health(both)
    assert (told.use_case, told.serving[0]) == ("chain", "alpha/one#1")


async def test_a_local_model_that_comes_first_stands_in_for_nobody(both: House) -> None:
    await both.generate(timeout=LONG, use_case="default")
    assert (await health(both)).local_fallback is False


async def test_a_local_model_that_serves_in_another_s_place_stands_in_until_that_one_can_serve_again(
    both: House,
) -> None:
    both.quota.room["alpha/one#1"] = 0
    assert (await both.generate(timeout=LONG, use_case="chain")).route.vendor == "home"
    first = await health(both)
    assert (list(first.serving), first.local_fallback) == (["home/llama#1"], True)
    assert (await health(both)).local_since == first.local_since
    both.quota.room["alpha/one#1"] = 5
    told = await health(both)
    assert (told.serving[0], told.local_fallback, told.HasField("local_since")) == ("alpha/one#1", False, False)


async def test_without_room_anywhere_nothing_can_serve_and_it_is_said_why(both: House) -> None:
    both.quota.room |= {"alpha/one#1": 0, "home/llama#1": 0}
    told = await health(both)
    assert (told.can_serve, list(told.serving), told.local_fallback) == (False, [], False)
    assert told.problem == "home/llama#1: home/llama#1/requests/day has 0 of 10 requests left"


async def test_while_the_ledger_is_silent_there_are_no_figures_and_only_what_goes_on_without_it_serves(
    both: House,
) -> None:
    both.quota.gate.clear()
    await both.generate(timeout=LONG, use_case="chain")
    told = await health(both)
    assert list(told.serving) == ["home/llama#1"]
    assert (told.local_fallback, told.HasField("local_since")) == (True, True)
    assert any(warning.startswith("ledger: silent") for warning in told.warnings)
    assert [list(vendor.quotas) for vendor in told.vendors] == [[], []]
    both.quota.gate.set()
    await eventually(lambda: both.tools.quota.notes() == {}, within=LONG)
    assert list((await health(both)).serving) == ["alpha/one#1", "home/llama#1"]


async def test_a_ledger_that_was_not_known_to_be_silent_is_found_out(both: House) -> None:
    both.quota.gate.clear()
    told = await health(both)
    assert list(told.serving) == ["home/llama#1"]
    assert any(warning.startswith("ledger: ") for warning in told.warnings)
