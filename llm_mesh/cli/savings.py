"""`llm-mesh savings`: what was paid beside what a baseline would have cost, from the ledger's spend alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.ledger import saved, spend
from llm_mesh.cli.ledger.saved import Baseline, RequestPrice, Saving, TokenPrice, Work
from llm_mesh.cli.outcome import Exit

CENT = Decimal("0.01")
FINEST = Decimal("0.000000001")
FIGURES = ("requests", "tokens in", "tokens out", "baseline", "paid", "saved", "saved %")


class By(StrEnum):
    """What savings are told for each of."""

    USE_CASE = "use_case"
    VENDOR = "vendor"
    TENANT = "tenant"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be compared with what; money in US dollars."""

    baselines: tuple[Baseline, ...]
    by: By = By.USE_CASE
    fixed: Decimal = Decimal(0)
    tokens: int | None = None
    from_day: str = ""
    to_day: str = ""
    tenant: str = ""
    decimals: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """The work in each group, and the days it was done in."""

    groups: Mapping[str, Work]
    first: date
    last: date

    @property
    def days(self) -> int:
        """Return how many days there are."""
        return (self.last - self.first).days + 1


def savings(
    *,
    baseline: Annotated[str, typer.Option(metavar="USD", help="Price per million tokens, of input at least.")] = "",
    output_baseline: Annotated[
        str, typer.Option(metavar="USD", help="Price per million output tokens; else that of input.")
    ] = "",
    per_request: Annotated[str, typer.Option(metavar="USD", help="Price per request.")] = "",
    fixed_monthly: Annotated[str, typer.Option(metavar="USD", help="What the mesh itself costs a month.")] = "0",
    monthly_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tell a month of so many tokens, mixed as those spent.")
    ] = None,
    by: Annotated[By, typer.Option(help="One row for each.")] = By.USE_CASE,
    from_day: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, UTC, YYYY-MM-DD.")] = "",
    to_day: Annotated[str, typer.Option("--to", metavar="DAY", help="Last day.")] = "",
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Only what this tenant spent.")] = "",
    decimals: Annotated[int, typer.Option(min=0, max=6, metavar="N", help="Decimals of percentages.")] = 1,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Compare what was paid with a baseline price per million tokens, per request, or both."""
    wish = Wish(
        _baselines(baseline, output_baseline, per_request),
        by,
        _dollars(fixed_monthly, "--fixed-monthly"),
        monthly_tokens,
        _day(from_day, "--from"),
        _day(to_day, "--to"),
        tenant,
        decimals,
    )
    outcome.run(show(wish, quota, as_json=as_json), as_json=as_json)


def _baselines(per_token: str, per_output_token: str, per_request: str) -> tuple[Baseline, ...]:
    """Read the baselines that are named.

    Raises:
        typer.BadParameter: none is, or one is no amount of money.
    """
    if per_output_token and not per_token:
        raise typer.BadParameter("needs the price of input tokens in --baseline, too", param_hint="--output-baseline")
    named: list[Baseline] = []
    if per_token:
        into = _dollars(per_token, "--baseline")
        named.append(TokenPrice(into, _dollars(per_output_token, "--output-baseline") if per_output_token else into))
    if per_request:
        named.append(RequestPrice(_dollars(per_request, "--per-request")))
    if not named:
        raise typer.BadParameter(
            "say what to compare with: --baseline 15.00 per million tokens, or --per-request 0.03",
            param_hint="baseline",
        )
    return tuple(named)


def _dollars(text: str, option: str) -> Decimal:
    try:
        amount = Decimal(text.strip().lstrip("$"))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"`{text}`; allowed: US dollars, such as 15 or 0.03", param_hint=option)
    return amount


def _day(text: str, option: str) -> str:
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise typer.BadParameter(f"`{text}`; allowed: a day, YYYY-MM-DD", param_hint=option) from None


async def show(wish: Wish, address: str, *, as_json: bool) -> Exit:
    """Ask the quota service for the spend, and print the comparison with each baseline."""
    found = await fetch(wish, address, datetime.now(UTC).date())
    if any(isinstance(each, TokenPrice) for each in wish.baselines):
        saved.check_tokens(found.groups, wish.by)
    if as_json:
        output.print_json(_plain(found, wish))
    else:
        _print(found, wish, output.console())
    return Exit.DONE


async def fetch(wish: Wish, address: str, today: date) -> Found:
    """Ask the quota service at an address."""
    columns = list(dict.fromkeys((wish.by.value, "day", "outcome")))
    rows = await spend.fetch(address, columns, from_day=wish.from_day, to_day=wish.to_day, tenant=wish.tenant)
    first, last = saved.days(rows, wish.from_day, wish.to_day, today)
    return Found(saved.grouped(rows, wish.by.value), first, last)


def _print(found: Found, wish: Wish, console: Console) -> None:
    whom = f"tenant {wish.tenant}" if wish.tenant else "all tenants"
    console.print(f"{found.first} to {found.last} ({output.count(found.days, 'day')}), {whom}")
    console.print("paid: every attempt, failed ones too; baseline: served answers alone")
    for baseline in wish.baselines:
        console.print(f"\nbaseline: {_named(baseline)}")
        console.print(_table(found, baseline, wish))
        console.print(_month(found, baseline, wish))


def _named(baseline: Baseline) -> str:
    if isinstance(baseline, RequestPrice):
        return f"{dollars(baseline.each)} per request"
    told = f"{dollars(baseline.input)} per 1M input tokens, {dollars(baseline.output)} per 1M output tokens"
    return told if baseline.input != baseline.output else f"{told} (one price for both)"


def _table(found: Found, baseline: Baseline, wish: Wish) -> Table:
    table = output.table(wish.by.value.replace("_", " "), *FIGURES, numbers=FIGURES)
    for name, work in found.groups.items():
        table.add_row(name, *_figures(work, saved.compare(work, baseline), wish.decimals))
    table.add_section()
    everything = saved.total(found.groups)
    table.add_row("total", *_figures(everything, saved.compare(everything, baseline), wish.decimals))
    return table


def _figures(work: Work, saving: Saving, decimals: int) -> tuple[str, ...]:
    return (
        f"{work.served:,}",
        f"{work.input_tokens:,}",
        f"{work.output_tokens:,}",
        *(dollars(amount) for amount in (saving.baseline, saving.paid, saving.saved)),
        percent(saving, decimals),
    )


def _month(found: Found, baseline: Baseline, wish: Wish) -> str:
    """Say what a month is, at the rate of these days or of as many tokens as are said."""
    month = monthly(found, baseline, wish)
    how = "at this rate" if wish.tokens is None else f"with {wish.tokens:,} tokens of this mix"
    fixed = f", {dollars(wish.fixed)} of it fixed" if wish.fixed else ""
    return (
        f"a month of {saved.DAYS_PER_MONTH} days {how}: baseline {dollars(month.baseline)}, "
        f"paid {dollars(month.paid)}{fixed}, saved {dollars(month.saved)} ({percent(month, wish.decimals)} %)"
    )


def monthly(found: Found, baseline: Baseline, wish: Wish) -> Saving:
    """Return the saving of a month, with the fixed cost."""
    everything = saved.total(found.groups)
    saving = saved.compare(everything, baseline)
    if wish.tokens is None:
        return saved.in_a_month(saving, found.days, wish.fixed)
    return saved.of_tokens(saving, everything, wish.tokens, wish.fixed)


def dollars(amount: Decimal) -> str:
    """Write an amount to the cent; what is below a dollar to the billionth."""
    sign, size = ("-" if amount < 0 else ""), abs(amount)
    if size >= 1 or size == 0:
        return f"{sign}${size.quantize(CENT, ROUND_HALF_UP):,}"
    fine = f"{size.quantize(FINEST, ROUND_HALF_UP):f}".rstrip("0").rstrip(".")
    return f"{sign}${fine}" if len(fine.partition(".")[2]) > 1 else f"{sign}${size.quantize(CENT, ROUND_HALF_UP)}"


def percent(saving: Saving, decimals: int) -> str:
    """Write the share that was saved, rounded half up; a dash when the baseline is nothing."""
    if saving.percent is None:
        return "-"
    return f"{saving.percent.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP):f}"


def _plain(found: Found, wish: Wish) -> dict[str, Any]:
    everything = saved.total(found.groups)
    told = []
    for baseline in wish.baselines:
        rows = [{wish.by.value: name, **_told(work, baseline)} for name, work in found.groups.items()]
        month = monthly(found, baseline, wish)
        told.append(
            {"baseline": _priced(baseline), "rows": rows, "total": _told(everything, baseline), "month": _money(month)}
        )
    return {
        "from": found.first.isoformat(),
        "to": found.last.isoformat(),
        "days": found.days,
        "by": wish.by.value,
        "tenant": wish.tenant,
        "fixed_monthly_usd": float(wish.fixed),
        "monthly_tokens": wish.tokens,
        "comparisons": told,
    }


def _priced(baseline: Baseline) -> dict[str, float]:
    if isinstance(baseline, RequestPrice):
        return {"usd_per_request": float(baseline.each)}
    return {"input_usd_per_1m": float(baseline.input), "output_usd_per_1m": float(baseline.output)}


def _told(work: Work, baseline: Baseline) -> dict[str, Any]:
    return {
        "requests": work.served,
        "attempts": work.attempts,
        "input_tokens": work.input_tokens,
        "output_tokens": work.output_tokens,
        **_money(saved.compare(work, baseline)),
    }


def _money(saving: Saving) -> dict[str, float | None]:
    return {
        "baseline_usd": float(saving.baseline),
        "paid_usd": float(saving.paid),
        "saved_usd": float(saving.saved),
        "saved_percent": None if saving.percent is None else float(saving.percent),
    }
