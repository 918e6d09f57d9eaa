"""Turns the ledger's cells and holds into rows of the SQLite store and back."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import json

from quota_service.budgets import parts
from quota_service.changes import Changes, Entry, summed
from quota_service.holds import Hold, Leg, State
from quota_service.levels import Cell
from quota_service.operations import Amounts, Denial, OfferAmounts, Outcome
from quota_service.spend import LabelSets, figures
from quota_service.windows import Span

Row = tuple[Any, ...]
_encode = json.Encoder().encode
_denials = json.Decoder(tuple[Denial, ...]).decode


def cell_row(cell: Cell) -> Row:
    """Return the row of a window."""
    bounds = (cell.budget, cell.start, cell.end, cell.counts_until)
    return (*bounds, cell.used, cell.held, cell.external, cell.vendor_limit, cell.forgotten)


def cell_of(row: Row) -> Cell:
    """Return the window a row tells of."""
    cell = Cell(row[0], Span(row[1], row[2], row[3]))
    cell.used, cell.held, cell.external, cell.vendor_limit, cell.forgotten = row[4:9]
    cell.stored = True
    return cell


def hold_row(hold: Hold) -> Row:
    """Return the row of a hold."""
    estimate = hold.estimate
    return (
        hold.attempt_id,
        hold.fingerprint,
        hold.tenant,
        hold.use_case,
        estimate.offer,
        hold.vendor,
        hold.model,
        hold.plan,
        hold.version,
        estimate.input_tokens,
        estimate.output_tokens,
        estimate.cost_nanos,
        hold.created,
        hold.expires,
        _encode(hold.passed_over).decode() if hold.passed_over else "",
        hold.state.value,
        hold.outcome.value if hold.outcome else "",
        hold.ended,
        hold.settlement,
        int(hold.unpriced),
        *figures(hold.charged),
        estimate.requests,
    )


def hold_of(row: Row, legs: list[Leg]) -> Hold:
    """Return the hold a row tells of, with its legs."""
    hold = Hold(
        attempt_id=row[0],
        fingerprint=row[1],
        tenant=row[2],
        use_case=row[3],
        estimate=OfferAmounts(row[4], row[9], row[10], row[11], row[24]),
        vendor=row[5],
        model=row[6],
        plan=row[7],
        version=row[8],
        created=row[12],
        expires=row[13],
        passed_over=_denials(row[14]) if row[14] else (),
    )
    hold.state = State(row[15])
    hold.outcome = Outcome(row[16]) if row[16] else None
    hold.ended, hold.settlement, hold.unpriced = row[17], row[18], bool(row[19])
    hold.charged = Amounts(*row[20:24])
    hold.legs = legs
    return hold


def leg_rows(holds: Iterable[Hold]) -> Iterator[Row]:
    """Return the rows of the legs of holds."""
    for hold in holds:
        for number, leg in enumerate(hold.legs):
            yield hold.attempt_id, number, leg.cell.budget, leg.cell.start, leg.held, leg.used


def legs_of(rows: Iterable[Row], cells: Mapping[tuple[str, int], Cell]) -> Mapping[str, list[Leg]]:
    """Return the legs that rows tell of, by attempt id."""
    legs: defaultdict[str, list[Leg]] = defaultdict(list)
    for attempt_id, budget, start, held, used in rows:
        legs[attempt_id].append(Leg(cells[budget, start], parts(budget)[1], held, used))
    return legs


def spend_rows(changes: Changes, labels: LabelSets) -> Iterator[Row]:
    """Return what a batch adds to the spend table."""
    for key, attempts, amounts, assumed in summed(changes.spend):
        yield *labels.bounded(key), attempts, *figures(amounts), assumed


def journal_row(seq: int, entry: Entry) -> Row:
    """Return a line of the journal."""
    return seq, entry.at, entry.kind, entry.attempt_id, entry.note, _encode(entry.moves).decode()
