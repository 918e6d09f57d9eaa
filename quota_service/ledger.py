"""The ledger as a pure state machine: operations and a moment in, answers and changes out; no clock, no store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from quota_service import rules
from quota_service.admission import NO_MOVE, Books, Fit, Lines, Move, book, first_fit, freed_by, move_of, overflowing
from quota_service.changes import Changes, Entry
from quota_service.definitions import Definitions, overruled
from quota_service.endings import record_ending
from quota_service.holds import CONCURRENCY, Draw, Hold, State, fingerprint
from quota_service.levels import Cell
from quota_service.memory import Deadlines, EndedHolds, RecentDenials, Retention
from quota_service.observing import close, observe_figures, open_again, open_due
from quota_service.operations import (
    CORRECTED,
    DONE,
    LEASE,
    NO_UNITS,
    Answer,
    Denial,
    Denied,
    Done,
    Extend,
    Held,
    Observe,
    Operation,
    Outcome,
    Redefine,
    Refused,
    Release,
    RemoveOverride,
    Reserve,
    SetOverride,
    Settle,
    Units,
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
        self._made = 0
        self._deadlines = Deadlines()
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
            Redefine: self._redefine,
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

    def _remember(self, hold: Hold) -> None:
        self.holds[hold.attempt_id] = hold
        self._made = max(self._made, hold.number)
        hold.draw.remember()
        if hold.state is State.HELD:
            self.open_holds += 1
            self._await_expiry(hold)
        else:
            self._ended.add(hold)

    @property
    def next_expiry(self) -> int | None:
        """Return when the next hold may lapse or override expire."""
        lapses, expires = self._deadlines.soonest(), self.definitions.expire_at
        soonest = expires if lapses is None else min(lapses, expires)
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
        self._forget(self._ended.outlived(now, FORGET_AT_LEAST + 2 * len(operations)))
        changes.gather(self.lines.outdated)
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
            return self._hold(reserve, mark, fit, denials)
        return self._replace(reserve, mark, reserve.instead_of)

    def _replace(self, reserve: Reserve, mark: int, settle: Settle) -> Answer:
        """Settle the attempt being replaced and admit its successor in one step.

        While the successor waits, the old attempt keeps what it holds, so that no neighbour can take it.
        """
        old = self.holds.get(settle.attempt_id)
        ending = rules.end(old, settle)
        if isinstance(ending, Refused):
            return ending
        move = NO_MOVE if old is None or isinstance(ending, Done) else move_of(old, ending)
        if (full := overflowing(move)) is not None:
            return rules.beyond_counting(settle.attempt_id, full)
        book(*move)
        own = freed_by(move, self.now)
        fit, denials = first_fit(reserve, self._books, self.now, own)
        waits = fit is None and self._waits(reserve, Denied(tuple(denials)))
        if reserve.dry_run or waits:
            book(*move.undone())
        elif old is not None and not isinstance(ending, Done):
            self._record_ending(old, ending, move)
        if fit is None:
            return self._deny(reserve, mark, Denied(tuple(denials)))
        return self._hold(reserve, mark, fit, denials)

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

    def _hold(self, reserve: Reserve, mark: int, fit: Fit, passed_over: list[Denial]) -> Held:
        ttl = min(reserve.ttl, LEASE) if fit.draw.lease else reserve.ttl
        hold = Hold(
            self._made + 1,
            reserve.attempt_id,
            mark,
            fit.offer,
            fit.draw,
            self.definitions.version,
            self.now,
            self.now + ttl,
            tuple(passed_over),
        )
        if not reserve.dry_run:
            self._take(hold, fit.amounts)
        return hold.answer

    def _take(self, hold: Hold, amounts: Units) -> None:
        changes, draw = self._changes, hold.draw
        book(draw.cells, NO_UNITS, amounts)
        draw.remember()
        self.holds[hold.attempt_id] = hold
        self._made = hold.number
        self.open_holds += 1
        self._await_expiry(hold)
        changes.made.append(hold)
        changes.draws[draw] = None
        changes.journal.append(Entry("reserve", hold.attempt_id, hold.estimate.offer, draw.cells, NO_UNITS, amounts))

    def _settle(self, settle: Settle) -> Answer:
        hold = self.holds.get(settle.attempt_id)
        ending = rules.end(hold, settle)
        if hold is None or not isinstance(ending, rules.Ending):
            return ending if isinstance(ending, Done | Refused) else DONE
        move = move_of(hold, ending)
        if (full := overflowing(move)) is not None:
            return rules.beyond_counting(settle.attempt_id, full)
        book(*move)
        self._record_ending(hold, ending, move)
        return CORRECTED if ending.state is State.CORRECTED else DONE

    def _release(self, release: Release) -> Answer:
        return self._settle(Settle(release.attempt_id, Outcome.RELEASED))

    def _extend(self, extend: Extend) -> Answer:
        hold = self.holds.get(extend.attempt_id)
        if hold is None or hold.state is not State.HELD:
            return rules.not_open(extend.attempt_id, "" if hold is None or hold.outcome is None else hold.outcome)
        self._deadlines.remove(hold)
        hold.expires = self.now + extend.ttl
        self._await_expiry(hold)
        self._changes.extended[hold.attempt_id] = hold
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
        self._changes.journal.append(Entry("override", "", note(change)))
        return DONE

    def _redefine(self, redefine: Redefine) -> Answer:
        known, told = self.definitions, redefine.definitions
        if told.fingerprint != known.fingerprint:
            for line in self.lines.values():
                line.stale_at = 0  # its window may be another
            self._define(told.numbered(known.version + 1, known.overrides))
            self._changes.freed.update(self.lines)
            self._changes.journal.append(Entry("redefine", "", f"version {known.version + 1}"))
        return DONE

    def _define(self, definitions: Definitions) -> None:
        """Decide by other definitions from now on; who waits for what they change is to be tried again."""
        if definitions is not self.definitions:
            self._changes.freed |= differing(self.definitions.overrides, definitions.overrides)
            self._books = Books(definitions, self.lines, self.closures)
            self.definitions = self._changes.definitions = definitions

    def _record_ending(self, hold: Hold, ending: rules.Ending, move: Move) -> None:
        corrected = hold.state is State.LAPSED
        record_ending(self._changes, hold, ending, move)
        if not corrected:
            self.open_holds -= 1
            hold.ended = self.now
            self._deadlines.remove(hold)
            self._ended.add(hold)

    def _await_expiry(self, hold: Hold) -> None:
        self._deadlines.add(hold)
        if hold.draw.lease:
            for cell in hold.draw.cells:
                if cell.index == CONCURRENCY:
                    line = self.lines[cell.budget]
                    line.latest_expiry = max(line.latest_expiry, hold.expires)

    def _lapse_due(self) -> None:
        """End every hold whose time is over: charged in full, flagged assumed (I5)."""
        for attempt_id in self._deadlines.take_due(self.now):
            hold = self.holds[attempt_id]
            ending = rules.lapse(hold)
            move = move_of(hold, ending)
            book(*move)
            self._record_ending(hold, ending, move)
            self._changes.lapsed += 1
        open_due(self.closures, self._changes)

    def _forget(self, holds: list[Hold]) -> None:
        """Forget holds; windows that only they kept are dropped when they weigh no longer."""
        known, sums = self.holds, dict[Draw, list[int]]()
        for hold in holds:
            del known[hold.attempt_id]
            row = sums.get(hold.draw)
            if row is None:
                row = sums[hold.draw] = [0, 0, 0, 0]
            charged = hold.charged
            row[0] += 1
            row[1] += charged.requests
            row[2] += charged.input_tokens + charged.output_tokens
            row[3] += charged.cost_nanos
        self._changes.forgotten = holds
        for draw, (number, requests, tokens, cost) in sums.items():
            draw.forget(number, (requests, tokens, cost, 0))
            self._changes.draws[draw] = None
            for cell in draw.cells:
                self.lines[cell.budget].forget(cell, self.now)
