"""Counts money in whole billionths of a US dollar, so that no sum ever drifts."""

from dataclasses import dataclass

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True)
class LongContextPrice:
    """What a token costs once the prompt is longer than `above` tokens; nano-dollars per million tokens."""

    above: int
    input: int
    output: int
    cached_input: int
    cache_write: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs at list price, in nano-dollars per million tokens; `request` in nano-dollars per request.

    Prices of cached input and of cache writes equal `input` when the vendor names none.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    request: int = 0
    long_context: LongContextPrice | None = None


FREE = Price(input=0, output=0, cached_input=0, cache_write=0)


def cost_nanos(
    price: Price, input_tokens: int, output_tokens: int, cached_tokens: int = 0, cache_write_tokens: int = 0
) -> int:
    """Return what a request costs in nano-dollars, rounded up once.

    Args:
        price: the list price, or `FREE`.
        input_tokens: all prompt tokens, the cached and the written ones included.
        output_tokens: all generated tokens, reasoning included.
        cached_tokens: the part of the prompt read from the vendor's cache.
        cache_write_tokens: the part of the prompt written to the vendor's cache.
    """
    rate: Price | LongContextPrice = price
    if price.long_context is not None and input_tokens > price.long_context.above:
        rate = price.long_context
    cached = min(max(cached_tokens, 0), input_tokens)
    written = min(max(cache_write_tokens, 0), input_tokens - cached)
    total = (
        (input_tokens - cached - written) * rate.input
        + cached * rate.cached_input
        + written * rate.cache_write
        + output_tokens * rate.output
    )
    return -(-total // TOKENS_PER_PRICE) + price.request


def blended(price: Price) -> int:
    """Return (3 x input + output) / 4 in nano-dollars per million tokens, rounded up: what tiers cap."""
    return -(-(3 * price.input + price.output) // 4)
