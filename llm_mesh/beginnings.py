"""Words the files a mesh begins with: mesh.yaml with every key and its default, .env with every vendor's variables."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from catalog.keys import read_keys
from catalog.mesh_rows import MeshFile
from catalog.model import Catalog, Vendor
from llm_mesh.variables import CALLER_KEY

WIDTH = 120
Changes = Mapping[tuple[str, ...], str]
HEAD = """
# The configuration of llm-mesh. Every key is here with its default; delete what you do not change, or the whole file.
# `llm-mesh config check` says what is wrong with it, `llm-mesh config schema` gives editors its schema; the rest is in
# docs/configuration.md. Keys of vendors are never here: they are in .env.
""".lstrip()
# What the keys are for that are no section of their own.
ABOUT = {
    "catalog": "Where the rows of vendors are, or a snapshot of them; null means those the mesh ships.",
    "vendors": "What this mesh does differently with a vendor, by its id: slots, limits, region, endpoint, models …",
    "use_cases": "Use cases added to those the mesh ships, or in the place of one of them.",
    "budgets": "What we may spend: [{subject: tenant/local, unit: usd, window: month, amount: 20}]",
}
ENV_HEAD = """
# Keys: one vendor is enough. What is left as it is here counts as missing. A second key is NAME_2, a third NAME_3.
""".lstrip()


def mesh_yaml(changes: Changes) -> str:
    """Return a commented mesh.yaml; `changes` are values in the place of defaults, by key."""
    return HEAD + "\n".join(_lines(MeshFile(), changes, ())) + "\n"


def _lines(row: BaseModel, changes: Changes, place: tuple[str, ...]) -> Iterator[str]:
    indent = "  " * len(place)
    for name in type(row).model_fields:
        value, here = getattr(row, name), (*place, name)
        if not place:
            yield ""
            yield from _comment(ABOUT.get(name, ""), indent)
        if isinstance(value, BaseModel):
            yield from _comment(type(value).__doc__ or "", indent)
            yield f"{indent}{name}:"
            yield from _lines(value, changes, here)
        elif here in changes:
            yield f"{indent}{name}: {changes[here]} # {_scalar(value)} was in use"
        else:
            yield f"{indent}{name}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _comment(text: str, indent: str) -> Iterator[str]:
    first = " ".join(text.split())
    yield from textwrap.wrap(first, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def env(catalog: Catalog, environment: Mapping[str, str], local: Mapping[str, str]) -> str:
    """Return a commented .env, without any key: what the environment has already is said and left there.

    Args:
        catalog: the vendors.
        environment: what is set already.
        local: where servers of ours were found, by vendor.
    """
    vendors = [vendor for vendor in catalog.vendors.values() if vendor.retired_on is None]
    said = ("\n".join(_vendor(vendor, environment, local)) + "\n" for vendor in vendors)
    return "\n".join([ENV_HEAD, *said, _ours(environment)])


def _vendor(vendor: Vendor, environment: Mapping[str, str], local: Mapping[str, str]) -> Iterator[str]:
    page = f", from {vendor.key_page}" if vendor.key_page else ""
    if not vendor.key_env:
        yield f"# {vendor.display_name}: no key{page}"
        address = next(iter(vendor.endpoint_env), "")
        if vendor.id in local and address:
            yield f"{address}={local[vendor.id]}"
        elif address:
            yield f"# {address}={vendor.endpoint}"
        return
    yield f"# {vendor.display_name}{page}"
    if has_key(vendor, environment):
        places = ", ".join(found.place for found in read_keys(vendor, environment).slots.values())
        yield f"# in the environment already: {places}"
        return
    first, *others = vendor.key_env
    yield f"{first}={_template(vendor)}"
    yield from (f"# {name}={_template(vendor)}" for name in others)
    yield from (f"# {name}=" for name in _addresses(vendor))


def has_key(vendor: Vendor, environment: Mapping[str, str]) -> bool:
    """Tell whether the environment has a key of a vendor that takes one."""
    return bool(vendor.key_env and read_keys(vendor, environment).slots)


def _template(vendor: Vendor) -> str:
    return f"your-{vendor.id}-key-here"


def _addresses(vendor: Vendor) -> Iterable[str]:
    yield from vendor.endpoint_env
    yield from (names[0] for names in vendor.endpoint_parts.values())


def _ours(environment: Mapping[str, str]) -> str:
    there = " (in the environment already)" if environment.get(CALLER_KEY) else ""
    return (
        f"# What callers send as X-API-Key or bearer token{there}; without it only this machine is served.\n"
        f"# {CALLER_KEY}=your-caller-key-here\n"
    )
