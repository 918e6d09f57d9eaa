"""Recomputes every level from the journal and from the open holds (I2): the script tells all of one moment at once."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple, cast

from msgspec import msgpack

from quota_service.stores.redis.link import Link

ENTRIES_AT_ONCE = 1_000
# A line of the journal is kind, attempt, remark and how many moves, and a move is a cell and by how much it moved.
HEAD, MOVE = 4, 3
Key = tuple[str, int]
Level = tuple[int, int]


class Told(NamedTuple):
    """What one batch did to a cell: its level before, and by how much it moved."""

    before: Level
    moved: Level


async def discrepancies(link: Link, request: bytes) -> list[str]:
    """Return one sentence for each level that is not what the journal and the holds say."""
    dump = await link.read(request)
    cells: dict[Key, Level] = {(row[0], row[1]): (row[2], row[3]) for row in dump["cells"]}
    history: defaultdict[Key, list[Told]] = defaultdict(list)
    async for entry in _journal(link, dump["count"]):
        for key, told in _moves(entry):
            history[key].append(told)
    return [
        *_negative(dump["cells"]),
        *_against_the_journal(cells, history),
        *_against_the_holds(cells, dump["holds"]),
        *_totals(dump),
    ]


async def _journal(link: Link, count: int) -> AsyncIterator[Any]:
    """Return the batches the journal tells of, up to so many lines, oldest first."""
    client, first = cast("Any", link.readers), "-"
    while True:
        entries = await client.xrange(f"{link.prefix}journal", min=first, max=f"{count}-1", count=ENTRIES_AT_ONCE)
        for _, fields in entries:
            yield msgpack.decode(fields[b"b"])
        if len(entries) < ENTRIES_AT_ONCE:
            return
        first = b"(" + entries[-1][0]


def _moves(entry: Any) -> Iterator[tuple[Key, Told]]:
    """Sum what one batch did to each cell it touched."""
    _, cells, told = entry
    moved: Counter[tuple[int, int]] = Counter()
    place = 0
    while place < len(told):
        first, place = place + HEAD, place + HEAD + MOVE * told[place + HEAD - 1]
        for move in range(first, place, MOVE):
            number, used, held = told[move : move + MOVE]
            moved[number, 0] += used
            moved[number, 1] += held
    for number, (budget, start, used, held) in enumerate(cells, 1):
        yield (budget, start), Told((used, held), (moved[number, 0], moved[number, 1]))


def _negative(cells: list[list[Any]]) -> Iterator[str]:
    for budget, start, used, held, external, _ in cells:
        if min(used, held, external) < 0:
            yield f"{budget} at {start}: negative: used {used} held {held} external {external}"


def _against_the_journal(cells: dict[Key, Level], history: dict[Key, list[Told]]) -> Iterator[str]:
    """Follow each cell from line to line: nothing may move it that the journal does not tell."""
    for key, level in cells.items():
        told = history.get(key)
        if told is None:
            continue  # nothing has moved it for as long as the journal reaches
        reached = told[0].before
        for step in told:
            if step.before != reached:
                yield f"{key[0]} at {key[1]}: was {step.before}, the journal says {reached}"
            reached = (step.before[0] + step.moved[0], step.before[1] + step.moved[1])
        if level != reached:
            yield f"{key[0]} at {key[1]}: used {level[0]} held {level[1]}, the journal says {reached}"


def _against_the_holds(cells: dict[Key, Level], holds: list[Any]) -> Iterator[str]:
    held: Counter[Key] = Counter()
    for attempt_id, state, amounts, shape in holds:
        if state != "held":
            yield f"attempt {attempt_id} is listed as open and is {state}"
            continue
        for budget, unit, start in zip(shape[::3], shape[1::3], shape[2::3], strict=True):
            held[budget, start] += amounts[unit - 1]
    for key, level in cells.items():
        if level[1] != held[key]:
            yield f"{key[0]} at {key[1]}: held is {level[1]}, the open holds sum to {held[key]}"


def _totals(dump: dict[str, Any]) -> Iterator[str]:
    """Compare the running total of each rolling window with its cells."""
    sums: Counter[tuple[str, int]] = Counter()
    for budget, _, *levels, _ in dump["cells"]:
        for place, amount in enumerate(levels):
            sums[budget, place] += amount
    for budget, *totals in dump["totals"]:
        for place, name in enumerate(("used", "held", "external")):
            if totals[place] != sums[budget, place]:
                yield f"{budget}: total {name} is {totals[place]}, its cells sum to {sums[budget, place]}"
