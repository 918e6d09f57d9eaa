"""What a vendor says of our quotas: it closes, opens or limits a subject, and never raises a limit (ledger.md)."""

from quota_service.admission import Lines
from quota_service.budgets import Budget, Terms
from quota_service.changes import Changes, Entry
from quota_service.levels import Cell, Line
from quota_service.operations import Observe
from quota_service.rules import NEVER_CLOSED, Closure

# The contract's word for money, and ours.
UNIT_NAMES = {"money": "nanodollars"}
SCOPES = ("account", "model", "slot")


def close(closures: dict[str, Closure], terms: Terms, observe: Observe, changes: Changes) -> None:
    """Close the subject for so long; a shorter pause never cuts a longer one."""
    subject = dict(zip(SCOPES, terms.subjects(), strict=True))[observe.scope]
    until = changes.now + observe.closed_for
    if until <= closures.get(subject, NEVER_CLOSED).until:
        return
    closures[subject] = Closure(until, observe.reason)
    changes.closures[subject] = closures[subject]
    changes.journal.append(Entry("close", "", f"{subject} {observe.reason} {observe.closed_for}"))


def open_again(closures: dict[str, Closure], terms: Terms, observe: Observe, changes: Changes) -> None:
    """Undo what was closed for that reason: the subject, and the models of an account with it."""
    subject = dict(zip(SCOPES, terms.subjects(), strict=True))[observe.scope]
    models = f"{subject}/" if observe.scope == "account" else None
    for name in [name for name in closures if name == subject or (models and name.startswith(models))]:
        if closures[name].reason == observe.reason:
            del closures[name]
            changes.closures[name] = NEVER_CLOSED
            changes.journal.append(Entry("open", "", f"{name} {observe.reason}"))


def open_due(closures: dict[str, Closure], changes: Changes) -> None:
    """Open what was closed until now."""
    for subject in [name for name, closure in closures.items() if closure.until <= changes.now]:
        del closures[subject]
        changes.closures[subject] = NEVER_CLOSED


def observe_figures(lines: Lines, terms: Terms, observe: Observe, changes: Changes) -> None:
    """Compare the vendor's own count with ours."""
    for budget in figured(terms, observe):
        line = lines[budget.id]
        if changes.now >= line.stale_at:
            line.advance(changes.now, budget)
        _compare(line, budget, observe, changes)


def figured(terms: Terms, observe: Observe) -> list[Budget]:
    """Return the one budget the figures are about; none when there is no such budget or no figure."""
    if not observe.unit or not observe.window:
        return []
    subject = terms.closes_model if observe.scope == "model" else terms.account
    meant = (subject, UNIT_NAMES.get(observe.unit, observe.unit), observe.window)
    return [budget for budget in terms.budgets if (budget.subject, budget.unit, budget.window.span) == meant]


def _compare(line: Line, budget: Budget, observe: Observe, changes: Changes) -> None:
    cell = line.current[0]
    limit = budget.declared if observe.limit is None else observe.limit
    if observe.remaining is not None:
        _count_others(line, cell, max(0, limit - observe.remaining), changes)
    lower = observe.limit is not None and observe.limit < budget.limit
    if (lower or line.weighed[0].vendor_limit is not None) and cell.vendor_limit != observe.limit:
        line.lower(cell, observe.limit)
        changes.cells[cell] = None


def _count_others(line: Line, cell: Cell, vendor_used: int, changes: Changes) -> None:
    """Raise `external` to what the vendor counts beyond us; it never falls within its window."""
    excess = vendor_used - line.weighed[0].taken
    if excess > 0:
        cell.external += excess
        if line.total is not None:
            line.total.external += excess
        changes.cells[cell] = None
