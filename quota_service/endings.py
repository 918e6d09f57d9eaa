"""Writes down how a hold has ended: the hold, the journal, what was spent (I4, I5, I8)."""

from quota_service.admission import Move
from quota_service.budgets import UNITS
from quota_service.changes import Changes, Entry
from quota_service.holds import Hold, State
from quota_service.rules import Ending


def record_ending(changes: Changes, hold: Hold, ending: Ending, move: Move) -> None:
    """Write down an ending whose move is booked; what was charged for a lapse is taken back by its correction."""
    if hold.state is State.LAPSED:
        changes.late += 1
        changes.add_spend(hold, -1, "")
    _count(changes, hold, ending, move)
    hold.state, hold.outcome, hold.charged = ending.state, ending.outcome, ending.charged
    hold.settlement, hold.unpriced = ending.settlement, ending.unpriced
    changes.add_spend(hold, 1, ending.labels)
    changes.draws[hold.draw] = None
    changes.ended[hold.attempt_id] = hold
    changes.journal.append(Entry(ending.state, hold.attempt_id, ending.outcome, hold.draw.cells, move.used, move.held))


def _count(changes: Changes, hold: Hold, ending: Ending, move: Move) -> None:
    """Count what an ending frees, and what it charges beyond what was held."""
    cells, used, held = move
    charged, estimate = ending.charged.in_units(), hold.estimate.in_units()
    for cell in cells:
        unit = cell.index
        if used[unit] + held[unit] < 0:
            changes.freed.add(cell.budget)
        if charged[unit] > estimate[unit]:
            changes.overage[UNITS[unit]] += charged[unit] - estimate[unit]
