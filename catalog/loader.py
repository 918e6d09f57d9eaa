"""Reads the catalogue's files into one `Catalog`, refusing whatever does not hold together."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from catalog.checks import check_catalog
from catalog.model import Catalog, UseCase, Vendor
from catalog.use_case_rows import UseCasesFile
from catalog.vendor_rows import NAME_HINT, VendorRow, is_name
from meshkit.yaml_file import ConfigError, Document, read

USE_CASES = "use_cases"


def load_catalog(directory: Path | None = None) -> Catalog:
    """Read every row of a directory; without one, the rows the mesh ships.

    Raises:
        ConfigError: the first mistake found, with its file, line and key.
    """
    files = sorted((directory or Path(__file__).parent).glob("*.yaml"))
    documents = {path.stem: read(path) for path in files}
    if not documents:
        raise ConfigError(str(directory), 0, "", "no catalogue rows here", "<vendor>.yaml files")
    vendors = dict(_vendors(documents))
    catalog = Catalog(
        vendors=MappingProxyType(vendors),
        use_cases=MappingProxyType(_use_cases(documents.get(USE_CASES))),
        version=fingerprint(*(path.read_bytes() for path in files)),
    )
    check_catalog(catalog, documents, documents.get(USE_CASES))
    return catalog


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
