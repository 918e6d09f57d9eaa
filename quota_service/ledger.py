"""The ledger as a pure state machine: operations and a moment in, answers and changes out; no clock, no store."""

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from quota_service import rules
from quota_service.admission import Books, Fit, Lines, Move, book, first_fit, freed_by, moves_of, overflowing
from quota_service.changes import Changes, Entry
from quota_service.definitions import Definitions, overruled
from quota_service.endings import record_ending
from quota_service.holds import Hold, Leg, State, fingerprint
from quota_service.levels import Cell
from quota_service.memory import EndedHolds, RecentDenials, Retention
from quota_service.observing import close, observe_figures, open_again, open_due
from quota_service.operations import (
    DONE,
    LEASE,
    Answer,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    Operation,
    Outcome,
    Refused,
    Release,
    RemoveOverride,
    Reserve,
    SetOverride,
    Settle,
    Waiting,
)
from quota_service.overrides import Change, differing, note
from quota_service.windows import FOREVER

# Ended holds forgotten with each batch, so that forgetting keeps pace and no batch is long.
FORGET_AT_LEAST = 64


class Ledger:
    """Levels, holds and closures, and the operations on them.

    Attributes:
        now: the last moment applied; moments never go back (I10).
        lines: what is used and held, by budget id.
        holds: open holds and ended ones that are still remembered, by attempt id.
        open_holds: how many are HELD.
    """

    def __init__(self, definitions: Definitions, retention: Retention | None = None) -> None:
        self.definitions = definitions
        self.now = 0
        self.lines = Lines()
        self.holds: dict[str, Hold] = {}
        self.closures: dict[str, rules.Closure] = {}
        self._books = Books(definitions, self.lines, self.closures)
        self.open_holds = 0
        self._expiries: list[tuple[int, str]] = []
        self._ended = EndedHolds(retention or Retention())
        self._denied = RecentDenials()
        self._changes = Changes(0)
        self._verbs: dict[type, Callable[..., Answer]] = {
            Settle: self._settle,
            Release: self._release,
            Extend: self._extend,
            Observe: self._observe,
            SetOverride: self._override,
            RemoveOverride: self._override,
        }

    def restore(
        self, now: int, cells: Iterable[Cell], holds: Iterable[Hold], closures: dict[str, rules.Closure]
    ) -> None:
        """Take in what was stored: cells in the order of their starts, holds in the order of their ends."""
        self.now = now
        for cell in cells:
            self.lines[cell.budget].add(cell)
        for hold in holds:
            self._remember(hold)
        self.closures.update(closures)
        heapify(self._expiries)

    def _remember(self, hold: Hold) -> None:
        self.holds[hold.attempt_id] = hold
        for leg in hold.legs:
            leg.cell.holds += 1
        if hold.state == State.HELD:
            self.open_holds += 1
            self._await_expiry(hold)
        else:
            self._ended.add(hold)

    @property
    def next_expiry(self) -> int | None:
        """Return when the next hold may lapse or override expire."""
        soonest = min(self._expiries[0][0] if self._expiries else FOREVER, self.definitions.expire_at)
        return None if soonest == FOREVER else soonest

    def apply(self, operations: Sequence[Operation], now: int) -> tuple[list[Answer], Changes]:
        """Do a batch: settles, releases, extensions and observations, then reserves in their order."""
        self.now = now = max(now, self.now)
        changes = self._changes = Changes(now)
        self._define(self.definitions.as_of(now))
        self._lapse_due()
        self._denied.forget(now)
        answers: list[Any] = [None] * len(operations)
        for place, operation in enumerate(operations):
            if type(operation) is not Reserve:
                answers[place] = self._verbs[type(operation)](operation)
        for place, operation in enumerate(operations):
            if type(operation) is Reserve:
                answers[place] = self._reserve(operation)
        for attempt_id in self._ended.outlived(now, FORGET_AT_LEAST + 2 * len(operations)):
            self._forget(self.holds.pop(attempt_id))
        self._collect_dropped()
        if changes.overriding:
            self._define(overruled(self.definitions, changes.overriding, now))
        return answers, changes

    def _reserve(self, reserve: Reserve) -> Answer:
        mark = 0 if reserve.dry_run else fingerprint(reserve)
        if not reserve.dry_run and (known := self._repeated(reserve, mark)) is not None:
            return known
        if reserve.instead_of is None:
            fit, denials = first_fit(reserve, self._books, self.now, None)
            if fit is None:
                return self._deny(reserve, mark, Denied(tuple(denials)))
            return self._hold(reserve, mark, fit, Denied(tuple(denials)))
        return self._replace(reserve, mark, reserve.instead_of)

    def _replace(self, reserve: Reserve, mark: int, settle: Settle) -> Answer:
        """Settle the attempt being replaced and admit its successor in one step.

        While the successor waits, the old attempt keeps what it holds, so that no neighbour can take it.
        """
        old = self.holds.get(settle.attempt_id)
        ending = rules.end(old, settle)
        if isinstance(ending, Refused):
            return ending
        moves = [] if old is None or isinstance(ending, Done) else moves_of(old, ending)
        if (full := overflowing(moves)) is not None:
            return rules.beyond_counting(settle.attempt_id, full)
        book(moves)
        own = freed_by(moves, self.now)
        fit, denials = first_fit(reserve, self._books, self.now, own)
        waits = fit is None and self._waits(reserve, Denied(tuple(denials)))
        if reserve.dry_run or waits:
            book([Move(move.leg, -move.used, -move.held) for move in moves])
        elif old is not None and not isinstance(ending, Done):
            self._record_ending(old, ending, moves)
        if fit is None:
            return self._deny(reserve, mark, Denied(tuple(denials)))
        return self._hold(reserve, mark, fit, Denied(tuple(denials)))

    def _repeated(self, reserve: Reserve, mark: int) -> Answer | None:
        """Return what this attempt was told before, if it was (I6)."""
        hold = self.holds.get(reserve.attempt_id)
        if hold is None:
            return self._denied.find(reserve.attempt_id, mark, self.now)
        if hold.fingerprint == mark:
            return hold.answer
        return rules.other_contents(hold.attempt_id)

    def _waits(self, reserve: Reserve, denied: Denied) -> bool:
        return reserve.patience > 0 and rules.worth_waiting(denied.denials, reserve.patience)

    def _deny(self, reserve: Reserve, mark: int, denied: Denied) -> Answer:
        if reserve.dry_run:
            return denied
        if self._waits(reserve, denied):
            waits = [denial.fits_in for denial in denied.denials if denial.fits_in is not None]
            return Waiting(denied.denials, self.now + min(waits, default=reserve.patience))
        self._denied.add(reserve.attempt_id, mark, denied, self.now)
        return denied

    def _hold(self, reserve: Reserve, mark: int, fit: Fit, passed_over: Denied) -> Held:
        terms = fit.terms
        lent = "concurrency" in [line.unit for line, _ in fit.takes]
        hold = Hold(
            attempt_id=reserve.attempt_id,
            fingerprint=mark,
            tenant=reserve.tenant,
            use_case=reserve.use_case,
            estimate=fit.offer,
            vendor=terms.vendor,
            model=terms.model,
            plan=terms.plan,
            version=self.definitions.version,
            created=self.now,
            expires=self.now + (min(reserve.ttl, LEASE) if lent else reserve.ttl),
            passed_over=passed_over.denials,
        )
        if not reserve.dry_run:
            self._take(hold, fit)
        return hold.answer

    def _take(self, hold: Hold, fit: Fit) -> None:
        changes = self._changes
        legs, moves, touched = [], [], changes.cells
        for line, amount in fit.takes:
            for cell in line.current:
                cell.book(0, amount)
                cell.holds += 1
                touched[cell] = None
                legs.append(Leg(cell, line.unit, amount))
                moves.append((cell.budget, cell.start, 0, amount))
        hold.legs = legs
        self.holds[hold.attempt_id] = changes.holds[hold.attempt_id] = changes.legs[hold.attempt_id] = hold
        self.open_holds += 1
        self._await_expiry(hold)
        changes.journal.append(Entry(self.now, "reserve", hold.attempt_id, fit.offer.offer, moves))

    def _settle(self, settle: Settle) -> Answer:
        hold = self.holds.get(settle.attempt_id)
        ending = rules.end(hold, settle)
        if hold is None or isinstance(ending, Done | Refused):
            return ending if isinstance(ending, Done | Refused) else DONE
        moves = moves_of(hold, ending)
        if (full := overflowing(moves)) is not None:
            return rules.beyond_counting(settle.attempt_id, full)
        book(moves)
        self._record_ending(hold, ending, moves)
        return Done(corrected=ending.state == State.CORRECTED)

    def _release(self, release: Release) -> Answer:
        return self._settle(Settle(release.attempt_id, Outcome.RELEASED))

    def _extend(self, extend: Extend) -> Answer:
        hold = self.holds.get(extend.attempt_id)
        if hold is None or hold.state != State.HELD:
            return rules.not_open(extend.attempt_id, "" if hold is None or hold.outcome is None else hold.outcome)
        hold.expires = self.now + extend.ttl
        self._await_expiry(hold)
        self._changes.holds[hold.attempt_id] = hold
        return DONE

    def _observe(self, observe: Observe) -> Answer:
        terms = self.definitions.terms(observe.offer)
        if terms is None:
            return rules.unknown_offer(observe.offer)
        if observe.closed_for > 0:
            close(self.closures, terms, observe, self._changes)
        if observe.opened:
            open_again(self.closures, terms, observe, self._changes)
        observe_figures(self.lines, terms, observe, self._changes)
        return DONE

    def _override(self, change: Change) -> Answer:
        self._changes.overriding.append(change)
        self._changes.journal.append(Entry(self.now, "override", "", note(change), ()))
        return DONE

    def _define(self, definitions: Definitions) -> None:
        """Decide by other definitions from now on; who waits for what they change is to be tried again."""
        if definitions is not self.definitions:
            self._changes.freed |= differing(self.definitions.overrides, definitions.overrides)
            self._books = self._books._replace(definitions=definitions)
            self.definitions = self._changes.definitions = definitions

    def _record_ending(self, hold: Hold, ending: rules.Ending, moves: Sequence[Move]) -> None:
        corrected = hold.state == State.LAPSED
        record_ending(self._changes, hold, ending, moves)
        if not corrected:
            self.open_holds -= 1
            hold.ended = self.now
            self._ended.add(hold)

    def _await_expiry(self, hold: Hold) -> None:
        heappush(self._expiries, (hold.expires, hold.attempt_id))
        for leg in hold.legs:
            if leg.unit == "concurrency":
                line = self.lines[leg.cell.budget]
                line.latest_expiry = max(line.latest_expiry, hold.expires)

    def _lapse_due(self) -> None:
        """End every hold whose time is over: charged in full, flagged assumed (I5)."""
        while self._expiries and self._expiries[0][0] <= self.now:
            _, attempt_id = heappop(self._expiries)
            hold = self.holds.get(attempt_id)
            if hold is not None and hold.state == State.HELD and hold.expires <= self.now:
                ending = rules.lapse(hold)
                moves = moves_of(hold, ending)
                book(moves)
                self._record_ending(hold, ending, moves)
                self._changes.lapsed += 1
        open_due(self.closures, self._changes)

    def _forget(self, hold: Hold) -> None:
        changes = self._changes
        changes.forgotten.append(hold.attempt_id)
        changes.holds.pop(hold.attempt_id, None)
        changes.legs.pop(hold.attempt_id, None)
        for leg in hold.legs:
            cell = leg.cell
            cell.holds -= 1
            cell.forgotten += leg.used
            changes.cells[cell] = None
            if cell.holds == 0:
                self.lines[cell.budget].forget(cell, self.now)

    def _collect_dropped(self) -> None:
        changes = self._changes
        for cell in self.lines.outdated:
            changes.cells.pop(cell, None)
            if cell.stored:
                changes.dropped.append(cell)
        self.lines.outdated.clear()
        for cell in changes.cells:
            cell.stored = True
