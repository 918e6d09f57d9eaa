"""Writes down how a hold has ended: the hold, its legs, the journal, what was spent (I4, I5, I8)."""

from collections.abc import Sequence

from quota_service.admission import Move
from quota_service.changes import Changes, Entry, spent
from quota_service.holds import Hold, State
from quota_service.rules import Ending


def record_ending(changes: Changes, hold: Hold, ending: Ending, moves: Sequence[Move]) -> None:
    """Write down an ending whose moves are booked; what was charged for a lapse is taken back by its correction."""
    if hold.state == State.LAPSED:
        changes.late += 1
        changes.spend += spent(hold, -1)
    touched, told = changes.cells, []
    for leg, used, held in moves:
        leg.used += used
        cell = leg.cell
        touched[cell] = None
        told.append((cell.budget, cell.start, used, held))
        if used + held < 0:
            changes.freed.add(cell.budget)
        if leg.used > leg.held:
            changes.overage[leg.unit] += leg.used - leg.held
    hold.state, hold.outcome, hold.charged, hold.settlement, hold.unpriced, labels = ending
    changes.spend += spent(hold, 1, labels)
    changes.holds[hold.attempt_id] = changes.legs[hold.attempt_id] = hold
    changes.journal.append(Entry(changes.now, ending.state, hold.attempt_id, ending.outcome, told))
