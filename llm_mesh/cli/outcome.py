"""Ends a command: one exit code per kind of outcome, one clear line per error, or JSON for programs.

0  done        1  the mesh said no, or nothing can serve        2  wrong usage (said by typer)
3  the mesh cannot be reached        130  interrupted by Ctrl-C
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, NoReturn

import typer
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli import output
from meshkit.errors import MeshError, Reason, StartError


class Exit(IntEnum):
    """What a command tells the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class UnreachableError(Exception):
    """Nobody answers at an address; the text says what to do."""


def run(command: Coroutine[Any, Any, Exit], *, as_json: bool) -> NoReturn:
    """Run a command to its end and leave with its exit code."""
    finish(lambda: asyncio.run(command), as_json=as_json)


def finish(command: Callable[[], Exit], *, as_json: bool) -> NoReturn:
    """Call a command and leave with its exit code."""
    try:
        code = command()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except UnreachableError as error:
        code = _tell(str(error), {"reason": "UNREACHABLE", "message": str(error)}, Exit.UNREACHABLE, as_json=as_json)
    except StartError as error:
        code = _tell(str(error), {"reason": "NOT_STARTED", "message": str(error)}, Exit.FAILED, as_json=as_json)
    except MeshError as error:
        code = _tell(sentence(error), plain_error(error), Exit.FAILED, as_json=as_json)
    raise typer.Exit(int(code))


def incomplete() -> MeshError:
    """Make the error for a stream that ended without its finish."""
    return MeshError(Reason.STREAM_INCOMPLETE, "the answer ended without its finish and is incomplete")


def plain_error(error: MeshError) -> dict[str, Any]:
    """Return an error as JSON wants it."""
    failure = error.detail(router_pb2.RouteFailure)
    return {
        "reason": error.reason.value,
        "code": error.code,
        "message": error.message,
        "metadata": error.metadata,
        "fields": [{"field": field.field, "description": field.description} for field in error.fields],
        "quota": [{"subject": quota.subject, "description": quota.description} for quota in error.quota],
        "retry_after_seconds": error.retry_after,
        **(
            {"route": output.plain(failure.route), "partial_usage": output.plain(failure.partial_usage)}
            if failure
            else {}
        ),
    }


def sentence(error: MeshError) -> str:
    """Return an error as one line for people: what happened, and when to try again."""
    hint = HINTS.get(error.reason.value, "")
    again = "" if error.retry_after is None else f"; try again in {output.seconds(error.retry_after)}"
    return f"{error.message}{again}" + (f" ({hint})" if hint else "")


HINTS = {
    "UNAUTHENTICATED": "put the key into the variable MESH_API_KEY",
    "UNKNOWN_MODEL": "`llm-mesh models` lists them",
    "UNKNOWN_VENDOR": "`llm-mesh vendors` lists them",
    "NO_OFFER": "`llm-mesh explain` says why each offer was left out",
    "BUDGET_EXHAUSTED": "`llm-mesh status` shows the budgets",
}


def _tell(line: str, body: dict[str, Any], code: Exit, *, as_json: bool) -> Exit:
    if as_json:
        output.print_json({"error": body})
    else:
        sys.stderr.write(f"llm-mesh: {line}\n")
    return code
