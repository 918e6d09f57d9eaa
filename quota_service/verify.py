"""Recomputes every level from the holds behind it and says where they differ (I2, I4, I12)."""

from collections import Counter
from collections.abc import Iterator

from quota_service.holds import State
from quota_service.ledger import Ledger
from quota_service.levels import Cell, Credit, Line


def discrepancies(ledger: Ledger) -> list[str]:
    """Return one sentence for each level that is not the sum of its holds; empty when the ledger is right."""
    return list(_discrepancies(ledger))


def _discrepancies(ledger: Ledger) -> Iterator[str]:
    used, held, holds = _sums(ledger)
    for line in ledger.lines.values():
        for cell in line.cells.values():
            yield from _cell(cell, used[cell] + cell.forgotten, held[cell], holds[cell])
        yield from _total(line)
    for cell in holds:
        if ledger.lines[cell.budget].cells.get(cell.start) is not cell:
            yield f"{cell.budget} at {cell.start}: a hold has a leg on a window that is gone"
    open_holds = sum(hold.state == State.HELD for hold in ledger.holds.values())
    if open_holds != ledger.open_holds:
        yield f"{open_holds} holds are open, {ledger.open_holds} are counted"


def _sums(ledger: Ledger) -> tuple[Counter[Cell], Counter[Cell], Counter[Cell]]:
    used: Counter[Cell] = Counter()
    held: Counter[Cell] = Counter()
    holds: Counter[Cell] = Counter()
    for hold in ledger.holds.values():
        for leg in hold.legs:
            holds[leg.cell] += 1
            used[leg.cell] += leg.used
            held[leg.cell] += leg.held if hold.state == State.HELD else 0
    return used, held, holds


def _cell(cell: Cell, used: int, held: int, holds: int) -> Iterator[str]:
    where = f"{cell.budget} at {cell.start}"
    for name, recorded, summed in (("used", cell.used, used), ("held", cell.held, held), ("holds", cell.holds, holds)):
        if recorded != summed:
            yield f"{where}: {name} is {recorded}, the holds sum to {summed}"
        if recorded < 0:
            yield f"{where}: {name} is negative: {recorded}"
    if cell.external < 0:
        yield f"{where}: external is negative: {cell.external}"


def _total(line: Line) -> Iterator[str]:
    credit = next((level for level in line.weighed if isinstance(level, Credit)), None)
    total, seen = (line.total, line.spread()) if credit is None else (credit, tuple(line.cells.values()))
    for name in ("used", "held", "external") if total is not None else ():
        summed = sum(getattr(cell, name) for cell in seen)
        if getattr(total, name) != summed:
            yield f"{line.id}: total {name} is {getattr(total, name)}, its cells sum to {summed}"
