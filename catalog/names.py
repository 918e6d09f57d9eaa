"""Finds things by any of their names, whatever the case, and suggests names for a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class NameIndex(Generic[ItemT]):
    """An index of items that belong to an owner and have an id, aliases, short names and a family.

    Items are found in the order in which they were added. A short name alone counts only when one owner has it; some
    items have no name alone.
    """

    def __init__(self) -> None:
        self._items: list[tuple[str, ItemT]] = []
        self._levels: tuple[dict[str, list[int]], ...] = ({}, {}, {}, {})
        self._spellings: dict[str, str] = {}
        self._never_alone: set[int] = set()

    def add(
        self,
        item: ItemT,
        owner: str,
        name: str,
        *,
        aliases: Iterable[str] = (),
        short_names: Iterable[str] = (),
        family: str = "",
        alone: bool = True,
    ) -> None:
        """Add one item under all its names; unless they stand alone, they count only behind the owner's."""
        number = len(self._items)
        self._items.append((owner, item))
        if not alone:
            self._never_alone.add(number)
        for level, names in enumerate(((name,), aliases, short_names, (family,) if family else ())):
            for known in names:
                self._levels[level].setdefault(known.casefold(), []).append(number)
                for spelling in (known, f"{owner}/{known}")[not alone :]:
                    self._spellings.setdefault(spelling.casefold(), spelling)

    def at(self, owner: str, name: str) -> tuple[ItemT, ...]:
        """Find an owner's items of that name: by id, else alias, else short name, else family."""
        for level in self._levels:
            numbers = level.get(name.casefold(), ())
            if found := tuple(item for holder, item in map(self._items.__getitem__, numbers) if holder == owner):
                return found
        return ()

    def anywhere(self, name: str) -> tuple[ItemT, ...]:
        """Find every owner's items of that name, whichever kind of name it is for each of them."""
        ids, aliases, short_names, families = (level.get(name.casefold(), []) for level in self._levels)
        shared = len({self._items[number][0] for number in short_names}) > 1
        numbers = {*ids, *aliases, *families, *(() if shared else short_names)} - self._never_alone
        return tuple(self._items[number][1] for number in sorted(numbers))

    def closest(self, name: str) -> list[str]:
        """Return up to five known names that look like this one, the likest first."""
        return [self._spellings[key] for key in get_close_matches(name.casefold(), self._spellings, n=5, cutoff=0.6)]
