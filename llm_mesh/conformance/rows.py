"""Finds the vendor that reads a recording: a catalogue row if one fits, else what `recorded.yaml` says."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from pydantic import Field

from catalog.loader import load_catalog
from catalog.model import Auth, Vendor
from catalog.plan import Plan, PlanName
from catalog.vendor_rows import ErrorRow
from meshkit.yaml_file import StrictModel, load

FILE = Path(__file__).with_name("recorded.yaml")
PLAN: PlanName = "local"


class WireRow(StrictModel):
    """What a vendor does differently on one wire that is not its row's; `dialect` when that wire is another's."""

    dialect: str = ""
    quirks: list[str] = Field(default_factory=list)
    errors: list[ErrorRow] = Field(default_factory=list)


class RecordedRow(StrictModel):
    """One recorded vendor; `id` when ours is another name."""

    id: str = ""
    wires: dict[str, WireRow] = Field(default_factory=dict)


class RecordedFile(StrictModel):
    """The whole file."""

    wires: dict[str, str]
    marks: dict[str, list[str]]
    vendors: dict[str, RecordedRow]


@cache
def recorded() -> RecordedFile:
    """Return the file."""
    return load(FILE, RecordedFile)


@cache
def _catalogue() -> Mapping[str, Vendor]:
    return load_catalog().vendors


def dialect_of(name: str, wire: str) -> str:
    """Return the dialect that reads a recorded vendor's wire; nothing when the wire is out of scope."""
    return _wire_row(name, wire).dialect or recorded().wires.get(wire, "")


def id_of(name: str) -> str:
    """Return our id of a recorded vendor; one we do not have keeps its name."""
    row = recorded().vendors.get(name)
    return (row.id if row else "") or name


def vendor_of(name: str, wire: str, dialect: str) -> Vendor:
    """Return the vendor as a provider service wants it; no key is needed, for nobody would look at it."""
    own = _catalogue().get(id_of(name))
    if own is not None and own.dialect == dialect:
        return replace(own, auth=Auth("none"), local=False, open_models=False)
    row = _wire_row(name, wire)
    return Vendor(
        id=id_of(name),
        display_name=name,
        reply_name=name,
        group="local",
        dialect=dialect,
        endpoint="",
        plans={PLAN: Plan(PLAN)},
        default_plan=PLAN,
        models={},
        port_offset=0,
        auth=Auth("none"),
        quirks=tuple(row.quirks),
        errors=(*(rule.rule() for rule in row.errors), *(own.errors if own else ())),
        provider_name=name,
    )


def _wire_row(name: str, wire: str) -> WireRow:
    row = recorded().vendors.get(name)
    return (row.wires.get(wire) if row else None) or WireRow()
