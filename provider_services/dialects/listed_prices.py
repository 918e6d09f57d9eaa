"""Reads what a model costs from a vendor's own list: what cannot be read makes the price unknown, never lower."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire

Price = DescribeResponse.Price
LongContext = DescribeResponse.LongContext
# What a model costs, by the fields of the contract's prices.
Rates = Mapping[str, int]
NANOS = 10**9
TOKENS_PER_PRICE = 10**6
# A dollar for each token. Nobody charges that: it is a mistake.
MOST = TOKENS_PER_PRICE * NANOS
LONGEST = 40  # characters of a number


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a list names its prices, what it may call their unit, and for how many tokens each of them is.

    `reasoning` is the price of a token of reasoning, which is one of the answer's; `request` that of a request.
    """

    words: Mapping[str, str]
    tokens: int = TOKENS_PER_PRICE
    unit: str = "usd_per_1m_tokens"
    reasoning: str = ""
    request: str = ""


def _words(into: str, out: str, cached: str, written: str) -> Mapping[str, str]:
    return {"input_nanos": into, "output_nanos": out, "cached_input_nanos": cached, "cache_write_nanos": written}


SPELLINGS = (
    Spelling(
        _words("prompt", "completion", "input_cache_read", "input_cache_write"),
        tokens=1,
        unit="usd_per_token",
        reasoning="internal_reasoning",
        request="request",
    ),
    Spelling(_words("input", "output", "cache_read", "cache_write")),
    Spelling(_words("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")),
)


class _Unknown(Exception):  # noqa: N818 - a price that varies is no error
    """The price is unknown, for this reason; without one, because it varies."""


def read(pricing: wire.Json) -> tuple[Price | None, str]:
    """Read a list's prices of one model.

    Returns:
        The price, None when it is not told, varies (a negative one says so) or cannot be read; and what could not be
        read, for people.
    """
    try:
        return _price(pricing), ""
    except _Unknown as unknown:
        return None, str(unknown)


def dearest(prices: Iterable[Price | None]) -> Price | None:
    """Return what a model costs at most, whichever of these is charged; None when one of them is unknown."""
    known = list(prices)
    if not known or None in known:
        return None
    each = [price for price in known if price is not None]
    return Price(
        input_nanos=max(price.input_nanos for price in each),
        output_nanos=max(price.output_nanos for price in each),
        request_nanos=max(price.request_nanos for price in each),
    )


def _price(pricing: wire.Json) -> Price | None:
    if pricing is None:
        return None
    if not isinstance(pricing, dict):
        raise _Unknown("pricing is no object")
    told = {word for word, amount in pricing.items() if amount is not None}
    spelling = next((each for each in SPELLINGS if told.intersection(_needed(each))), None)
    if spelling is None:
        return None
    if pricing.get("unit") not in (None, spelling.unit):
        raise _Unknown(f"pricing.unit is another than {spelling.unit}")
    if missing := [word for word in _needed(spelling) if word not in told]:
        raise _Unknown(f"pricing.{missing[0]} is missing")
    return _with_overrides(pricing, spelling)


def _needed(spelling: Spelling) -> tuple[str, str]:
    return spelling.words["input_nanos"], spelling.words["output_nanos"]


def _with_overrides(pricing: Mapping[str, wire.Json], spelling: Spelling) -> Price:
    """Read the price, and those that take its place for some requests; of several that may, the dearest counts.

    A row knows one price of longer prompts and no hours of the day: an override with another condition counts always.
    """
    base = _rates(pricing, spelling)
    overrides = pricing.get("overrides") or []
    if not isinstance(overrides, list) or not all(isinstance(each, dict) for each in overrides):
        raise _Unknown("pricing.overrides is no list of objects")
    others = [(wire.count(each.get("min_prompt_tokens")), {**base, **_rates(each, spelling)}) for each in overrides]
    base = _dearest(base, *(rates for least, rates in others if not least))
    return Price(
        input_nanos=base["input_nanos"],
        output_nanos=base["output_nanos"],
        cached_input_nanos=base.get("cached_input_nanos"),
        cache_write_nanos=base.get("cache_write_nanos"),
        request_nanos=_amount(pricing, spelling.request, NANOS) or 0,
        long_context=_long_context(base, [each for each in others if each[0]]),
    )


def _long_context(base: Rates, others: Sequence[tuple[int, Rates]]) -> LongContext | None:
    if not others:
        return None
    above = min(least for least, _ in others) - 1
    return LongContext(above=above, **_dearest(base, *(rates for _, rates in others)))


def _rates(pricing: Mapping[str, wire.Json], spelling: Spelling) -> dict[str, int]:
    scale = NANOS * TOKENS_PER_PRICE // spelling.tokens
    told = {field: _amount(pricing, word, scale) for field, word in spelling.words.items()}
    rates = {field: amount for field, amount in told.items() if amount is not None}
    if reasoning := _amount(pricing, spelling.reasoning, scale):
        rates["output_nanos"] = max(reasoning, rates.get("output_nanos", 0))
    return rates


def _dearest(*several: Rates) -> dict[str, int]:
    fields = {field for rates in several for field in rates}
    return {field: max(rates.get(field, rates["input_nanos"]) for rates in several) for field in fields}


def _amount(pricing: Mapping[str, wire.Json], word: str, scale: int) -> int | None:
    """Return an amount of dollars times the scale, rounded up; None when there is none."""
    value = pricing.get(word)
    if value is None:
        return None
    dollars = _number(value)
    if dollars is None or dollars * scale > MOST:
        raise _Unknown(f"pricing.{word} is no amount of dollars")
    if dollars < 0:
        raise _Unknown
    return int((dollars * scale).to_integral_value(ROUND_CEILING))


def _number(value: wire.Json) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and len(value) > LONGEST:
        return None
    try:
        number = Decimal(value if isinstance(value, int) else str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) <= MOST else None
