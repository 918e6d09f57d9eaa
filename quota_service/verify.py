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
    used, held, draws = _sums(ledger)
    for line in ledger.lines.values():
        for cell in line.cells.values():
            yield from _cell(cell, used[cell] + cell.forgotten, held[cell], draws[cell])
        yield from _total(line)
    for cell in draws:
        if ledger.lines[cell.budget].cells.get(cell.start) is not cell:
            yield f"{cell.budget} at {cell.start}: a hold has a leg on a window that is gone"
    for draw, number in Counter(hold.draw for hold in ledger.holds.values()).items():
        if draw.holds != number:
            yield f"{number} holds draw on the same as {draw.who}, {draw.holds} are counted"
    open_holds = sum(hold.state == State.HELD for hold in ledger.holds.values())
    if open_holds != ledger.open_holds:
        yield f"{open_holds} holds are open, {ledger.open_holds} are counted"


def _sums(ledger: Ledger) -> tuple[Counter[Cell], Counter[Cell], Counter[Cell]]:
    used: Counter[Cell] = Counter()
    held: Counter[Cell] = Counter()
    for hold in ledger.holds.values():
        for cell, its_used, its_held in hold.levels():
            used[cell] += its_used
            held[cell] += its_held
    draws = Counter(cell for draw in {hold.draw for hold in ledger.holds.values()} for cell in draw.cells)
    return used, held, draws


def _cell(cell: Cell, used: int, held: int, draws: int) -> Iterator[str]:
    where = f"{cell.budget} at {cell.start}"
    for name, recorded, summed in (("used", cell.used, used), ("held", cell.held, held), ("draws", cell.draws, draws)):
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
