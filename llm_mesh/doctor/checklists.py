"""Reads what each profile of the doctor looks at."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import RootModel

from catalog.loader import ROWS
from meshkit.yaml_file import StrictModel, load

FILE = ROWS / "checklists/doctor.yaml"
EVERYDAY = "everyday"


class Item(StrictModel):
    """One thing to look at, by the check's word, or all things of another profile."""

    check: str = ""
    profile: str = ""
    vendor: str = ""
    model: str = ""
    optional: bool = False


class Checklists(RootModel[dict[str, list[Item]]]):
    """The items of every profile."""

    def items(self, profile: str) -> Iterator[Item]:
        """Return the items of a profile, those of the profiles it includes in their place."""
        for item in self.root[profile]:
            if item.profile:
                yield from self.items(item.profile)
            else:
                yield item


def checklists(file: Path = FILE) -> Checklists:
    """Read the profiles; raises ConfigError."""
    found: Any = load(file, Checklists)
    return Checklists.model_validate(found)
