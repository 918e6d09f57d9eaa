"""The shape of limits and plans in YAML, shared by catalogue rows and mesh.yaml, and what becomes of them."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from catalog.money import LongContextPrice, Price
from catalog.plan import Limit, Plan, PlanName, Scope
from catalog.window import WINDOW_WORDS, parse_window
from meshkit.yaml_file import StrictModel, wrong

NANOS = 1_000_000_000
MOST_DOLLARS = 9_000_000  # 2^53 nano-dollars: what a store that counts in floats can hold
MOST = 2**53


def _window_words(text: str) -> str:
    """Accept text only when it names a window."""
    try:
        parse_window(text)
    except ValueError as error:
        raise wrong(str(error), WINDOW_WORDS) from error
    return text


def to_nanos(dollars: float) -> int:
    """Return US dollars as nano-dollars; the shortest decimal of the number is meant, not its binary neighbour."""
    return int(Decimal(repr(dollars)) * NANOS)


def _payable(dollars: float) -> float:
    """Accept an amount of dollars only when it is not negative and whole in nano-dollars."""
    if not 0 <= dollars <= MOST_DOLLARS:
        raise wrong(f"{dollars} is not an amount of money", f"0 to {MOST_DOLLARS} US dollars")
    if Decimal(repr(dollars)) * NANOS % 1:
        raise wrong(f"{dollars} has more than nine decimals", "whole billionths of a US dollar")
    return dollars


def check_amount(unit: str, window: str, amount: float) -> None:
    """Refuse an amount that cannot be counted in its unit, and a unit that makes no sense in its window."""
    if unit == "usd":
        _payable(amount)
    elif amount != int(amount):
        raise wrong(f"{amount} {unit} cannot be counted", "a whole number")
    if (unit == "concurrency") != (window == "now"):
        raise wrong(f"{unit} per `{window}` makes no sense", "concurrency with window now, and only there")


WindowWords = Annotated[str, AfterValidator(_window_words)]
Dollars = Annotated[float, AfterValidator(_payable)]


class LimitRow(StrictModel):
    """One limit: `{unit: requests, window: minute, amount: 30, scope: model}`."""

    unit: Literal["requests", "tokens", "usd", "concurrency"]
    window: WindowWords
    amount: Annotated[float, Field(ge=0, le=MOST)]
    scope: Scope | None = None
    pool: str | None = None
    models: list[str] = Field(default_factory=list)
    hard: bool = True
    source: str = ""
    date: dt.date | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Check what one key alone cannot tell."""
        check_amount(self.unit, self.window, self.amount)
        if (self.pool is None) != (self.scope != "pool"):
            raise wrong("a pool has a name, and only a pool has one", "scope: pool together with pool: <name>")
        return self

    def limit(self, *, scope: Scope = "account", source: str = "", date: dt.date | None = None) -> Limit:
        """Return the limit, with a scope, source and date for what the row leaves out."""
        said = self.date or date
        return Limit(
            unit="nanodollars" if self.unit == "usd" else self.unit,
            window=parse_window(self.window),
            amount=to_nanos(self.amount) if self.unit == "usd" else int(self.amount),
            scope=self.scope or scope,
            pool=self.pool,
            models=tuple(self.models),
            hard=self.hard,
            source=self.source or source,
            date=said.isoformat() if said else "",
        )


class PlanRow(StrictModel):
    """One plan of a vendor; its source and date hold for every limit that names none."""

    limits: list[LimitRow] = Field(default_factory=list)
    models: list[str] = Field(default_factory=list)
    valid_days: Annotated[int, Field(gt=0)] | None = None
    errors_count: bool = True
    source: str = ""
    date: dt.date | None = None

    def plan(self, name: PlanName) -> Plan:
        """Return the plan under its name."""
        return Plan(
            name=name,
            limits=tuple(row.limit(source=self.source, date=self.date) for row in self.limits),
            models=tuple(self.models),
            valid_days=self.valid_days,
            errors_count=self.errors_count,
            source=self.source,
            date=self.date.isoformat() if self.date else "",
        )


class LongContextRow(StrictModel):
    """Prices that hold once a prompt is longer than `above` tokens, in US dollars per million tokens."""

    above: Annotated[int, Field(gt=0)]
    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None


class PriceRow(StrictModel):
    """List price in US dollars per million tokens, and per request where a vendor charges for that."""

    input: Dollars
    output: Dollars
    cached_input: Dollars | None = None
    cache_write: Dollars | None = None
    request: Dollars = 0.0
    long_context: LongContextRow | None = None

    def price(self) -> Price:
        """Return the price in nano-dollars."""
        long = self.long_context
        return Price(
            **_token_prices(self),
            request=to_nanos(self.request),
            long_context=LongContextPrice(above=long.above, **_token_prices(long)) if long else None,
        )


def _token_prices(row: PriceRow | LongContextRow) -> Mapping[str, int]:
    """Return the four prices of tokens in nano-dollars; cached input costs as much as input unless said."""
    cached = row.input if row.cached_input is None else row.cached_input
    written = row.input if row.cache_write is None else row.cache_write
    return {
        "input": to_nanos(row.input),
        "output": to_nanos(row.output),
        "cached_input": to_nanos(cached),
        "cache_write": to_nanos(written),
    }
