"""What this process remembers of the store's levels: should the store lose them, they are told back (I19)."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

# Budget, start, end, weighs until, used, held.
Told = Sequence[Any]
MOST = 20_000


class Witness:
    """The cells this process has seen the store write, as it last saw them, while they weigh."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, int], Told] = {}
        self._prune_beyond = MOST

    def saw(self, touched: Sequence[Told], now: int) -> None:
        """Remember cells as a batch left them."""
        for told in touched:
            self._cells[told[0], told[1]] = told
        if len(self._cells) > self._prune_beyond:
            self._cells = {key: told for key, told in self._cells.items() if told[3] > now}
            self._prune_beyond = max(MOST, 2 * len(self._cells))

    def account(self, now: int, at_once: int = 500) -> Iterator[list[Told]]:
        """Return what is remembered of cells that weigh, in parts."""
        cells = iter([told for told in self._cells.values() if told[3] > now])
        while part := list(islice(cells, at_once)):
            yield part
