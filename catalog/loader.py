"""Reads the catalogue's files into one `Catalog`, refusing whatever does not hold together."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from catalog.checks import check_catalog
from catalog.model import Catalog, UseCase, Vendor
from catalog.snapshots import SHIPPED, lay
from catalog.use_case_rows import UseCasesFile
from catalog.vendor_rows import NAME_HINT, VendorRow, is_name
from meshkit.yaml_file import ConfigError, Document, read

USE_CASES = "use_cases"
ROWS = Path(__file__).parent


def load_catalog(place: Path | None = None) -> Catalog:
    """Read every row of a directory, or those a snapshot file is laid over; without either, the rows the mesh ships.

    Raises:
        ConfigError: the first mistake found, with its file, line and key.
    """
    snapshot = read(place) if place is not None and place.is_file() else None
    directory = place or ROWS if snapshot is None else _below(snapshot)
    files = sorted(directory.glob("*.yaml"))
    documents = {path.stem: read(path) for path in files}
    if not documents:
        raise ConfigError(str(directory), 0, "", "no catalogue rows here", "<vendor>.yaml files, or a snapshot")
    if snapshot is not None:
        rows = {name: document for name, document in documents.items() if name != USE_CASES}
        lay(snapshot, rows, documents.get(USE_CASES))
        files.append(Path(snapshot.name))
    vendors = dict(_vendors(documents))
    catalog = Catalog(
        vendors=MappingProxyType(vendors),
        use_cases=MappingProxyType(_use_cases(documents.get(USE_CASES))),
        version=fingerprint(*(path.read_bytes() for path in files)),
    )
    check_catalog(catalog, documents, documents.get(USE_CASES))
    return catalog


def found(named: str, directory: Path) -> Path:
    """Return what a catalogue's name means: a path seen from a directory, else a snapshot the mesh ships."""
    path, shipped = directory / named, SHIPPED / f"{named}.yaml"
    return shipped if shipped.is_file() and not path.exists() else path


def directory_of(place: Path | None) -> Path:
    """Return the directory of the rows at a place: itself, the one a snapshot is laid over, or the shipped one."""
    return _below(read(place)) if place is not None and place.is_file() else place or ROWS


def _below(snapshot: Document) -> Path:
    """Return the directory of the rows a snapshot is laid over."""
    over = snapshot.data.get("over")
    return Path(snapshot.name).parent / over if isinstance(over, str) else ROWS


def fingerprint(*parts: bytes) -> int:
    """Return a number below 2^48 that changes whenever a part does; it has no order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return int.from_bytes(digest.digest()[:6])


def _vendors(documents: Mapping[str, Document]) -> Iterator[tuple[str, Vendor]]:
    """Return the vendors in the order of their ports."""
    rows = {}
    for name, document in documents.items():
        if name == USE_CASES:
            continue
        if not is_name(name):
            raise ConfigError(document.name, 0, "", f"`{name}` cannot be a vendor's id", NAME_HINT)
        rows[name] = document.validate(VendorRow)
    for name, row in sorted(rows.items(), key=lambda item: item[1].port_offset):
        yield name, row.vendor(name, {model: model_row.model(model) for model, model_row in row.models.items()})


def _use_cases(document: Document | None) -> dict[str, UseCase]:
    """Return the use cases of their file, none without it."""
    if document is None:
        return {}
    return {name: row.use_case(name) for name, row in document.validate(UseCasesFile).use_cases.items()}
