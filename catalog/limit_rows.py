"""The shape of limits and plans in YAML, shared by catalogue rows and mesh.yaml, and what becomes of them."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal, Self, TypedDict

from pydantic import AfterValidator, Field, model_validator

from catalog.money import LongContextPrice, Price
from catalog.plan import Grant, Limit, Plan, PlanName, Scope, Unit, WhenSilent
from catalog.window import WINDOW_WORDS, Window, parse_window
from catalog.words import TIERS, Tier
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


def headroom_of(shares: Mapping[Tier, float]) -> tuple[int, ...]:
    """Return what each tier must leave, in millionths; one that is not named leaves what the next dearer one does."""
    left, millionths = list[int](), 0
    for tier in reversed(TIERS):
        millionths = int(Decimal(repr(shares[tier])) * 1_000_000) if tier in shares else millionths
        left.append(millionths)
    return tuple(reversed(left)) if shares else ()


def _falls(shares: dict[Tier, float]) -> dict[Tier, float]:
    """Accept headroom only when a dearer tier does not leave more than a cheaper one."""
    left = headroom_of(shares)
    if list(left) != sorted(left, reverse=True):
        raise wrong("a dearer tier leaves more than a cheaper one", "free >= ultra_economy >= economy >= standard")
    return shares


class Allowance(TypedDict):
    """What limits and budgets have in common; money in nano-dollars."""

    unit: Unit
    window: Window
    amount: int
    hard: bool
    headroom: tuple[int, ...]
    grants: tuple[Grant, ...]
    when_silent: WhenSilent


Amount = Annotated[float, Field(ge=0, le=MOST)]
WindowWords = Annotated[str, AfterValidator(_window_words)]
Headroom = Annotated[dict[Tier, Annotated[float, Field(ge=0, lt=1)]], AfterValidator(_falls)]
Dollars = Annotated[float, AfterValidator(_payable)]


class GrantRow(StrictModel):
    """One part of a one-off credit: `{id: welcome, amount: 5, expires_on: 2027-03-31}`."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    amount: Amount
    expires_on: dt.date | None = None


class AmountRow(StrictModel):
    """So much of a unit in a window: all at once in `amount`, or a one-off credit in `grants` that may expire."""

    unit: Literal["requests", "tokens", "usd", "concurrency"]
    window: WindowWords
    amount: Amount | None = None
    grants: list[GrantRow] = Field(default_factory=list)
    hard: bool = True
    headroom: Headroom = Field(default_factory=dict)
    when_silent: Literal["deny", "allow"] | None = None

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        """Check what one key alone cannot tell."""
        if (self.amount is None) != bool(self.grants):
            raise wrong("an amount is needed, or the grants it is made of", "one of the two")
        if self.grants and self.window != "once":
            raise wrong(f"grants per `{self.window}` make no sense", "grants with window once")
        if len({grant.id for grant in self.grants}) < len(self.grants):
            raise wrong("two grants have one id", "a name for each")
        for amount in [grant.amount for grant in self.grants] or [self.amount or 0]:
            check_amount(self.unit, self.window, amount)
        if sum(grant.amount for grant in self.grants) > (MOST_DOLLARS if self.unit == "usd" else MOST):
            raise wrong(
                "the grants together are more than can be counted", f"{MOST_DOLLARS} US dollars, 2^53 of others"
            )
        return self

    def counted(self, amount: float) -> int:
        """Return an amount as it is counted: money in nano-dollars."""
        return to_nanos(amount) if self.unit == "usd" else int(amount)

    def allowance(self) -> Allowance:
        """Return what limits and budgets have in common."""
        grants = tuple(Grant(row.id, self.counted(row.amount), row.expires_on) for row in self.grants)
        return Allowance(
            unit="nanodollars" if self.unit == "usd" else self.unit,
            window=parse_window(self.window),
            amount=sum(grant.amount for grant in grants) + self.counted(self.amount or 0),
            hard=self.hard,
            headroom=headroom_of(self.headroom),
            grants=grants,
            when_silent=self.when_silent or "",
        )


class LimitRow(AmountRow):
    """One limit: `{unit: requests, window: minute, amount: 30, scope: model}`."""

    scope: Scope | None = None
    pool: str | None = None
    models: list[str] = Field(default_factory=list)
    source: str = ""
    date: dt.date | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        """Check what one key alone cannot tell."""
        if (self.pool is None) != (self.scope != "pool"):
            raise wrong("a pool has a name, and only a pool has one", "scope: pool together with pool: <name>")
        return self

    def limit(self, *, scope: Scope = "account", source: str = "", date: dt.date | None = None) -> Limit:
        """Return the limit, with a scope, source and date for what the row leaves out."""
        said = self.date or date
        return Limit(
            **self.allowance(),
            scope=self.scope or scope,
            pool=self.pool,
            models=tuple(self.models),
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
