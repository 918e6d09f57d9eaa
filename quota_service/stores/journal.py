"""The journal of the SQLite store: a row for each batch, a line in it for each operation; and what lines sum to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import json

from quota_service.changes import Changes
from quota_service.levels import Cell

# Of each cell an operation may move: its budget, its start, and the place of its amounts in the lines.
Cells = list[tuple[str, int, int]]
# What was done, to which attempt, a remark, the number of its cells in the row, and by how much used and held moved.
Line = tuple[str, str, str, int, Sequence[int], Sequence[int]]
_encode = json.Encoder().encode
_cells = json.Decoder(list[Cells]).decode
_lines = json.Decoder(list[Line]).decode


def journal_row(last: int, changes: Changes) -> tuple[int, int, str, str]:
    """Return the row of a batch; its number is that of its last line."""
    places: dict[tuple[Cell, ...], int] = {}
    lines = []
    for entry in changes.journal:
        place = places.setdefault(entry.cells, len(places))
        lines.append((entry.kind, entry.attempt_id, entry.note, place, entry.used, entry.held))
    told = [[(cell.budget, cell.start, cell.index) for cell in cells] for cells in places]
    return last, changes.now, _encode(told).decode(), _encode(lines).decode()


def moved(rows: Iterable[tuple[str, str]]) -> dict[tuple[str, int], list[int]]:
    """Return by how much rows of the journal, each its cells and its lines, moved used and held of each window."""
    sums: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for cells, lines in rows:
        told = _cells(cells)
        moves: list[list[Sequence[int]]] = [[] for _ in told]
        for _, _, _, number, used, held in _lines(lines):
            moves[number].append((*used, *held))
        for windows, found in zip(told, moves, strict=True):
            totals = [sum(column) for column in zip(*found, strict=True)]
            for budget, start, place in windows:
                row = sums[budget, start]
                row[0] += totals[place]
                row[1] += totals[len(totals) // 2 + place]
    return sums
