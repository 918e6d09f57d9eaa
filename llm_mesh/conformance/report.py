"""Counts verdicts by vendor and tells of them; a vendor with few recordings is called unproven."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from llm_mesh.cli import output
from llm_mesh.conformance.run import Verdict

UNPROVEN = 10  # fewer recordings than these prove nothing


@dataclass(slots=True)
class Counted:
    """How one vendor's records fared; `unsupported` ones are not among the others."""

    right: int = 0
    wrong: int = 0
    unsupported: int = 0

    @property
    def remark(self) -> str:
        """What is to be said of the figures."""
        return "unproven" if self.right + self.wrong < UNPROVEN else ""


@dataclass(slots=True)
class Report:
    """All verdicts."""

    vendors: dict[str, Counted] = field(default_factory=lambda: defaultdict(Counted))
    wrong: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Count one."""
        counted = self.vendors[verdict.record.vendor]
        if verdict.outcome.kind == "unsupported":
            counted.unsupported += 1
        elif verdict.wrong:
            counted.wrong += 1
            self.wrong.append(verdict)
        else:
            counted.right += 1

    def lines(self) -> Iterator[str]:
        """Say what is wrong, one line for each fault."""
        for verdict in self.wrong:
            record = verdict.record
            yield from (f"{record.vendor} {record.id} {record.dialect}: {fault}" for fault in verdict.wrong)

    def show(self, console: Console) -> None:
        """Print everything for people."""
        numbers = ("n", "right", "wrong", "unsupported")
        table = output.table("vendor", *numbers, "", numbers=numbers)
        every = Counted()
        for vendor, counted in self.vendors.items():
            table.add_row(vendor, *_figures(counted), counted.remark)
            every.right += counted.right
            every.wrong += counted.wrong
            every.unsupported += counted.unsupported
        table.add_row("all", *_figures(every), "")
        console.print(table)
        for line in self.lines():
            console.print(line, soft_wrap=True)


def plain(verdict: Verdict) -> dict[str, Any]:
    """Return one record's outcome as JSON wants it."""
    record = verdict.record
    return {"id": record.id, "vendor": record.vendor, "dialect": record.dialect, **verdict.outcome.plain()}


def _figures(counted: Counted) -> tuple[str, str, str, str]:
    n = counted.right + counted.wrong
    return str(n), str(counted.right), str(counted.wrong), str(counted.unsupported)
