"""Lays a snapshot over the rows: what was different at another time, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from catalog.vendor_rows import Text
from meshkit.yaml_file import Document, Location, StrictModel

SHIPPED = Path(__file__).parent / "snapshots"
Changes = dict[str, Any]


class VendorChanges(StrictModel):
    """The keys of a vendor's row that were different, and its models of then."""

    model_config = ConfigDict(extra="allow")

    models: dict[Text, Changes] = Field(default_factory=dict)


class SnapshotFile(StrictModel):
    """The whole file; `over` is the directory of rows it is laid over, seen from the file."""

    over: Text | None = None
    vendors: dict[str, VendorChanges] = Field(default_factory=dict)
    use_cases: dict[str, Changes] = Field(default_factory=dict)


def lay(snapshot: Document, rows: Mapping[str, Document], use_cases: Document | None) -> None:
    """Change the rows to what a snapshot says.

    Keys of a vendor, of a model and of a use case are replaced one by one, null takes a key away; models and use cases
    that the snapshot does not name are left out.

    Raises:
        ConfigError: the file is none, or names a vendor nobody knows.
    """
    file = snapshot.validate(SnapshotFile)
    for vendor in file.vendors:
        if vendor not in rows:
            raise snapshot.error(("vendors", vendor), "unknown vendor", ", ".join(rows))
    for vendor, row in rows.items():
        for key in snapshot.data.get("vendors", {}).get(vendor, {}):
            if key != "models":
                row.replace((key,), snapshot, ("vendors", vendor, key))
        _lay_each(snapshot, ("vendors", vendor, "models"), row, "models")
    if use_cases is not None:
        _lay_each(snapshot, ("use_cases",), use_cases, "use_cases")


def _lay_each(snapshot: Document, theirs: Location, row: Document, key: str) -> None:
    """Change a row's models, or the use cases, one by one."""
    named: Any = snapshot.data
    for part in theirs:
        named = named.get(part, {})
    known = row.data.get(key)
    if not isinstance(known, dict):
        return  # the row will be refused for it
    for name in [name for name in known if name not in named]:
        del known[name]
    for name, changes in named.items():
        if name not in known:
            row.replace((key, name), snapshot, (*theirs, name))
            continue
        for part in changes:
            row.replace((key, name, part), snapshot, (*theirs, name, part))
