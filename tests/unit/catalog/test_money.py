"""Costs are exact, rounded up once and never negative."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.limit_rows import PriceRow, to_nanos
from catalog.money import FREE, LongContextPrice, Price, blended, cost_nanos

DOLLAR = 1_000_000_000
nanos = st.integers(min_value=0, max_value=1_000 * DOLLAR)
tokens = st.integers(min_value=0, max_value=10_000_000)
prices = st.builds(Price, input=nanos, output=nanos, cached_input=nanos, cache_write=nanos, request=nanos)


def price(dollars_in: float, dollars_out: float, **more: float) -> Price:
    return PriceRow(input=dollars_in, output=dollars_out, **more).price()


@pytest.mark.parametrize(
    ("dollars_in", "dollars_out", "input_tokens", "output_tokens", "cost"),
    [
        (0.59, 0.79, 25, 0, 14_750),  # P-MONEY-9
        (0.14, 0.28, 120, 0, 16_800),  # P-MONEY-10
        (3.0, 15.0, 250, 0, 750_000),  # P-MONEY-11
        (0.59, 0.79, 0, 25, 19_750),  # P-MONEY-12
        (0.14, 0.28, 0, 120, 33_600),
        (3.0, 15.0, 0, 250, 3_750_000),
        (0.0001, 0.0, 1, 0, 1),  # a tenth of a nano-dollar is charged as one
        (0.0001, 0.0001, 5, 5, 1),  # rounded once, not once for each kind of token
        (0.0, 0.0, 1_000_000, 1_000_000, 0),
    ],
)
def test_a_cost_is_tokens_times_price_rounded_up_once(
    dollars_in: float, dollars_out: float, input_tokens: int, output_tokens: int, cost: int
) -> None:
    assert cost_nanos(price(dollars_in, dollars_out), input_tokens, output_tokens) == cost


def test_cached_and_written_tokens_are_part_of_the_prompt_at_their_own_price() -> None:
    listed = price(4.0, 20.0, cached_input=0.4, cache_write=5.0)
    assert cost_nanos(listed, 1_000, 0, 600, 100) == (300 * 4_000 + 600 * 400 + 100 * 5_000)


def test_more_cached_tokens_than_the_prompt_has_count_as_the_whole_prompt() -> None:
    assert cost_nanos(price(4.0, 20.0, cached_input=0.4), 10, 0, 99) == 10 * 400


def test_cached_input_costs_as_much_as_input_when_the_row_names_no_price() -> None:
    assert price(2.0, 6.0).cached_input == price(2.0, 6.0).cache_write == 2 * DOLLAR


def test_a_long_prompt_is_charged_at_the_long_price_for_all_its_tokens() -> None:
    long = LongContextPrice(above=200_000, input=2_500, output=15_000, cached_input=250, cache_write=2_500)
    listed = Price(input=1_250, output=10_000, cached_input=125, cache_write=1_250, long_context=long)
    assert cost_nanos(listed, 200_000, 1_000) == 200_000 * 1_250 // 1_000_000 + 1_000 * 10_000 // 1_000_000
    assert cost_nanos(listed, 200_001, 1_000) == -(-(200_001 * 2_500 + 1_000 * 15_000) // 1_000_000)


def test_a_price_per_request_is_added_to_that_of_the_tokens() -> None:
    assert cost_nanos(price(1.0, 1.0, request=0.005), 1_000, 0) == 1_000_000 + 5_000_000


@pytest.mark.parametrize(
    ("dollars", "expected"), [(0.1, 100_000_000), (0.037, 37_000_000), (1e-9, 1), (30, 30 * DOLLAR)]
)
def test_dollars_become_the_nano_dollars_that_were_written(dollars: float, expected: int) -> None:
    assert to_nanos(dollars) == expected


@given(prices, tokens, tokens, tokens, tokens)
def test_a_cost_is_never_negative_and_more_tokens_never_cost_less(
    listed: Price, input_tokens: int, output_tokens: int, more: int, cached: int
) -> None:
    cost = cost_nanos(listed, input_tokens, output_tokens)
    assert cost >= 0
    assert cost_nanos(listed, input_tokens + more, output_tokens) >= cost
    assert cost_nanos(listed, input_tokens, output_tokens + more) >= cost
    assert cost_nanos(listed, input_tokens, output_tokens, cached) >= listed.request
    assert cost_nanos(FREE, input_tokens, output_tokens, cached) == 0


@given(prices, tokens, tokens)
def test_a_cost_is_at_most_one_nano_dollar_above_the_exact_one(
    listed: Price, input_tokens: int, output_tokens: int
) -> None:
    exact = Fraction(listed.input * input_tokens + listed.output * output_tokens, 1_000_000) + listed.request
    assert exact <= cost_nanos(listed, input_tokens, output_tokens) < exact + 1


@given(prices)
def test_the_blended_price_is_three_parts_input_and_one_part_output_rounded_up(listed: Price) -> None:
    exact = Fraction(3 * listed.input + listed.output, 4)
    assert exact <= blended(listed) < exact + 1


@pytest.mark.parametrize(
    ("dollars_in", "dollars_out", "expected"),
    [(0.15, 0.6, 262_500_000), (0.1, 0.4, 175_000_000), (2.5, 10.0, 4_375_000_000), (0.0, 0.0, 0)],
)
def test_blended_prices_of_known_rows(dollars_in: float, dollars_out: float, expected: int) -> None:
    assert blended(price(dollars_in, dollars_out)) == expected
