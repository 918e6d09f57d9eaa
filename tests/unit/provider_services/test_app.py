"""The composition of provider services: what starts, what refuses to, and how it ends."""

import asyncio
from dataclasses import replace
from types import MappingProxyType

import pytest
from fixtures.shipped import shipped

from catalog.mesh import load_mesh
from catalog.settings import Address, Mesh
from meshkit.errors import StartError
from provider_services.app import dialect_of, serve


def on_free_ports() -> Mesh:
    mesh = load_mesh(None, {})
    vendors = {
        vendor: replace(settings, address=Address("127.0.0.1:0", ""), admin="127.0.0.1:0")
        for vendor, settings in mesh.vendors.items()
    }
    return replace(mesh, vendors=MappingProxyType(vendors))


async def test_several_vendors_are_served_by_one_process_until_it_is_told_to_stop() -> None:
    mesh, stop = on_free_ports(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.3, stop.set)
    async with asyncio.timeout(5):
        await serve(mesh, mesh.catalog, list(mesh.catalog.vendors), {}, stop)


@pytest.mark.parametrize(("names", "word"), [(["nobody"], "unknown vendor `nobody`"), ([], "no vendor to serve")])
async def test_a_name_nobody_knows_is_refused_with_those_that_are(names: list[str], word: str) -> None:
    mesh = on_free_ports()
    with pytest.raises(StartError, match=word) as error:
        await serve(mesh, mesh.catalog, names, {}, asyncio.Event())
    assert "groq" in str(error.value)


def test_every_shipped_row_names_a_dialect_and_quirks_that_exist() -> None:
    for vendor in shipped().vendors.values():
        dialect_of(vendor)


def test_a_row_with_an_unknown_dialect_or_quirk_is_refused() -> None:
    row = next(iter(shipped().vendors.values()))
    with pytest.raises(StartError, match="unknown dialect `latin`"):
        dialect_of(replace(row, dialect="latin"))
    with pytest.raises(StartError, match="unknown quirks at_most_three_stops"):
        dialect_of(replace(row, quirks=("at_most_three_stops",)))
