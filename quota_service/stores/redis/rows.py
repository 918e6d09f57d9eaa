"""Writes budgets, terms and operations as the script reads them; all that does not depend on the store is done here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw, json, msgpack

from catalog.words import TIERS
from quota_service.budgets import TIER_PLACES, Budget
from quota_service.definitions import Definitions
from quota_service.holds import fingerprint, settlement
from quota_service.memory import RecentDenials
from quota_service.observing import SCOPES, figured
from quota_service.operations import (
    DONE,
    Answer,
    Extend,
    Observe,
    Operation,
    Outcome,
    Redefine,
    Release,
    RemoveOverride,
    Reserve,
    SetOverride,
    Settle,
)
from quota_service.overrides import note
from quota_service.rules import unknown_offer
from quota_service.windows import FOREVER, SECOND, cell_length, sliding_guard, span_at

Row = list[Any]
encode = msgpack.Encoder().encode
_text = json.Encoder().encode
ORDINARY, DRY_RUN, DECLARED = 0, 1, 2
# Later than any moment: the row of a window without a calendar never changes.
_ALWAYS = 1 << 62


class BudgetRows:
    """The rows of budgets, with the boundaries of their calendars around a moment; made anew when it has moved on."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, int, Budget, Raw]] = {}

    def row(self, budget: Budget, now: int) -> Raw:
        """Return the row of a budget; `now` only says which spans to send, the script picks by its own time."""
        since, until, known, row = self._rows.get(budget.id, (0, 0, None, Raw()))
        if known is budget and since <= now < until:
            return row
        return self._make(budget, now)

    def _make(self, budget: Budget, now: int) -> Raw:
        window, since, until = budget.window, 0, _ALWAYS
        kind, length, weighs, bounds = "eternal", 0, 0, list[int]()
        if window.kind == "sliding":
            kind, length = "sliding", cell_length(window.seconds)
            weighs = window.seconds * SECOND + sliding_guard(window.seconds)
        elif window.kind == "once":
            kind = "credit"
        elif window.kind == "calendar":
            kind, bounds = "calendar", _bounds(budget, now)
            since, until = bounds[1], bounds[2]
        columns = (budget.id, budget.index + 1, kind, budget.limit, budget.hard, budget.payer, budget.guard)
        kept = [budget.kept(tier) for tier in TIERS] if budget.headroom else ()
        row = Raw(encode((*columns, length, weighs, bounds, kept, budget.grants)))
        self._rows[budget.id] = (since, until, budget, row)
        return row


def _bounds(budget: Budget, now: int) -> list[int]:
    """Return where the span before, this one and the next two begin and end."""
    this = span_at(budget.window, now)
    bounds = [span_at(budget.window, this.start - 1).start, this.start, this.end]
    for _ in range(2):
        bounds.append(span_at(budget.window, bounds[-1]).end)
    return bounds


