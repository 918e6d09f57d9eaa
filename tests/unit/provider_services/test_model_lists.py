"""What vendors' own lists of models say: prices, sizes and abilities, and nothing that crashes whoever reads it."""

import contextlib
import json
from typing import Any

import pytest
from aiohttp import web
from fixtures.clock import ManualClock
from fixtures.provider import provider
from fixtures.vendor_server import http_vendor
from hypothesis import given
from hypothesis import strategies as st
from llmmesh.provider.v1.provider_pb2 import CheckCredentialsRequest, DescribeRequest, DescribeResponse

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS, listed_prices, model_list
from provider_services.dialects.interface import HttpReply, VendorFault

Price = DescribeResponse.Price
LongContext = DescribeResponse.LongContext
USD = 10**9
MALFORMED = [3, "rows", True, {"id": "a"}]


def reply(body: Any) -> HttpReply:
    return HttpReply(200, {}, json.dumps(body).encode())


def rows(*models: Any) -> dict[str, DescribeResponse.DiscoveredModel]:
    return {model.id: model for model in model_list.decode(reply({"data": models}))}


def row(**more: Any) -> DescribeResponse.DiscoveredModel:
    return rows({"id": "a", **more})["a"]


# Lists that are none


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize("value", MALFORMED, ids=str)
def test_what_is_no_list_is_the_vendors_fault_and_not_ours(dialect: str, value: Any) -> None:
    with pytest.raises(VendorFault) as caught:
        DIALECTS[dialect].decode_models(reply({"data": value, "models": value}))
    assert caught.value.fault.reason is Reason.VENDOR_SERVER


@pytest.mark.parametrize("body", [3, "models", None, True], ids=str)
@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_neither_is_what_is_no_object(dialect: str, body: Any) -> None:
    with pytest.raises(VendorFault):
        DIALECTS[dialect].decode_models(reply(body))


@pytest.mark.parametrize("vendor", ["openai", "gemini", "groq"])
async def test_a_key_whose_vendor_answers_with_nonsense_is_not_accepted_and_the_vendor_is_named_as_the_reason(
    vendor: str,
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"data": 3, "models": 3})

    async with http_vendor(handler) as url, provider(vendor, url) as stub:
        checked = await stub.CheckCredentials(CheckCredentialsRequest(), timeout=5)
    assert {(each.accepted, each.reason) for each in checked.results if each.slot == 1} == {(False, "VENDOR_SERVER")}


WORDS = st.sampled_from(
    [
        "id",
        "name",
        "data",
        "models",
        "pricing",
        "prompt",
        "completion",
        "input",
        "output",
        "unit",
        "request",
        "overrides",
        "min_prompt_tokens",
        "providers",
        "provider",
        "status",
        "metadata",
        "top_provider",
        "max_completion_tokens",
        "context_length",
        "supported_parameters",
        "architecture",
        "input_modalities",
        "expiration_date",
        "supportedGenerationMethods",
        "endpoints",
        "supports_tools",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["live", "image", "0.1", "-1", "2026-10-23", "usd_per_1m_tokens", "", "a"])
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=20
)


@given(st.sampled_from(sorted(DIALECTS)), ANY_JSON)
def test_no_json_crashes_a_reader_and_no_price_is_negative(dialect: str, value: Any) -> None:
    with contextlib.suppress(VendorFault):
        for model in DIALECTS[dialect].decode_models(reply({"data": value, "models": value})):
            assert min(model.price.input_nanos, model.price.output_nanos, model.context_window) >= 0


# Prices


@pytest.mark.parametrize(
    ("pricing", "into", "out"),
    [
        ({"prompt": "0.00000005", "completion": "0.0000004"}, 50_000_000, 400_000_000),
        ({"prompt": "0.0000006", "completion": "2.4e-06"}, 600_000_000, 2_400_000_000),
        ({"prompt": 3e-07, "completion": 0.0000012}, 300_000_000, 1_200_000_000),
        ({"prompt": "0", "completion": "0"}, 0, 0),
        ({"prompt": " 0.000001 ", "completion": "-0"}, USD, 0),
        ({"prompt": "0.0000000000000000000001", "completion": "1e-99"}, 1, 1),
        ({"input": 0.3, "output": 1.2}, 300_000_000, 1_200_000_000),
        ({"input": 10, "output": 50, "unit": "usd_per_1m_tokens"}, 10 * USD, 50 * USD),
        ({"input_tokens": 0.04, "output_tokens": 0.16}, 40_000_000, 160_000_000),
        ({"prompt": "0.000003", "completion": "0.000008", "internal_reasoning": "0.00001"}, 3 * USD, 10 * USD),
        ({"prompt": "0.000003", "completion": "0.000008", "internal_reasoning": "0"}, 3 * USD, 8 * USD),
    ],
    ids=str,
)
def test_a_price_is_read_to_the_nano_dollar_and_rounded_up(pricing: Any, into: int, out: int) -> None:
    assert listed_prices.read(pricing) == (Price(input_nanos=into, output_nanos=out), "")


