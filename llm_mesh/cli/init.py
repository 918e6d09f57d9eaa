"""`llm-mesh init`: writes a commented mesh.yaml and .env from what is found here, and never over what is there."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from catalog.mesh import load_mesh
from catalog.model import Catalog
from catalog.settings import Mesh
from llm_mesh import beginnings
from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from llm_mesh.doctor.evidence import answers, local_servers
from llm_mesh.env_file import ENV_FILE
from llm_mesh.ports import Listener, free_addresses, problems
from meshkit.errors import StartError

MESH_FILE = Path("mesh.yaml")
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def init(
    directory: Annotated[Path, typer.Argument(help="Where to write; here by default.")] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write anew what is there; keep it as NAME.old.")] = False,
    as_json: options.Json = False,
) -> None:
    """Write a commented mesh.yaml and .env: ports that are free, keys and local servers that are there."""
    outcome.finish(lambda: _begin(directory, os.environ, force=force, as_json=as_json), as_json=as_json)


def _begin(directory: Path, environment: Mapping[str, str], *, force: bool, as_json: bool) -> Exit:
    mesh = load_mesh(None, environment)
    local = asyncio.run(_found(mesh))
    written: list[Path] = []
    left: list[Path] = []
    for file, text, mode in (
        (MESH_FILE, beginnings.mesh_yaml(_moved(load_mesh(None, {}))), PUBLIC_MODE),
        (ENV_FILE, beginnings.env(mesh.catalog, environment, local), SECRET_MODE),
    ):
        (written if _write(directory / file, text, mode, force=force) else left).append(directory / file)
    if as_json:
        told = {"written": [str(each) for each in written], "left": [str(each) for each in left]}
        output.print_json(told | {"keys": _keys(mesh.catalog, environment), "local_servers": local})
    else:
        _tell(written, left, _keys(mesh.catalog, environment), local)
    return Exit.DONE


async def _found(mesh: Mesh) -> dict[str, str]:
    """Return where servers of ours answer, by vendor."""
    return {vendor: url for vendor, url in local_servers(mesh) if await answers(url)}


def _moved(mesh: Mesh) -> beginnings.Changes:
    """Return another address for each that is in use."""
    usual = {
        ("addresses", "router", "listen"): mesh.router.listen,
        ("addresses", "router", "admin"): mesh.router_admin,
        ("addresses", "quota", "listen"): mesh.quota.listen,
        ("addresses", "quota", "admin"): mesh.quota_admin,
        ("addresses", "edge", "listen"): mesh.edge.listen,
    }
    taken = [key for key, address in usual.items() if list(problems([Listener(address, "", "")]))]
    return dict(zip(taken, free_addresses(len(taken)), strict=True))


def _write(file: Path, text: str, mode: int, *, force: bool) -> bool:
    """Write a file unless it is there; tell whether it was written.

    Raises:
        StartError: it cannot be written.
    """
    try:
        if file.exists():
            if not force:
                return False
            file.replace(file.with_name(f"{file.name}.old"))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
            sink.write(text)
    except OSError as error:
        raise StartError(f"{file}: cannot be written: {error.strerror}") from error
    return True


def _keys(catalog: Catalog, environment: Mapping[str, str]) -> list[str]:
    """Return the vendors whose keys the environment has."""
    return [vendor.id for vendor in catalog.vendors.values() if beginnings.has_key(vendor, environment)]


def _tell(written: list[Path], left: list[Path], keys: list[str], local: Mapping[str, str]) -> None:
    console = output.console()
    for file in written:
        console.print(f"{file}: written")
    for file in left:
        console.print(f"{file}: left as it is (--force writes it anew)")
    console.print(f"keys in the environment: {', '.join(keys) or 'none'}")
    console.print(f"local servers: {', '.join(f'{vendor} at {url}' for vendor, url in local.items()) or 'none'}")
    console.print("next: put the keys you have into .env, ask `llm-mesh doctor`, start `llm-mesh up`")