@dataclass
class Batch:
    """A batch as the script reads it: each budget and each draw once, and operations that point at them.

    Operations are one list, each behind the number of its columns. `marks` are the fingerprints of the reserves.
    """

    definitions: Definitions
    rows: BudgetRows
    denied: RecentDenials = field(default_factory=RecentDenials)
    now: int = 0
    budgets: list[Raw] = field(default_factory=list)
    draws: list[Row] = field(default_factory=list)
    others: Row = field(default_factory=list)
    reserves: Row = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    places: list[int | Answer] = field(default_factory=list)
    _budget_places: dict[str, int] = field(default_factory=dict)
    _draws: dict[tuple[str, str, str, bool], int] = field(default_factory=dict)

    def add(self, operations: Sequence[Operation]) -> None:
        """Take in operations; `places` tells where each one's answer will be, or the answer itself."""
        others = 0
        for operation in operations:
            if type(operation) is Redefine:
                self.places.append(DONE)  # done before the batch was sent
            elif type(operation) is Observe and self.definitions.terms(operation.offer) is None:
                self.places.append(unknown_offer(operation.offer))
            elif type(operation) is Reserve:
                self.places.append(len(self.marks))
                self._reserve(operation)
            else:
                self.places.append(others)
                others += 1
                row = self._other(operation)
                self.others.append(len(row))
                self.others += row

    def budget(self, budget: Budget) -> int:
        """Return the place of a budget, counted from 1 as the script does."""
        place = self._budget_places.get(budget.id)
        if place is None:
            self.budgets.append(self.rows.row(budget, self.now))
            place = self._budget_places[budget.id] = len(self.budgets)
        return place

    def _other(self, operation: Operation) -> Row:
        match operation:
            case Settle():
                return _settle(operation)
            case Release():
                return _settle(Settle(operation.attempt_id, Outcome.RELEASED))
            case Extend():
                return ["extend", operation.attempt_id, operation.ttl]
            case Observe():
                return self._observe(operation)
            case SetOverride():
                told = (operation.limit, operation.author, operation.reason, operation.until or FOREVER)
                return ["override", operation.budget, *told, note(operation)]
            case RemoveOverride():
                return ["override", operation.budget, -1, operation.author, operation.reason, 0, note(operation)]
        raise AssertionError(operation)

    def _observe(self, observe: Observe) -> Row:
        terms = self.definitions.terms(observe.offer)
        assert terms is not None  # noqa: S101 - refused in `add`
        subject = dict(zip(SCOPES, terms.subjects(), strict=True))[observe.scope]
        models = f"{subject}/" if observe.scope == "account" else ""
        budgets = figured(terms, observe)
        places = [self.budget(budget) for budget in budgets]
        declared = [budget.declared for budget in budgets]
        limit = -1 if observe.limit is None else observe.limit
        remaining = -1 if observe.remaining is None else observe.remaining
        closing: Row = ["observe", subject, observe.closed_for, models, observe.opened, observe.reason]
        return [*closing, places, declared, limit, remaining]

    def _reserve(self, reserve: Reserve) -> None:
        mark = 0 if reserve.dry_run else fingerprint(reserve)
        self.marks.append(mark)
        self.reserves += (
            9 + 5 * len(reserve.offers),
            reserve.attempt_id,
            f"{mark:x}",
            reserve.ttl,
            reserve.patience,
            DRY_RUN if reserve.dry_run else DECLARED if reserve.declared else ORDINARY,
            self.denied.until(reserve.attempt_id, mark),
            0 if reserve.instead_of is None else _settle(reserve.instead_of),
            TIER_PLACES[reserve.tier] + 1 if reserve.tier else 0,
            dict(reserve.behind) if reserve.behind else 0,
        )
        for offer in reserve.offers:
            draw = self._draw(offer.offer, reserve.tenant, reserve.use_case, shared=not reserve.beyond_share)
            self.reserves += draw, offer.input_tokens, offer.output_tokens, offer.cost_nanos, offer.requests

    def _draw(self, offer: str, tenant: str, use_case: str, *, shared: bool) -> int | str:
        """Return the place of what an offer draws on for a payer; the offer itself when nobody knows it."""
        place = self._draws.get((offer, tenant, use_case, shared))
        if place is None:
            terms = self.definitions.terms(offer)
            if terms is None:
                return offer
            payers = self.definitions.payer_budgets(tenant, use_case)
            share = self.definitions.share(use_case, terms.account) if shared else ()
            budgets = [self.budget(budget) for budget in (*terms.budgets, *payers, *share)]
            who = _text((tenant, use_case, terms.vendor, terms.model, terms.plan)).decode()
            self.draws.append([offer, terms.plan, who, *terms.subjects(), budgets])
            place = self._draws[offer, tenant, use_case, shared] = len(self.draws)
        return place


def _settle(settle: Settle) -> Row:
    told = settle.amounts
    amounts = (told.requests, told.input_tokens, told.output_tokens, told.cost_nanos)
    return [
        "settle",
        settle.attempt_id,
        settle.outcome,
        *amounts,
        settle.unpriced,
        f"{settlement(settle):x}",
        settle.labels,
    ]