def test_prices_of_the_cache_and_of_a_request_are_read() -> None:
    told = {"prompt": "0.000003", "completion": "0.000015", "request": "0.005", "image": "0.0048"}
    cache = {"input_cache_read": "0.0000003", "input_cache_write": "0.00000375", "input_cache_write_1h": "0.000006"}
    expected = Price(
        input_nanos=3 * USD,
        output_nanos=15 * USD,
        cached_input_nanos=300_000_000,
        cache_write_nanos=3_750_000_000,
        request_nanos=5_000_000,
    )
    assert listed_prices.read(told | cache) == (expected, "")


@pytest.mark.parametrize(
    "pricing",
    [None, {}, {"image": "0.1"}, {"prompt": None, "completion": None}, {"prompt": "-1", "completion": "-1"}],
    ids=str,
)
def test_a_price_that_is_not_told_or_that_varies_is_unknown_and_nothing_to_complain_of(pricing: Any) -> None:
    assert listed_prices.read(pricing) == (None, "")


@pytest.mark.parametrize(
    ("pricing", "problem"),
    [
        ("free", "pricing is no object"),
        ([], "pricing is no object"),
        ({"prompt": "cheap", "completion": "0"}, "pricing.prompt is no amount of dollars"),
        ({"prompt": "0.1", "completion": ""}, "pricing.completion is no amount of dollars"),
        ({"prompt": "0", "completion": "NaN"}, "pricing.completion is no amount of dollars"),
        ({"prompt": "0", "completion": "Infinity"}, "pricing.completion is no amount of dollars"),
        ({"prompt": True, "completion": "0"}, "pricing.prompt is no amount of dollars"),
        ({"prompt": {}, "completion": "0"}, "pricing.prompt is no amount of dollars"),
        ({"prompt": "2", "completion": "0"}, "pricing.prompt is no amount of dollars"),  # two dollars for each token
        ({"prompt": "9e999999", "completion": "0"}, "pricing.prompt is no amount of dollars"),
        ({"prompt": "0." + "1" * 99, "completion": "0"}, "pricing.prompt is no amount of dollars"),
        ({"prompt": "0.1"}, "pricing.completion is missing"),
        ({"output": 1}, "pricing.input is missing"),
        ({"prompt": "0", "completion": "0", "request": "?"}, "pricing.request is no amount of dollars"),
        (
            {"prompt": "0", "completion": "0", "input_cache_read": []},
            "pricing.input_cache_read is no amount of dollars",
        ),
        ({"prompt": "0", "completion": "0", "overrides": 3}, "pricing.overrides is no list of objects"),
        ({"prompt": "0", "completion": "0", "overrides": [3]}, "pricing.overrides is no list of objects"),
        ({"prompt": "0", "completion": "0", "overrides": [{"prompt": "x"}]}, "pricing.prompt is no amount of dollars"),
        ({"input": 1, "output": 1, "unit": "eur_per_1m_tokens"}, "pricing.unit is another than usd_per_1m_tokens"),
        ({"prompt": "1", "completion": "1", "unit": "usd_per_1m_tokens"}, "pricing.unit is another than usd_per_token"),
    ],
    ids=str,
)
def test_a_price_that_cannot_be_read_is_unknown_and_says_why(pricing: Any, problem: str) -> None:
    assert listed_prices.read(pricing) == (None, problem)
    model = row(pricing=pricing)
    assert (model.HasField("price"), model.price_problem) == (False, problem)


def test_a_price_of_longer_prompts_takes_the_place_of_the_others_and_inherits_what_it_does_not_say() -> None:
    long = {"min_prompt_tokens": 200_000, "prompt": "0.000006"}
    told = {"prompt": "0.000003", "completion": "0.000015", "input_cache_read": "0.0000003", "overrides": [long]}
    price, _ = listed_prices.read(told)
    assert price is not None
    assert price.input_nanos == 3 * USD
    assert price.long_context == LongContext(
        above=199_999, input_nanos=6 * USD, output_nanos=15 * USD, cached_input_nanos=300_000_000
    )


def test_of_several_prices_that_may_count_the_dearest_does() -> None:
    base = {"prompt": "0.000002", "completion": "0.000004", "input_cache_read": "0.000001"}
    overrides = [
        {"min_prompt_tokens": 100_000, "prompt": "0.000004"},
        {"min_prompt_tokens": 50_000, "prompt": "0.000003", "completion": "0.000001"},
        {"utc_start": "16:30", "utc_end": "00:30", "prompt": "0.0000005"},
        {"utc_start": "08:00", "utc_end": "16:30", "completion": "0.000009"},
    ]
    price, _ = listed_prices.read(base | {"overrides": overrides})
    assert price is not None
    assert (price.input_nanos, price.output_nanos, price.cached_input_nanos) == (2 * USD, 9 * USD, USD)
    assert price.long_context == LongContext(
        above=49_999, input_nanos=4 * USD, output_nanos=9 * USD, cached_input_nanos=USD
    )


