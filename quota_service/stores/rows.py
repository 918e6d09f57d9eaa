"""Turns the ledger's cells and holds into rows of the SQLite store and back."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import json

from quota_service.budgets import unit_place
from quota_service.changes import Changes
from quota_service.holds import Draw, Hold, State, Who
from quota_service.levels import Cell
from quota_service.operations import Amounts, Denial, OfferAmounts, Outcome
from quota_service.spend import LabelSets, figures
from quota_service.windows import Span

Row = tuple[Any, ...]
_encode = json.Encoder().encode
_denials = json.Decoder(tuple[Denial, ...]).decode
_legs = json.Decoder(tuple[tuple[str, int], ...]).decode


def cell_row(cell: Cell) -> Row:
    """Return the row of a window."""
    bounds = (cell.budget, cell.start, cell.end, cell.counts_until)
    return (*bounds, cell.used, cell.held, cell.external, cell.vendor_limit, cell.forgotten)


def cell_of(row: Row) -> Cell:
    """Return the window a row tells of."""
    cell = Cell(row[0], unit_place(row[0]), Span(row[1], row[2], row[3]))
    cell.used, cell.held, cell.external, cell.vendor_limit, cell.forgotten = row[4:9]
    cell.stored = True
    return cell


def hold_rows(holds: Iterable[Hold]) -> Iterator[Row]:
    """Return the rows of holds as they were made."""
    shared: dict[Draw, Row] = {}
    for hold in holds:
        draw, estimate = hold.draw, hold.estimate
        columns = shared.get(draw)
        if columns is None:
            legs = _encode([(cell.budget, cell.start) for cell in draw.cells]).decode()
            columns = shared[draw] = (legs, *draw.who)
        yield (
            hold.number,
            hold.attempt_id,
            hold.fingerprint,
            hold.version,
            hold.created,
            hold.expires,
            estimate.offer,
            estimate.requests,
            estimate.input_tokens,
            estimate.output_tokens,
            estimate.cost_nanos,
            _encode(hold.passed_over).decode() if hold.passed_over else "",
            *columns,
        )


def ending_row(hold: Hold) -> Row:
    """Return the row of how a hold has ended."""
    charged = hold.charged
    return (
        hold.number,
        str(hold.state),
        "" if hold.outcome is None else str(hold.outcome),
        hold.ended,
        hold.settlement,
        hold.unpriced,
        charged.requests,
        charged.input_tokens,
        charged.output_tokens,
        charged.cost_nanos,
    )


def holds_of(rows: Iterable[Row], cells: Iterable[Cell]) -> list[Hold]:
    """Return the holds that rows tell of, each a hold and its ending; those on the same cells share a draw."""
    known = {(cell.budget, cell.start): cell for cell in cells}
    draws: dict[tuple[str, Who], Draw] = {}
    return [_hold_of(row, known, draws) for row in rows]


def _hold_of(row: Row, cells: Mapping[tuple[str, int], Cell], draws: dict[tuple[str, Who], Draw]) -> Hold:
    number, attempt_id, mark, version, created, expires, offer, requests, prompt, output, cost, passed_over = row[:12]
    key = (row[12], Who(*row[13:18]))
    draw = draws.get(key)
    if draw is None:
        draw = draws[key] = Draw(key[1], tuple(cells[leg] for leg in _legs(row[12])))
    estimate = OfferAmounts(offer, prompt, output, cost, requests)
    denials = _denials(passed_over) if passed_over else ()
    hold = Hold(number, attempt_id, mark, estimate, draw, version, created, expires, denials)
    if row[18] is not None:
        hold.state, hold.outcome = State(row[18]), Outcome(row[19])
        hold.ended, hold.settlement, hold.unpriced = row[20], row[21], bool(row[22])
        hold.charged = Amounts(*row[23:27])
    return hold


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return numbers as the first and last of each run of neighbours."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def spend_rows(changes: Changes, labels: LabelSets) -> Iterator[Row]:
    """Return what a batch adds to the spend table."""
    for key, attempts, amounts, assumed in changes.spend:
        yield *labels.bounded(key), attempts, *figures(amounts), assumed
