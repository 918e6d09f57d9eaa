"""Writes the row of a vendor nobody knows yet: it loads as it is, and every key says what to put there."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from string import Template
from typing import Any

import yaml

from catalog.model import Catalog, Vendor
from catalog.vendor_rows import NAME_HINT, VendorRow, is_name
from meshkit.errors import StartError
from meshkit.yaml_file import ConfigError, Document

FILL_IN = "FILL IN"
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OFFSETS = range(100)
RESERVED = frozenset({"use_cases"})
# The name ends in a domain that never resolves, so that no key goes to a stranger before the row is filled in.
NOWHERE = "https://fill-in.invalid/v1"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a new vendor; empty endpoint and variable mean that nothing was said."""

    name: str
    dialect: str
    endpoint: str = ""
    key_env: str = ""


def usual_dialect(catalog: Catalog) -> str:
    """Return the dialect most vendors speak."""
    spoken = Counter(vendor.dialect for vendor in catalog.vendors.values())
    return spoken.most_common(1)[0][0] if spoken else ""


def new_row(wanted: Wanted, catalog: Catalog, template: str, today: date) -> str:
    """Return the row as commented YAML.

    Args:
        wanted: what is known.
        catalog: the vendors there are, without the one that is to be replaced.
        template: the row with `$placeholders`.
        today: the day the row is written.

    Raises:
        StartError: the name, variable or endpoint cannot be, or is taken; or there is no port left.
    """
    check_name(wanted.name)
    _check_free(wanted.name, catalog)
    alike = _example(wanted.dialect, catalog)
    keyless = alike is not None and alike.auth.kind == "none" and not wanted.key_env
    variable = "" if keyless else wanted.key_env or f"{wanted.name.upper()}_API_KEY"
    _check_variable(variable, catalog)
    local = alike is not None and alike.local
    text = Template(template).substitute(
        name=wanted.name,
        display_name=_yaml(wanted.name.replace("_", " ").capitalize()),
        group="local" if local else "cost_optimised",
        dialect=wanted.dialect,
        endpoint=_yaml(wanted.endpoint or NOWHERE),
        endpoint_hint="" if wanted.endpoint else f"{FILL_IN} ",
        access=_access(alike, variable),
        local="true" if local else "false",
        port_offset=_free_offset(catalog),
        plan="local" if local else "paid",
        trains="false" if local else "true",
        today=today.isoformat(),
    )
    _check_row(text, wanted.name)
    return text


def check_name(name: str) -> None:
    """Refuse what cannot be a vendor's id, and so the name of a file; raises StartError."""
    if not is_name(name) or name in RESERVED:
        raise StartError(f"`{name}` cannot be a vendor's id; allowed: {NAME_HINT}")


def _check_free(name: str, catalog: Catalog) -> None:
    if (known := catalog.vendor(name)) is not None:
        raise StartError(f"`{name}` already names the vendor {known.id}")


def _check_variable(variable: str, catalog: Catalog) -> None:
    if variable and not VARIABLE.fullmatch(variable):
        raise StartError(f"--key-env: `{variable}` cannot be a variable; allowed: CAPITALS, digits and underscores")
    for vendor in catalog.vendors.values():
        if variable in vendor.key_env:
            raise StartError(f"--key-env: {variable} holds the key of {vendor.id}, which must go to nobody else")


def _example(dialect: str, catalog: Catalog) -> Vendor | None:
    """Return a vendor that speaks the dialect, its own maker if it is there: keys travel to most in the same way."""
    speakers = [vendor for vendor in catalog.vendors.values() if vendor.dialect == dialect]
    return next((vendor for vendor in speakers if vendor.id == dialect), speakers[0] if speakers else None)


def _access(alike: Vendor | None, variable: str) -> str:
    """Return the lines of the row that say how a key travels."""
    lines: dict[str, Any] = {}
    if not variable:
        lines["auth"] = {"kind": "none"}
    elif alike is not None and alike.auth.kind == "header":
        lines["auth"] = {"kind": "header", "header": alike.auth.header}
    if alike is not None and alike.headers:
        lines["headers"] = dict(alike.headers)
    if variable:
        lines["key_env"] = [variable]
    return "\n".join(f"{key}: {_yaml(value)}" for key, value in lines.items())


def _free_offset(catalog: Catalog) -> int:
    """Return the offset after the last one, for rows of a later release may fill the gaps; a gap when none is left."""
    taken = {vendor.port_offset for vendor in catalog.vendors.values()}
    free = [offset for offset in OFFSETS if offset not in taken]
    if not free:
        raise StartError(f"no port_offset is free: all of {OFFSETS.start} to {OFFSETS.stop - 1} are taken")
    return next((offset for offset in free if offset > max(taken, default=-1)), free[0])


def _check_row(text: str, name: str) -> None:
    """Refuse what the catalogue would refuse; of what was asked for, only the endpoint has not been looked at."""
    data: dict[str, Any] = yaml.safe_load(text)
    try:
        Document(name, data).validate(VendorRow)
    except ConfigError as error:
        raise StartError(f"--{error.key}: {error.problem}; allowed: {error.allowed}") from error


def _yaml(value: Any) -> str:
    """Write a value on one line, quoted where YAML needs it."""
    return yaml.safe_dump(value, default_flow_style=True, width=1_000).removesuffix("...\n").strip()
