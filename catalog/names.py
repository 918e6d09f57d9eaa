"""Finds things by any of their names, whatever the case, and suggests names for a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Generic, TypeVar

ItemT = TypeVar("ItemT")


class NameIndex(Generic[ItemT]):
    """An index of items that belong to an owner and have an id, aliases, short names and a family.

    Items are found in the order in which they were added. A short name alone counts only when one owner has it.
    """

    def __init__(self) -> None:
        self._levels: tuple[dict[str, list[tuple[str, ItemT]]], ...] = ({}, {}, {}, {})
        self._spellings: dict[str, str] = {}

    def add(
        self,
        item: ItemT,
        owner: str,
        name: str,
        *,
        aliases: Iterable[str] = (),
        short_names: Iterable[str] = (),
        family: str = "",
    ) -> None:
        """Add one item under all its names."""
        for level, names in enumerate(((name,), aliases, short_names, (family,) if family else ())):
            for known in names:
                self._levels[level].setdefault(known.casefold(), []).append((owner, item))
                for spelling in (known, f"{owner}/{known}"):
                    self._spellings.setdefault(spelling.casefold(), spelling)

    def at(self, owner: str, name: str) -> tuple[ItemT, ...]:
        """Find an owner's items of that name: by id, else alias, else short name, else family."""
        for level in self._levels:
            if found := tuple(item for holder, item in level.get(name.casefold(), ()) if holder == owner):
                return found
        return ()

    def anywhere(self, name: str) -> tuple[ItemT, ...]:
        """Find every owner's items of that name: by id, else alias, else unshared short name, else family."""
        ids, aliases, short_names, families = (level.get(name.casefold(), []) for level in self._levels)
        if len({owner for owner, _ in short_names}) > 1:
            short_names = []
        return tuple(item for _, item in ids or aliases or short_names or families)

    def closest(self, name: str) -> list[str]:
        """Return up to five known names that look like this one, the likest first."""
        return [self._spellings[key] for key in get_close_matches(name.casefold(), self._spellings, n=5, cutoff=0.6)]
