"""First fit: walks the offers of a reserve and finds the first whose every leg fits, all or none (I3)."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from quota_service import rules
from quota_service.budgets import Budget, Terms
from quota_service.definitions import KNOWN_OFFERS, Definitions
from quota_service.holds import Draw, Hold, State, Who
from quota_service.levels import MOST, Cell, Line
from quota_service.operations import NO_UNITS, Cause, Denial, OfferAmounts, Reserve, Units

# Later than any moment: what has no budgets draws on nothing for ever.
FAR = 1 << 62


class Lines(dict[str, Line]):
    """The lines of all budgets, made when first asked for; `outdated` collects the cells they drop."""

    def __init__(self) -> None:
        super().__init__()
        self.outdated: list[Cell] = []

    def __missing__(self, budget_id: str) -> Line:
        line = self[budget_id] = Line(budget_id, self.outdated)
        return line


class Offered:
    """An offer for a payer: what must have room, and the draw of its holds until `stale_at`, when a window moves on."""

    __slots__ = ("budgets", "draw", "stale_at", "terms", "who")

    def __init__(self, who: Who, terms: Terms, budgets: list[tuple[Budget, Line]]) -> None:
        self.who = who
        self.terms = terms
        self.budgets = budgets
        self.stale_at = 0
        self.draw = Draw(who, ())

    def advance(self, now: int) -> None:
        """Move to the windows of now."""
        cells: list[Cell] = []
        self.stale_at = FAR
        for budget, line in self.budgets:
            if now >= line.stale_at:
                line.advance(now, budget)
            cells += line.current
            self.stale_at = min(self.stale_at, line.stale_at)
        self.draw = Draw(self.who, tuple(cells))


class Fit(Struct, frozen=True, gc=False):
    """The offer that fits, what it draws on, and the amounts it takes."""

    offer: OfferAmounts
    draw: Draw
    amounts: Units


class Books:
    """What admission reads: the declared budgets, how full they are, what vendors closed."""

    def __init__(self, definitions: Definitions, lines: Lines, closures: dict[str, rules.Closure]) -> None:
        self.definitions = definitions
        self.lines = lines
        self.closures = closures
        self._offered: dict[tuple[str, str, str, bool], Offered] = {}

    def offered(self, offer: str, by: Reserve, now: int) -> Offered | None:
        """Return what an offer draws on for a payer now, None when nobody knows the offer."""
        key = offer, by.tenant, by.use_case, by.beyond_share
        known = self._offered.get(key) or self._expanded(*key)
        if known is not None and now >= known.stale_at:
            known.advance(now)
        return known

    def _expanded(self, offer: str, tenant: str, use_case: str, beyond_share: bool) -> Offered | None:
        terms = self.definitions.terms(offer)
        if terms is None:
            return None
        share = () if beyond_share else self.definitions.share(use_case, terms.account)
        budgets = (*terms.budgets, *self.definitions.payer_budgets(tenant, use_case), *share)
        who = Who(tenant, use_case, terms.vendor, terms.model, terms.plan)
        if len(self._offered) >= KNOWN_OFFERS:
            self._offered.clear()
        found = Offered(who, terms, [(budget, self.lines[budget.id]) for budget in budgets])
        self._offered[offer, tenant, use_case, beyond_share] = found
        return found


def first_fit(
    reserve: Reserve, books: Books, now: int, own: Mapping[str, int] | None
) -> tuple[Fit | None, list[Denial]]:
    """Return the first offer that fits, if any, and why each one before it does not."""
    denials: list[Denial] = []
    for offer in reserve.offers:
        offered = books.offered(offer.offer, reserve, now)
        if offered is None:
            denials.append(Denial(offer.offer, offer.offer, Cause.UNKNOWN_OFFER))
            continue
        denial = rules.closed(offered.terms, books.closures, now) if books.closures else None
        if denial is None:
            amounts = offer.in_units()
            if _fits(offered, amounts, own, reserve):
                return Fit(offer, offered.draw, amounts), denials
            denial = _explain(offered, amounts, own, reserve, now)
        denials.append(denial)
    return None, denials


def _fits(offered: Offered, amounts: Units, own: Mapping[str, int] | None, by: Reserve) -> bool:
    """Tell whether every budget has room."""
    tier, behind = by.tier, by.behind
    for budget, line in offered.budgets:
        kept = budget.kept(tier) if budget.headroom else 0
        if behind:
            kept = max(kept, behind.get(budget.id, 0))
        if not rules.admits(line, budget, amounts[budget.index], own, kept):
            return False
    return True


def _explain(offered: Offered, amounts: Units, own: Mapping[str, int] | None, by: Reserve, now: int) -> Denial:
    """Name the budget that keeps the offer out longest."""
    denials, offer = [], offered.terms.offer
    for budget, line in offered.budgets:
        amount, kept = amounts[budget.index], budget.kept(by.tier)
        if not rules.admits(line, budget, amount, own, kept):
            denials.append(rules.denial(offer, line, budget, amount, now, kept=kept))
        elif not rules.admits(line, budget, amount, own, by.behind.get(budget.id, 0)):
            denials.append(rules.queued(offer, line, budget))
    return rules.most_limiting(denials)


class Move(NamedTuple):
    """By how much an ending moves its legs, in each unit."""

    cells: tuple[Cell, ...]
    used: Units
    held: Units

    def undone(self) -> "Move":
        """Return the move that takes this one back."""
        return Move(self.cells, _negative(self.used), _negative(self.held))


NO_MOVE = Move((), NO_UNITS, NO_UNITS)


def move_of(hold: Hold, ending: rules.Ending) -> Move:
    """Return how the legs of a hold move when it ends so; nothing is booked yet (I12)."""
    used = ending.charged.in_units()
    if hold.state is State.HELD:
        return Move(hold.draw.cells, used, _negative(hold.estimate.in_units()))
    requests, tokens, cost, _ = hold.charged.in_units()
    return Move(hold.draw.cells, (used[0] - requests, used[1] - tokens, used[2] - cost, 0), NO_UNITS)


def _negative(amounts: Units) -> Units:
    requests, tokens, cost, places = amounts
    return -requests, -tokens, -cost, -places


def overflowing(move: Move) -> str | None:
    """Return the budget that a move would take beyond what can be counted, None when there is none."""
    cells, used, held = move
    for cell in cells:
        more = used[cell.index] + held[cell.index]
        if more > 0:
            level = cell.total or cell
            if level.used + level.held + more > MOST:
                return cell.budget
    return None


def book(cells: tuple[Cell, ...], used: Units, held: Units) -> None:
    """Move the levels."""
    for cell in cells:
        cell.book(used[cell.index], held[cell.index])


def freed_by(move: Move, now: int) -> dict[str, int]:
    """Return how much room a move makes on each budget in the windows of now."""
    freed: dict[str, int] = {}
    for cell in move.cells:
        room = -(move.used[cell.index] + move.held[cell.index])
        if room > 0 and cell.counts_until > now:
            freed[cell.budget] = freed.get(cell.budget, 0) + room
    return freed
