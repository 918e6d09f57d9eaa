"""`llm-mesh conformance`: recorded answers of vendors, played to provider services, compared and counted."""

import json
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.outcome import Exit
from meshkit.errors import StartError

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the recordings are: *.jsonl, or open/*.jsonl.")]
Vendor = Annotated[str, typer.Option("--vendor", metavar="V", help="Only this vendor, by our id or the recordings'.")]
Address = Annotated[
    str, typer.Option("--address", metavar="HOST:PORT", help="Test the provider service there, not the mesh's own.")
]
ReplayAddress = Annotated[
    str, typer.Option("--replay", metavar="HOST:PORT", help="Where that service finds the replayed vendor.")
]
ExpectedFile = Annotated[
    Path | None, typer.Option("--expected", metavar="FILE", help="JSON lines of what each record says, by its id.")
]


def conformance(
    directory: Directory,
    *,
    vendor: Vendor = "",
    address: Address = "",
    replay: ReplayAddress = "127.0.0.1:7491",
    expected: ExpectedFile = None,
    as_json: options.Json = False,
) -> None:
    """Play recorded answers to the provider code, over real sockets, and say what is read right and what wrong."""
    outcome.run(_conform(directory, vendor, address, replay, expected, as_json=as_json), as_json=as_json)


async def _conform(
    directory: Path, vendor: str, address: str, replay: str, expected: Path | None, *, as_json: bool
) -> Exit:
    # Half a second that no other command needs.
    from llm_mesh.conformance import records, report, rows, run  # noqa: PLC0415

    listed = records.read(directory)
    if vendor:
        listed = [record for record in listed if vendor in {record.vendor, rows.id_of(record.vendor)}]
    if not listed:
        raise StartError(f"{directory}: no recording of {vendor or 'anything'}")
    known = _expectations(expected)
    verdicts = run.elsewhere(address, replay, listed, known, _say) if address else run.here(listed, known)
    counted = report.Report()
    async with aclosing(verdicts):
        async for verdict in verdicts:
            counted.add(verdict)
            if as_json:
                output.print_json(report.plain(verdict))
    if as_json:
        _say("\n".join(counted.lines()))
    else:
        counted.show(output.console())
    return Exit.FAILED if counted.wrong else Exit.DONE


def _expectations(file: Path | None) -> dict[str, Any]:
    """Read what each record says, by its id."""
    if file is None:
        return {}
    try:
        rows = [json.loads(line) for line in file.read_text("utf-8").split("\n") if line.strip()]
        return {row["id"]: row for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartError(f"{file}: not one JSON object with an id on each line: {error}") from error


def _say(text: str) -> None:
    """Tell the person who watches; standard output is for the result."""
    if text:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
