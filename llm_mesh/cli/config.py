"""`llm-mesh config`: checks mesh.yaml as the services would read it, and gives editors its schema."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog.mesh import default_path, load_mesh
from catalog.mesh_rows import MeshFile
from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.env_file import ENV_FILE, read_env_file

app = typer.Typer(help="Check mesh.yaml, or print its schema for editors.", no_args_is_help=True)
DRAFT = "https://json-schema.org/draft/2020-12/schema"
File = Annotated[Path | None, typer.Argument(metavar="FILE", help="mesh.yaml here, or $MESH_CONFIG, by default.")]


@app.command()
def check(file: File = None, *, as_json: options.Json = False) -> None:
    """Read the file, .env and the environment as a mesh here would; the exit code is 1 when anything is wrong."""
    outcome.finish(lambda: _check(file, as_json=as_json), as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of mesh.yaml; editors find it by `# yaml-language-server: $schema=FILE`."""
    sys.stdout.write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n")


def json_schema() -> dict[str, Any]:
    """Return the schema, made of the very model that reads the file."""
    made = MeshFile.model_json_schema()
    return {"$schema": DRAFT, **made, "title": "mesh.yaml of llm-mesh"}


def _check(file: Path | None, *, as_json: bool) -> Exit:
    seen = {**read_env_file(ENV_FILE), **os.environ}
    path = file or default_path(seen, Path.cwd())
    mesh = load_mesh(path, seen)
    off = [vendor for vendor, settings in mesh.vendors.items() if not settings.enabled]
    told = {
        "file": str(path) if path else None,
        "vendors": len(mesh.vendors),
        "switched_off": off,
        "use_cases": len(mesh.use_cases),
        "budgets": len(mesh.budgets),
    }
    if as_json:
        output.print_json(told)
    else:
        output.console().print(_sentence(told))
    return Exit.DONE


def _sentence(told: dict[str, Any]) -> str:
    counts = f"{output.count(told['vendors'], 'vendor')}, {output.count(told['use_cases'], 'use case')}"
    off = f" ({', '.join(told['switched_off'])} switched off)" if told["switched_off"] else ""
    where = told["file"] or "no mesh.yaml here: the defaults"
    return f"{where}: in order; {counts}{off}, {output.count(told['budgets'], 'budget')} of ours"
