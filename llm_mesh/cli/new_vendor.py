"""`llm-mesh vendors new`: begins the row of a vendor, and says what to do with it."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog import loader
from catalog.loader import USE_CASES, load_catalog
from catalog.mesh import default_path, rows_directory
from catalog.model import Catalog
from catalog.vendor_rows import VendorRow
from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.env_file import read_env_file
from llm_mesh.new_row import FILL_IN, Wanted, check_name, new_row, usual_dialect
from meshkit.errors import StartError
from meshkit.yaml_file import ConfigError, read

TEMPLATE = Path(__file__).parents[1] / "new_row.yaml"
ENV_FILE = Path(".env")


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its id: lower-case letters, digits and underscores.")],
    *,
    dialect: Annotated[
        str, typer.Option(metavar="D", help="The wire format it speaks; by default the usual one.")
    ] = "",
    endpoint: Annotated[str, typer.Option(metavar="URL", help="Its base URL.")] = "",
    key_env: Annotated[
        str, typer.Option(metavar="NAME", help="The variable of its key; by default NAME_API_KEY.")
    ] = "",
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the rows are; by default where the configuration says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a row that is there.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a commented row for a vendor that is not there yet."""
    wanted = Wanted(name, dialect, endpoint, key_env)
    outcome.finish(lambda: begin(wanted, directory, force=force, as_json=as_json), as_json=as_json)


def begin(wanted: Wanted, directory: Path | None, *, force: bool, as_json: bool) -> Exit:
    """Write the row, make sure that the catalogue still loads, and say what is next."""
    check_name(wanted.name)
    rows = directory or _configured()
    file = rows / f"{wanted.name}.yaml"
    if file.exists() and not force:
        raise StartError(f"{file} exists; --force replaces it")
    known = _others(rows, file)
    wanted = replace(wanted, dialect=wanted.dialect or usual_dialect(known))
    _check_dialect(wanted.dialect)
    text = new_row(wanted, known, TEMPLATE.read_text(encoding="utf-8"), datetime.now(UTC).date())
    _write(file, text)
    vendor = load_catalog(rows).vendors[wanted.name]
    told: dict[str, Any] = {
        "file": str(file),
        "fill_in": [number for number, line in enumerate(text.splitlines(), start=1) if FILL_IN in line],
        "port_offset": vendor.port_offset,
        "key_env": list(vendor.key_env),
    }
    if as_json:
        output.print_json(told)
    else:
        output.console().print("\n".join(_next_steps(told, wanted.name, directory)), soft_wrap=True)
    return Exit.DONE


def _configured() -> Path:
    """Return the directory of rows a mesh started here would read."""
    seen = {**read_env_file(ENV_FILE), **os.environ}
    return rows_directory(default_path(seen, Path.cwd()), seen) or Path(loader.__file__).parent


def _others(rows: Path, file: Path) -> Catalog:
    """Return the vendors beside the one to be written; what only a whole catalogue can tell is checked later."""
    files = [path for path in sorted(rows.glob("*.yaml")) if path != file and path.stem != USE_CASES]
    if not files:
        raise StartError(
            f"{rows}: no catalogue rows here, and a row alone would be the whole catalogue: copy the mesh's own first "
            f"(cp {Path(loader.__file__).parent}/*.yaml {rows})"
        )
    return Catalog({path.stem: read(path).validate(VendorRow).vendor(path.stem, {}) for path in files})


def _check_dialect(dialect: str) -> None:
    from provider_services.app import dialects  # noqa: PLC0415 - half a second that no other command needs

    if dialect not in dialects():
        raise StartError(f"--dialect: unknown dialect `{dialect}`; allowed: {', '.join(dialects())}")


def _write(file: Path, text: str) -> None:
    """Write the row; one the catalogue does not load with is taken back."""
    try:
        before = file.read_bytes() if file.exists() else None
        file.write_text(text, encoding="utf-8")
        load_catalog(file.parent)
    except OSError as error:
        raise StartError(f"{file}: cannot be written: {error.strerror}") from error
    except ConfigError:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
        raise


def _next_steps(told: dict[str, Any], name: str, directory: Path | None) -> list[str]:
    lines = ", ".join(map(str, told["fill_in"]))
    steps = [f"fill in the lines marked {FILL_IN} ({lines}); docs/add-a-vendor.md explains them"]
    if directory is not None:
        steps.append(f"have the mesh read these rows: MESH_CATALOG={directory}, or `catalog: {directory}` in mesh.yaml")
    steps += [f"put the key into .env: {variable}=..." for variable in told["key_env"]]
    steps += [
        "name its models in a use case of mesh.yaml, or pin them: llm-mesh chat --model " + f"{name}/MODEL hello",
        f"start the mesh again, and check: llm-mesh up; llm-mesh vendors check {name} --all-models",
    ]
    return [f"{told['file']} is written", *(f"{number}. {step}" for number, step in enumerate(steps, start=1))]
