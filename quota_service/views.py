"""Writes what the ledger tells people: budgets as they stand, overrides, spend, what a recomputation found."""

from llmmesh.quota.v1 import quota_pb2 as pb

from quota_service.border import timestamp
from quota_service.forecast import Forecast, Outlook
from quota_service.overrides import Override
from quota_service.spend import LABEL, SpendLine
from quota_service.standing import BudgetStanding, Standing
from quota_service.windows import FOREVER, HOUR

_OUTLOOKS = {outlook: pb.BudgetForecast.Outlook.Value(f"OUTLOOK_{outlook.name}") for outlook in Outlook}


def budgets(standing: Standing) -> pb.GetBudgetsResponse:
    """Return all of a standing."""
    return pb.GetBudgetsResponse(
        budgets=[budget(row) for row in standing.budgets],
        closures=[
            pb.Closure(subject=subject, until=timestamp(closure.until), reason=closure.reason)
            for subject, closure in sorted(standing.closures.items())
        ],
        version=standing.version,
        now=timestamp(standing.now),
        open_holds=standing.open_holds,
        overrides=[override(*told) for told in sorted(standing.overrides.items())],
    )


def watched(standing: Standing) -> pb.WatchBudgetsResponse:
    """Return what a watcher is told: the budgets of a standing, and the rest of it whole."""
    whole = budgets(standing)
    return pb.WatchBudgetsResponse(
        budgets=whole.budgets,
        closures=whole.closures,
        version=whole.version,
        now=whole.now,
        open_holds=whole.open_holds,
        overrides=whole.overrides,
    )


def foreseen(forecasts: list[Forecast], now: int) -> pb.ForecastResponse:
    """Return how budgets will fare."""
    return pb.ForecastResponse(budgets=[_forecast(each) for each in forecasts], now=timestamp(now))


def _forecast(told: Forecast) -> pb.BudgetForecast:
    return pb.BudgetForecast(
        budget=told.budget.id,
        outlook=_OUTLOOKS[told.outlook],
        exhausted_at=None if told.exhausted_at is None else timestamp(told.exhausted_at),
        per_hour=told.pace * HOUR,
        recent_per_hour=None if told.recent is None else told.recent * HOUR,
        window_per_hour=None if told.average is None else told.average * HOUR,
    )


def budget(row: BudgetStanding) -> pb.BudgetState:
    """Return one budget as it stands."""
    declared = row.budget
    return pb.BudgetState(
        id=declared.id,
        subject=declared.subject,
        unit=declared.unit,
        window=declared.window.label,
        limit=row.limit,
        used=row.used,
        held=row.held,
        external=row.external,
        left=row.left,
        resets_at=None if row.resets_at is None else timestamp(row.resets_at),
        hard=declared.hard,
        declared_limit=declared.declared,
    )


def override(budget_id: str, told: Override) -> pb.Override:
    """Return one override."""
    return pb.Override(
        budget=budget_id,
        limit=told.limit,
        author=told.author,
        reason=told.reason,
        made_at=timestamp(told.made),
        expires_at=None if told.until == FOREVER else timestamp(told.until),
    )


def verified(differences: list[str], standing: Standing) -> pb.VerifyResponse:
    """Return what a recomputation found, and what vendors count beyond us."""
    return pb.VerifyResponse(
        differences=differences,
        drifts=[
            pb.Drift(budget=row.budget.id, external=row.external, used=row.used, unit=row.budget.unit)
            for row in standing.budgets
            if row.external
        ],
        budgets=len(standing.budgets),
        open_holds=standing.open_holds,
        now=timestamp(standing.now),
    )


def spend_row(line: SpendLine) -> pb.SpendRow:
    """Return one group of spend."""
    amounts = line.amounts
    labels = {name.removeprefix(LABEL): value for name, value in line.group.items() if name.startswith(LABEL)}
    return pb.SpendRow(
        **{name: value for name, value in line.group.items() if not name.startswith(LABEL)},
        labels=labels,
        attempts=line.attempts,
        requests=amounts.requests,
        input_tokens=amounts.input_tokens,
        output_tokens=amounts.output_tokens,
        cost_nanos=amounts.cost_nanos,
        assumed=line.assumed,
    )
