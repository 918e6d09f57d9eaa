"""Who would serve each use case at each tier, who lately served in another's place, and what was spent."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fixtures.fake_provider import fails
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, model, price, timeouts, use_case, vendor
from llmmesh.quota.v1 import quota_pb2

from catalog.model import Limit, Plan
from catalog.window import parse_window
from meshkit.errors import Reason
from router_service.interface import Standing

LONG = 60.0
ONE = {"local": Plan("local", (Limit("concurrency", parse_window("now"), 1),))}
MANY = [f"m{number}" for number in range(10)]
KNOWN = catalog(
    vendor("alpha", model("one", price=price(2.0))),
    vendor("many", *(model(name, price=price(1.0)) for name in MANY)),
    vendor("home", model("llama"), plan="local", local=True, plans=ONE),
    vendor("vectors", model("wide", model_class="embedding", price=price(1.0))),
    use_cases=(
        use_case("default", candidates={"standard": ("alpha/one", "home/llama")}, default_tier="standard"),
        use_case("long", candidates={"standard": tuple(f"many/{name}" for name in MANY)}, default_tier="standard"),
        use_case("embedding", candidates={"standard": ("vectors/wide",)}, default_tier="standard"),
    ),
)


@pytest.fixture
async def running() -> AsyncIterator[House]:
    async with house(KNOWN, silence=1.0, limits=timeouts(quota_grace=3.0)) as made:
        yield made


async def standings(running: House) -> dict[tuple[str, str], Standing]:
    return {(each.use_case, each.tier): each for each in await running.router.standings()}


async def test_every_use_case_is_told_at_every_tier_with_who_would_serve_and_by_which_plan(running: House) -> None:
    found = await standings(running)
    assert set(found) == {
        (use_case, tier)
        for use_case in ("default", "long", "embedding")
        for tier in ("free", "ultra_economy", "economy", "standard", "premium")
    }
    assert found["default", "standard"] == Standing("default", "standard", usual=True, offer="alpha/one#1", plan="paid")
    assert found["embedding", "standard"].offer == "vectors/wide#1"
    assert [tier for (use_case, tier), each in found.items() if use_case == "default" and each.usual] == ["standard"]


async def test_nothing_is_held_by_asking(running: House) -> None:
    await running.router.standings()
    assert running.quota.open_holds == []
    assert running.quota.holds == {}


async def test_who_has_no_room_is_passed_over_however_far_down_the_next_one_is(running: House) -> None:
    running.quota.room |= {f"many/{name}#1": 0 for name in MANY[:-1]}
    assert (await standings(running))["long", "standard"].offer == "many/m9#1"
    running.quota.room["many/m9#1"] = 0
    nobody = (await standings(running))["long", "standard"]
    assert (nobody.offer, nobody.why_nobody) == (
        "",
        "many/m0#1: many/m0#1/requests/day has 0 of 10 requests left",
    )


async def test_of_an_offer_left_out_it_is_said_why() -> None:
    async with house(KNOWN, slots={"many": ()}) as running:
        nobody = (await standings(running))["long", "standard"]
    assert (nobody.offer, nobody.why_nobody) == ("", "many/m0: no API key for many")


async def test_while_the_ledger_is_silent_only_what_goes_on_without_it_stands(running: House) -> None:
    running.quota.gate.clear()
    await running.failure(timeout=LONG, model="alpha/one")  # the silence is felt
    found = await standings(running)
    assert found["default", "standard"].offer == "home/llama#1"
    assert found["long", "standard"].why_nobody == "the ledger does not answer"
    running.quota.gate.set()


async def test_a_fallback_is_remembered_with_who_was_wanted_and_why_in_one_word(running: House) -> None:
    assert running.router.fallbacks() == ()
    await running.generate(timeout=LONG, use_case="default")
    assert running.router.fallbacks() == ()
    running.provider("alpha").script.append(fails(Reason.VENDOR_SERVER))
    await running.generate(timeout=LONG, use_case="default")
    running.quota.room["alpha/one#1"] = 0
    await running.stream(timeout=LONG, use_case="default")
    newest, first = running.router.fallbacks()
    for each, reason in ((newest, "budget"), (first, "vendor_server")):
        assert (each.use_case, each.tier, each.wanted, each.offer, each.reason) == (
            "default",
            "standard",
            "alpha/one",
            "home/llama#1",
            reason,
        )
    assert newest.at >= first.at


async def test_spend_is_what_the_ledger_has_in_its_books(tmp_path: Path) -> None:
    async with house(KNOWN, ledger=tmp_path / "ledger.db") as running:
        await running.generate(timeout=LONG, model="alpha/one")
        request = quota_pb2.QuerySpendRequest(group_by=["vendor", "outcome"])
        for _ in range(500):
            if rows := (await running.router.spend(request)).rows:
                break
        assert [(row.vendor, row.outcome, row.attempts) for row in rows] == [("alpha", "served", 1)]
