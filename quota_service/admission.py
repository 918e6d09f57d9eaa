"""First fit: walks the offers of a reserve and finds the first whose every leg fits, all or none (I3)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from quota_service import rules
from quota_service.budgets import Budget, Terms
from quota_service.definitions import Definitions
from quota_service.holds import Hold, Leg, State
from quota_service.levels import MOST, Cell, Line
from quota_service.operations import Cause, Denial, OfferAmounts, Reserve


class Lines(dict[str, Line]):
    """The lines of all budgets, made when first asked for; `outdated` collects the cells they drop."""

    def __init__(self) -> None:
        super().__init__()
        self.outdated: list[Cell] = []

    def __missing__(self, budget_id: str) -> Line:
        line = self[budget_id] = Line(budget_id, self.outdated)
        return line


class Fit(Struct, frozen=True, gc=False):
    """The offer that fits, and the amount it takes of each budget."""

    offer: OfferAmounts
    terms: Terms
    takes: list[tuple[Line, int]]


class Books(NamedTuple):
    """What admission reads: the declared budgets, how full they are, what vendors closed."""

    definitions: Definitions
    lines: Lines
    closures: dict[str, rules.Closure]


def first_fit(
    reserve: Reserve, books: Books, now: int, own: Mapping[str, int] | None
) -> tuple[Fit | None, list[Denial]]:
    """Return the first offer that fits, if any, and why each one before it does not."""
    definitions, lines, closures = books
    payers = definitions.payer_budgets(reserve.tenant, reserve.use_case)
    denials: list[Denial] = []
    for offer in reserve.offers:
        terms = definitions.terms(offer.offer)
        if terms is None:
            denials.append(Denial(offer.offer, offer.offer, Cause.UNKNOWN_OFFER))
            continue
        denial = rules.closed(terms, closures, now) if closures else None
        if denial is None:
            share = () if reserve.beyond_share else definitions.share(reserve.use_case, terms.account)
            budgets = (*terms.budgets, *payers, *share)
            takes = _takes(offer, budgets, lines, now, own, by=reserve)
            if takes is not None:
                return Fit(offer, terms, takes), denials
            denial = _explain(offer, budgets, lines, now, own, by=reserve)
        denials.append(denial)
    return None, denials


def _takes(
    offer: OfferAmounts,
    budgets: Sequence[Budget],
    lines: Lines,
    now: int,
    own: Mapping[str, int] | None,
    *,
    by: Reserve,
) -> list[tuple[Line, int]] | None:
    """Return what the offer takes of each budget, or None as soon as one has no room."""
    amounts, tier, behind = rules.needs(offer), by.tier, by.behind
    takes = []
    for budget in budgets:
        line = lines[budget.id]
        if now >= line.stale_at:
            line.advance(now, budget)
        amount = amounts[budget.index]
        kept = budget.kept(tier) if budget.headroom else 0
        if behind:
            kept = max(kept, behind.get(budget.id, 0))
        if not rules.admits(line, budget, amount, own, kept=kept):
            return None
        takes.append((line, amount))
    return takes


def _explain(
    offer: OfferAmounts,
    budgets: Sequence[Budget],
    lines: Lines,
    now: int,
    own: Mapping[str, int] | None,
    *,
    by: Reserve,
) -> Denial:
    """Name the budget that keeps the offer out longest."""
    amounts = rules.needs(offer)
    denials = []
    for budget in budgets:
        line = lines[budget.id]
        if now >= line.stale_at:
            line.advance(now, budget)
        amount = amounts[budget.index]
        kept = budget.kept(by.tier)
        if not rules.admits(line, budget, amount, own, kept=kept):
            denials.append(rules.denial(offer.offer, line, budget, amount, now, kept=kept))
        elif not rules.admits(line, budget, amount, own, kept=by.behind.get(budget.id, 0)):
            denials.append(rules.queued(offer.offer, line, budget))
    return rules.most_limiting(denials)


class Move(NamedTuple):
    """By how much an ending moves one leg."""

    leg: Leg
    used: int
    held: int


def moves_of(hold: Hold, ending: rules.Ending) -> list[Move]:
    """Return how the legs of a hold move when it ends so; nothing is booked yet (I12)."""
    was_held = hold.state == State.HELD
    return [
        Move(leg, rules.amount_of(leg.unit, ending.charged) - leg.used, -leg.held if was_held else 0)
        for leg in hold.legs
    ]


def overflowing(moves: Sequence[Move]) -> str | None:
    """Return the budget that moves would take beyond what can be counted, None when there is none."""
    for leg, used, held in moves:
        level = leg.cell.total or leg.cell
        if level.used + level.held + used + held > MOST:
            return leg.cell.budget
    return None


def book(moves: Sequence[Move]) -> None:
    """Move the levels."""
    for leg, used, held in moves:
        leg.cell.book(used, held)


def freed_by(moves: Sequence[Move], now: int) -> dict[str, int]:
    """Return how much room moves make on each budget in the windows of now."""
    freed: dict[str, int] = {}
    for move in moves:
        cell, room = move.leg.cell, -(move.used + move.held)
        if room > 0 and cell.counts_until > now:
            freed[cell.budget] = freed.get(cell.budget, 0) + room
    return freed