# Sizes, abilities, days


def test_what_a_list_says_of_a_model_is_read_in_every_spelling() -> None:
    told = row(
        context_length=400_000,
        top_provider={"context_length": 400_000, "max_completion_tokens": 128_000},
        supported_parameters=["tools", "response_format", "include_reasoning"],
        architecture={"input_modalities": ["text", "image"]},
        expiration_date="2026-10-23",
    )
    assert (told.context_window, told.max_output_tokens, told.retired_on) == (400_000, 128_000, "2026-10-23")
    assert set(told.capabilities) == {"tools", "json_object", "reasoning", "vision"}
    assert set(told.lacks) == {"json_schema"}
    other = row(metadata={"context_length": 8, "max_tokens": 4, "pricing": {"input_tokens": 1, "output_tokens": 2}})
    assert (other.context_window, other.max_output_tokens, other.price.output_nanos) == (8, 4, 2 * USD)
    assert (row(max_context_length=9).context_window, row(max_completion_tokens=7).max_output_tokens) == (9, 7)


@pytest.mark.parametrize("value", [None, "", "soon", 3, "2026-13-01", []])
def test_a_model_whose_last_day_cannot_be_read_has_none(value: Any) -> None:
    assert not row(expiration_date=value).retired_on


def test_a_list_that_says_nothing_denies_nothing() -> None:
    assert row() == DescribeResponse.DiscoveredModel(id="a")


# Routers to hosts


def host(name: str, into: float | None = 1, **more: Any) -> dict[str, Any]:
    pricing = {} if into is None else {"pricing": {"input": into, "output": 2 * into}}
    return {"provider": name, "status": "live", "context_length": 8_000, "supports_tools": True, **pricing, **more}


def test_a_model_at_several_hosts_is_listed_at_each_and_without_one_at_the_dearest_price() -> None:
    hosts = [host("one"), host("two", 3, context_length=4_000, supports_tools=False, supports_structured_output=True)]
    listed = rows({"id": "m", "architecture": {"input_modalities": ["text"]}, "providers": hosts})
    assert {name: (model.price.input_nanos, model.price.output_nanos) for name, model in listed.items()} == {
        "m": (3 * USD, 6 * USD),
        "m:one": (USD, 2 * USD),
        "m:two": (3 * USD, 6 * USD),
    }
    assert [model.context_window for model in listed.values()] == [4_000, 8_000, 4_000]
    assert [(list(model.capabilities), sorted(model.lacks)) for model in listed.values()] == [
        ([], ["tools", "vision"]),
        (["tools"], ["vision"]),
        (["json_schema"], ["tools", "vision"]),
    ]


def test_a_host_that_tells_no_price_leaves_open_what_the_model_costs_without_one() -> None:
    listed = rows({"id": "m", "providers": [host("one"), host("two", None)]})
    assert {name: model.HasField("price") for name, model in listed.items()} == {
        "m": False,
        "m:one": True,
        "m:two": False,
    }
    odd = rows({"id": "m", "providers": [host("one"), host("two", pricing={"input": "x", "output": 1})]})
    assert odd["m"].price_problem == odd["m:two"].price_problem == "pricing.input is no amount of dollars"


def test_hosts_that_do_not_serve_yet_or_have_no_name_do_not_count() -> None:
    hosts = [host("one"), host("two", 9, status="staging"), host("", 9), 3, {"status": "live"}]
    assert set(rows({"id": "m", "providers": hosts})) == {"m", "m:one"}
    nobody = rows({"id": "m", "context_length": 5, "providers": []})["m"]
    assert (nobody.context_window, nobody.HasField("price")) == (5, False)


# What becomes of it


async def test_prices_that_cannot_be_read_are_told_in_the_log_once(capfd) -> None:
    clock = ManualClock()
    models = [{"id": "a/b", "pricing": {"prompt": "1$", "completion": "0"}}, {"id": "a/c", "pricing": "none"}]

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"data": models})

    key = {"OPENROUTER_API_KEY": "sk-or-v1-canary"}
    async with http_vendor(handler) as url, provider("openrouter", url, key, clock) as stub:
        for _ in range(2):
            found = await stub.Describe(DescribeRequest(), timeout=5)
            clock.advance(600)
        models[1]["pricing"] = {"prompt": "0", "completion": "0"}
        assert (await stub.Describe(DescribeRequest(), timeout=5)).models[1].HasField("price")
    assert [model.price_problem for model in found.models] == [
        "pricing.prompt is no amount of dollars",
        "pricing is no object",
    ]
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"prices not read"' in line]
    assert [(line["models"], line["first"], line["why"]) for line in lines] == [
        (2, "a/b", "pricing.prompt is no amount of dollars"),
        (1, "a/b", "pricing.prompt is no amount of dollars"),
    ]
