"""`llm-mesh ledger export` and `import`: the whole ledger into a file, and out of it into an empty store."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import grpc
import typer
from llmmesh.quota.v1 import quota_pb2

from catalog.mesh import default_path, load_mesh
from llm_mesh.cli import options, outcome, output, session
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.progress import Meter
from llm_mesh.env_file import ENV_FILE, read_env_file
from meshkit.errors import StartError

PATIENCE = 600.0


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; must not exist yet.")],
    *,
    quota: options.QuotaAddress = options.QUOTA,
    as_json: options.Json = False,
) -> None:
    """Write the whole ledger of the running quota service into a file: lines of JSON, the last with a checksum.

    What happens afterwards is not in it: to move a ledger stop the routers first, and the quota service behind it.
    """
    outcome.run(save(file, quota, as_json=as_json), as_json=as_json)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export, whole and unchanged.")],
    *,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The configuration; mesh.yaml by default.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Take an export into the store the configuration names, which must be empty; no quota service may run on it."""
    outcome.run(take_in(file, config, as_json=as_json), as_json=as_json)


@dataclass(slots=True)
class Received:
    """What has come of an export so far; the last line is held back, for it is no part of the checksum."""

    lines: int = 0
    last: bytes = b""
    checksum: Any = field(default_factory=sha256)

    def take(self, part: bytes) -> None:
        """Take in whole lines."""
        for line in part.splitlines(keepends=True):
            self.checksum.update(self.last)
            self.last = line
            self.lines += 1

    @property
    def whole(self) -> bool:
        """Tell whether the last line is the end, and all before it is as it was sent."""
        end = json.loads(self.last) if self.last else {}
        return bool(end.get("kind") == "end" and end.get("sha256") == self.checksum.hexdigest())


async def save(file: Path, address: str, *, as_json: bool) -> Exit:
    """Ask the quota service for everything and write it down."""
    received = Received()
    with _new(file) as opened, Meter("exporting") as meter:
        async with session.quota(address) as way:
            try:
                async for part in way.stub.Export(quota_pb2.ExportRequest(), timeout=PATIENCE):
                    received.take(part.lines)
                    opened.write(part.lines)
                    meter.advance()
            except grpc.aio.AioRpcError as error:
                raise way.explain(error) from None
        if not received.whole:
            raise StartError(f"the export is not whole; {file} was not written")
    told = {"file": str(file), "lines": received.lines, "sha256": received.checksum.hexdigest()}
    if as_json:
        output.print_json(told)
    else:
        output.console().print(f"{output.count(received.lines, 'line')} in {file}, SHA-256 {told['sha256']}")
    return Exit.DONE


@contextmanager
def _new(file: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name only when all of it is on the disk."""
    if file.exists():
        raise StartError(f"{file} exists; choose another name")
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        part.rename(file)
    except OSError as error:
        raise StartError(f"cannot write {file}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


async def take_in(file: Path, config: Path | None, *, as_json: bool) -> Exit:
    """Read an export and put it into the store."""
    from quota_service.app import import_ledger  # noqa: PLC0415 - half a second that no other command needs

    seen = {**read_env_file(ENV_FILE), **os.environ}
    mesh = load_mesh(config or default_path(seen, Path.cwd()), seen)
    try:
        with file.open("rb") as lines, Meter("importing") as meter:
            image = await import_ledger(mesh, mesh.catalog, _counted(lines, meter), str(file))
    except OSError as error:
        raise StartError(f"cannot read {file}: {error.strerror}") from None
    told = {
        "windows": len(image.windows),
        "holds": len(image.holds),
        "closures": len(image.closures),
        "overrides": len(image.overrides),
        "spend": len(image.spend),
    }
    if as_json:
        output.print_json({"store": mesh.ledger.store, **told})
    else:
        counts = ", ".join(f"{number:,} {name}" for name, number in told.items())
        output.console().print(f"imported into {mesh.ledger.store}: {counts}; every level is the sum behind it")
    return Exit.DONE


def _counted(lines: BinaryIO, meter: Meter) -> Iterator[bytes]:
    for line in lines:
        meter.advance()
        yield line
