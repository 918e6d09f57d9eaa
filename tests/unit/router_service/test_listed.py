"""Models that only a vendor's own list knows may be pinned; models a local server does not have are left out."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fixtures.router_house import House, house
from fixtures.small_mesh import catalog, model, price, vendor
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1.provider_pb2 import DescribeResponse
from llmmesh.router.v1 import router_pb2

from catalog.model import LongContextPrice, Price
from meshkit.errors import MeshError, Reason
from router_service import listed

HOME = vendor(
    "home",
    model("llama", price=price(0)),
    model("mistral", price=price(0)),
    plan="local",
    local=True,
    open_models=True,
    aliases=("local",),
)
HUB = vendor("hub", model("known"), open_models=True)
SHOP = vendor("shop", model("thing"))


@pytest.fixture
async def running() -> AsyncIterator[House]:
    async with house(catalog(HOME, HUB, SHOP)) as made:
        await made.lists("home", llama=8_000, qwen3_4b=32_000)
        await made.lists("hub", known=8_000, **{"maker/new": 100})
        await made.lists("shop", secret=8_000)
        yield made


async def names(running: House, *, everything: bool = False) -> dict[str, router_pb2.Model]:
    answer = await running.stub.ListModels(router_pb2.ListModelsRequest(all=everything), timeout=5)
    return {model.id: model for model in answer.models}


@pytest.mark.parametrize("name", ["home/qwen3:4b", "local/qwen3:4b", "HOME/QWEN3:4B"])
async def test_a_model_that_only_the_local_server_knows_may_be_pinned_and_costs_nothing(running, name):
    reply = await running.generate(model=name, tier=router_pb2.TIER_FREE, max_cost_nanos=0)
    assert reply.route.offer == "home/qwen3:4b#1"
    assert (reply.route.total_cost_nanos, reply.completion.usage.unpriced) == (0, False)
    assert running.provider("home").calls[-1].request.target.model == "qwen3:4b"


async def test_it_is_never_chosen_only_pinned(running):
    request = router_pb2.ExplainRouteRequest(
        intent=router_pb2.Intent(preferred_model="home/qwen3:4b"), prompt=asked("Hi")
    )
    told = await running.stub.ExplainRoute(request, timeout=5)
    assert "home/qwen3:4b#1" not in [offer.offer for offer in told.offers]
    reasons = {excluded.offer: (excluded.reason, excluded.detail) for excluded in told.excluded}
    why = "home/qwen3:4b is known from its vendor's own list alone; it is used only when pinned"
    assert reasons["home/qwen3:4b#1"] == ("not_candidate", why)


async def test_alone_its_name_means_nothing(running):
    error = await running.failure(model="qwen3:4b")
    assert (error.reason, error.message) == (Reason.UNKNOWN_MODEL, "unknown model `qwen3:4b`; closest: home/qwen3:4b")


async def test_its_context_is_what_the_list_says_and_what_it_can_do_the_vendor_will_say(running):
    error = await running.failure("x" * 1_000, model="hub/maker/new")
    assert error.reason is Reason.VENDOR_CONTEXT
    reply = await running.generate(model="home/qwen3:4b", requirements=["vision", "reasoning"])
    assert reply.route.model == "qwen3:4b"


async def test_elsewhere_its_price_is_unknown_and_whoever_has_a_cap_is_refused(running):
    reply = await running.generate(model="hub/maker/new")
    assert reply.completion.usage.unpriced
    error = await running.failure(model="hub/maker/new", max_cost_nanos=10**12)
    assert (error.reason, error.message) == (
        Reason.NO_OFFER,
        "the price of hub/maker/new is unknown; no cap would admit hub/maker/new#1",
    )


PRICED = DescribeResponse.Price(input_nanos=2_000_000_000, output_nanos=4_000_000_000)
CENT = 10_000_000


def told(name: str, **more: Any) -> DescribeResponse.DiscoveredModel:
    return DescribeResponse.DiscoveredModel(id=name, **more)


async def test_a_price_that_the_list_tells_is_what_is_held_charged_and_shown(running):
    await running.lists("hub", told("maker/new", price=PRICED, capabilities=["tools"], max_output_tokens=50))
    reply = await running.generate(model="hub/maker/new")
    used = reply.completion.usage
    assert (used.input_tokens, used.output_tokens) == (100, 20)  # what the fake vendor counts
    assert (used.cost_nanos, used.list_cost_nanos, used.unpriced) == (280_000, 280_000, False)
    held = running.quota.reserves[-1].offers[0]
    assert held.cost_nanos == 2_000 * held.input_tokens + 4_000 * 50
    assert await running.settled()
    shown = (await names(running, everything=True))["hub/maker/new"]
    assert (shown.input_price_nanos, shown.output_price_nanos) == (2_000_000_000, 4_000_000_000)
    assert (shown.status, list(shown.capabilities)) == ("unknown", ["tools"])


async def test_a_price_that_the_list_tells_is_held_against_the_caps(running):
    await running.lists("hub", told("maker/new", price=PRICED))
    explained = await running.stub.ExplainRoute(
        router_pb2.ExplainRouteRequest(intent=router_pb2.Intent(model="hub/maker/new", tier=router_pb2.TIER_STANDARD)),
        timeout=5,
    )
    assert [(offer.offer, offer.blended_price_nanos) for offer in explained.offers] == [
        ("hub/maker/new#1", 2_500_000_000)
    ]
    error = await running.failure(model="hub/maker/new", tier=router_pb2.TIER_ECONOMY)
    assert (error.reason, error.message) == (
        Reason.NO_OFFER,
        "2.5 USD per 1M blended; the cap of tier economy is 1; tier standard would admit hub/maker/new#1",
    )
    assert (await running.generate(model="hub/maker/new", max_cost_nanos=CENT)).completion.usage.cost_nanos == 280_000
    assert "the request allows 1" in (await running.failure(model="hub/maker/new", max_cost_nanos=1)).message


async def test_a_model_that_its_list_gives_away_costs_nothing_and_that_is_known(running):
    await running.lists("hub", told("maker/new", price=DescribeResponse.Price()))
    reply = await running.generate(model="hub/maker/new", max_cost_nanos=0)
    assert (reply.completion.usage.cost_nanos, reply.completion.usage.unpriced) == (0, False)


async def test_what_its_list_says_a_model_cannot_do_is_not_asked_of_it(running):
    await running.lists("hub", told("maker/new", capabilities=["tools"], lacks=["vision", "json_schema"]))
    error = await running.failure(model="hub/maker/new", requirements=["tools", "vision"])
    why = "hub/maker/new has no vision, says its vendor's list"
    assert (error.reason, error.message) == (Reason.INVALID_REQUEST, why)
    assert (await running.generate(model="hub/maker/new", requirements=["tools", "reasoning"])).route.model


async def test_a_model_whose_list_names_a_last_day_that_is_over_has_ended(running):
    await running.lists("hub", told("maker/new", retired_on="2025-01-24"), told("maker/newer", retired_on="2999-01-01"))
    error = await running.failure(model="hub/maker/new")
    assert error.message == "hub/maker/new was retired on 2025-01-24"
    assert (await running.generate(model="hub/maker/newer")).route.model == "maker/newer"


def read(**more: Any) -> listed.Listed:
    return listed.read([told("new", **more)])[0]


def test_a_listed_price_has_all_that_a_row_can_say():
    long = DescribeResponse.LongContext(above=9, input_nanos=5, output_nanos=6, cache_write_nanos=7)
    price = DescribeResponse.Price(
        input_nanos=1, output_nanos=2, cached_input_nanos=0, request_nanos=3, long_context=long
    )
    expected = Price(
        1,
        2,
        cached_input=0,
        cache_write=1,
        request=3,
        long_context=LongContextPrice(9, 5, 6, cached_input=5, cache_write=7),
    )
    assert read(price=price).price == expected


@pytest.mark.parametrize(
    "amounts",
    [{"input_nanos": -1}, {"output_nanos": 2**62}, {"request_nanos": -5}, {"long_context": {"input_nanos": -1}}],
    ids=str,
)
def test_an_amount_that_is_none_leaves_the_price_unknown(amounts):
    assert read(price=DescribeResponse.Price(**amounts)).price is None


def test_a_model_that_thinks_by_its_list_is_given_the_time_to():
    for capabilities, expected in ((["reasoning"], "reasoning"), (["tools"], "chat"), ([], "chat")):
        known = listed.with_lists(catalog(HUB), {"hub": (read(capabilities=capabilities),)})
        assert known.vendors["hub"].models["new"].model_class == expected


def test_sizes_and_days_that_are_none_are_unknown():
    odd = read(context_window=-1, max_output_tokens=-1, retired_on="soon")
    assert (odd.context_window, odd.max_output_tokens, odd.retired_on) == (0, 0, None)


async def test_a_vendor_whose_rows_are_all_there_is_has_no_others(running):
    assert (await running.failure(model="shop/secret")).reason is Reason.UNKNOWN_MODEL


async def test_models_are_listed_with_those_of_the_server_itself_and_without_those_it_lacks(running):
    listed = await names(running)
    everything = await names(running, everything=True)
    assert set(listed) == {"home/llama", "home/qwen3:4b", "hub/known", "shop/thing"}
    assert (listed["home/qwen3:4b"].model_class, listed["home/qwen3:4b"].input_price_nanos) == ("local", 0)
    new = everything["hub/maker/new"]  # nobody has looked at what a vendor lists beyond its rows
    assert (new.status, new.usable, new.HasField("input_price_nanos")) == ("unknown", True, False)
    assert not everything["home/mistral"].usable


async def test_what_the_local_server_does_not_have_is_not_tried_unless_it_is_pinned(running):
    told = await running.stub.ExplainRoute(
        router_pb2.ExplainRouteRequest(intent=router_pb2.Intent(tier=router_pb2.TIER_FREE), prompt=asked("Hi")),
        timeout=5,
    )
    assert [offer.offer for offer in told.offers] == ["home/llama#1"]
    reasons = {excluded.offer: (excluded.reason, excluded.detail) for excluded in told.excluded}
    assert reasons["home/mistral#1"] == ("not_installed", "the server of home does not have mistral")
    assert (await running.generate(model="home/mistral")).route.model == "mistral"


async def test_a_model_that_is_pulled_later_is_noticed_and_so_is_one_that_goes(running):
    await running.lists("home", llama=8_000, mistral=8_000)
    assert "home/mistral" in await names(running)
    with pytest.raises(MeshError, match="unknown model"):
        await running.generate(model="home/qwen3:4b")


async def test_a_server_that_lists_nothing_has_what_the_catalogue_says():
    async with house(catalog(HOME)) as running:
        assert set(await names(running)) == {"home/llama", "home/mistral"}


def asked(text):
    prompt = router_pb2.ExplainRouteRequest().prompt
    prompt.messages.add(role=chat_pb2.ROLE_USER).parts.add().text.text = text
    return prompt
