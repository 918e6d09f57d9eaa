"""`llm-mesh catalog`: checks the rows and what is out of date, and refreshes their prices from a price file."""

import datetime as dt
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from catalog import price_edit, prices
from catalog.freshness import OLD, Stale, stale
from catalog.loader import ROWS, found, load_catalog
from catalog.model import Catalog
from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.configured import configured_place
from meshkit.errors import StartError

app = typer.Typer(help="Check the catalogue's rows, or refresh their prices.", no_args_is_help=True)
Place = Annotated[
    str,
    typer.Option(
        "--catalog",
        metavar="PLACE",
        help="A directory of rows, a snapshot, or the name of a shipped one; by default what the configuration says.",
    ),
]


@app.command()
def check(place: Place = "", *, as_json: options.Json = False) -> None:
    """Check every row, and list prices and limits older than 90 days; ends with status 1 when anything is wrong."""
    outcome.finish(lambda: _check(place, dt.datetime.now(dt.UTC).date(), as_json=as_json), as_json=as_json)


@app.command(name="prices")
def refresh(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A price file; docs/catalogue.md describes it.")],
    place: Place = "",
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the new prices into the rows.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show how the rows' prices differ from those of a price file, and write them when told to."""
    outcome.finish(lambda: _refresh(file, place, write=write, as_json=as_json), as_json=as_json)


def _check(place: str, today: dt.date, *, as_json: bool) -> Exit:
    known = load_catalog(_path(place))
    _check_wires(known)
    old = sorted(stale(known, today), key=lambda each: each.date)
    models = sum(len(vendor.models) for vendor in known.vendors.values())
    if as_json:
        told = [_plain(each, today) for each in old]
        output.print_json({"vendors": len(known.vendors), "models": models, "stale": told})
    else:
        _show(old, today)
        said = f"{output.count(len(known.vendors), 'vendor')} with {output.count(models, 'model')} are in order"
        output.console().print(f"{said}; {len(old) or 'nothing'} older than {OLD.days} days")
    return Exit.FAILED if old else Exit.DONE


def _check_wires(known: Catalog) -> None:
    """Refuse dialects and quirks there are not; raises StartError."""
    from provider_services.app import dialect_of  # noqa: PLC0415 - half a second that no other command needs

    for vendor in known.vendors.values():
        dialect_of(vendor)


def _plain(each: Stale, today: dt.date) -> dict[str, object]:
    told = {"vendor": each.vendor, "place": each.place, "date": each.date.isoformat(), "source": each.source}
    return told | {"days": each.age(today)}


def _show(old: Iterable[Stale], today: dt.date) -> None:
    table = output.table("vendor", "what", "date", "days", "source", numbers=("days",))
    for each in old:
        table.add_row(each.vendor, each.place, each.date.isoformat(), str(each.age(today)), each.source)
    if table.row_count:
        output.console().print(table)


def _refresh(file: Path, place: str, *, write: bool, as_json: bool) -> Exit:
    path = _path(place)
    compared = prices.compare(load_catalog(path), prices.read_prices(file))
    written = _write(path or ROWS, compared) if write else []
    if as_json:
        output.print_json(_told(compared) | {"written": [str(each) for each in written]})
        return Exit.DONE
    _show_comparison(compared)
    files = (
        f"; {output.count(len(written), 'file')} written" if write else "; --write writes them" * bool(compared.changes)
    )
    models = output.count(len(compared.matched), "model")
    output.console().print(f"{models} compared: {output.count(len(compared.changes), 'price')} changed{files}")
    return Exit.DONE


def _show_comparison(compared: prices.Comparison) -> None:
    console = output.console()
    if compared.changes:
        console.print(_changes(compared.changes))
    for row in compared.ended:
        console.print(f"{row.vendor}/{row.model} has ended, says the file")
    counted = Counter(row.vendor for row in compared.new)
    if counted:
        by_vendor = ", ".join(f"{vendor} {number}" for vendor, number in counted.most_common())
        console.print(f"not in the rows, and not added: {by_vendor} (--json names them)")


def _told(compared: prices.Comparison) -> dict[str, object]:
    return {
        "date": compared.generated.isoformat(),
        "matched": len(compared.matched),
        "changes": [
            {"vendor": each.vendor, "model": each.model, "field": each.field, "was": each.was, "now": each.now}
            for each in compared.changes
        ],
        "new": [f"{row.vendor}/{row.model}" for row in compared.new],
        "ended": [f"{row.vendor}/{row.model}" for row in compared.ended],
    }


def _changes(changed: Iterable[prices.Change]) -> object:
    table = output.table("model", "price of", "was", "is", numbers=("was", "is"))
    for each in changed:
        was = "" if each.was is None else f"{each.was:g}"
        table.add_row(f"{each.vendor}/{each.model}", each.field, was, f"{each.now:g}")
    return table


def _write(directory: Path, compared: prices.Comparison) -> list[Path]:
    """Write prices, sources and dates into the rows, once all is read in its new words; return the files."""
    if not directory.is_dir():
        raise StartError(f"{directory}: prices are written into a directory of rows")
    texts: dict[Path, str] = {}
    for vendor in sorted({row.vendor for row in compared.matched}):
        file = directory / f"{vendor}.yaml"
        said = price_edit.refreshed((row for row in compared.matched if row.vendor == vendor), compared.generated)
        before = file.read_text(encoding="utf-8")
        if (after := price_edit.edited(before, said)) != before:
            texts[file] = after
    with tempfile.TemporaryDirectory() as trial:
        for file in directory.glob("*.yaml"):
            shutil.copy(file, trial)
        for file, text in texts.items():
            (Path(trial) / file.name).write_text(text, encoding="utf-8")
        load_catalog(Path(trial))
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")
    return list(texts)


def _path(place: str) -> Path | None:
    return found(place, Path(os.curdir)) if place else configured_place()
