"""`llm-mesh keys create | list | revoke | rotate`: who may call, for how long; a key is shown once."""

import datetime as dt
import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from catalog.tenants import Key
from llm_mesh.cli import options, outcome, output
from llm_mesh.cli.keys.file import TenantsFile, find
from llm_mesh.cli.ledger.target import length_of
from llm_mesh.cli.outcome import Exit
from llm_mesh.tenants_text import with_expiry, with_key, without_key
from meshkit.api_key import keyed_hash, mint
from meshkit.errors import StartError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Scope(StrEnum):
    """What a key is good for."""

    CALLER = "caller"
    OPERATOR = "operator"


File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The tenants file; the one mesh.yaml names by default.")
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The id of the key: mesh_ID_…")]


def create(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose key it is; made when it is not there yet.")],
    *,
    scope: Annotated[list[Scope] | None, typer.Option(help="What it is for: caller, operator, or both.")] = None,
    expires: Annotated[str, typer.Option(metavar="WHEN", help="90d, 12h or a moment; else never.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="What it is for, in your words.")] = "",
    file: File = None,
    as_json: options.Json = False,
) -> None:
    """Make a key for a tenant and show it, once: only a keyed hash of it is kept."""
    if not NAME.fullmatch(tenant):
        raise typer.BadParameter(f"`{tenant}`; allowed: up to 64 letters, digits, `_`, `.` and `-`, no mark first")
    scopes = sorted({each.value for each in scope or [Scope.CALLER]})
    ends = _moment(expires)
    outcome.finish(lambda: _create(find(file), tenant, scopes, ends, note, as_json=as_json), as_json=as_json)


def list_(*, file: File = None, as_json: options.Json = False) -> None:
    """List the keys: whose, for what, until when. What they are cannot be shown."""
    outcome.finish(lambda: _list(find(file), as_json=as_json), as_json=as_json)


def revoke(key: KeyId, *, file: File = None, as_json: options.Json = False) -> None:
    """Take a key away; running routers refuse it within seconds."""

    def run() -> Exit:
        found = find(file)
        found.change(lambda text: without_key(text, _id(key)))
        return _told({"id": _id(key), "revoked": True}, f"revoked {_id(key)}", as_json=as_json)

    outcome.finish(run, as_json=as_json)


def rotate(
    key: KeyId,
    *,
    overlap: Annotated[str, typer.Option(metavar="WHEN", help="How long the old key still opens.")] = "24h",
    expires: Annotated[str, typer.Option(metavar="WHEN", help="Until when the new one does; else for ever.")] = "",
    file: File = None,
    as_json: options.Json = False,
) -> None:
    """Make a key in the place of another one, which ends after the overlap."""
    until, ends = _moment(overlap), _moment(expires)

    def run() -> Exit:
        found, old = find(file), _id(key)
        known = found.read().keys.get(old)
        if known is None:
            raise StartError(f"{found.path}: there is no key {old}; `llm-mesh keys list` names them")
        if known.expires is None or (until is not None and until < known.expires):
            found.change(lambda text: with_expiry(text, old, _text(until) or "null"))
        return _create(found, known.tenant, sorted(known.scopes), ends, f"in the place of {old}", as_json=as_json)

    outcome.finish(run, as_json=as_json)


def _create(
    file: TenantsFile, tenant: str, scopes: list[str], ends: dt.datetime | None, note: str, *, as_json: bool
) -> Exit:
    key = mint()
    row = {
        "id": key.id,
        "tenant": tenant,
        "hash": keyed_hash(key, file.pepper()),
        "scopes": scopes,
        "created": _now().strftime("%Y-%m-%d"),
        "expires": _text(ends),
        "note": note,
    }
    file.change(lambda text: with_key(text, row))
    shown = key.text().reveal()  # the one time
    if as_json:
        told = {name: row[name] for name in ("id", "tenant", "scopes", "expires")}
        output.print_json({"key": shown, **told, "file": str(file.path)})
        return Exit.DONE
    sys.stderr.write(f"the key {key.id} of tenant {tenant}, {_until(ends)}; it is not shown again:\n")
    sys.stdout.write(f"{shown}\n")
    if not file.named:
        sys.stderr.write(
            f"\nNo mesh uses {file.path} yet: `tenants: {file.path}` in mesh.yaml, or MESH_TENANTS, names it.\n"
        )
    return Exit.DONE


def _list(file: TenantsFile, *, as_json: bool) -> Exit:
    keys = file.read().keys.values()
    if as_json:
        output.print_json({"file": str(file.path), "keys": [_plain(key) for key in keys]})
        return Exit.DONE
    if not keys:
        sys.stdout.write(f"no keys in {file.path}; `llm-mesh keys create TENANT` makes one\n")
        return Exit.DONE
    table = output.table("key", "tenant", "scopes", "opens")
    for key in keys:
        table.add_row(f"mesh_{key.id}_…", key.tenant, ", ".join(sorted(key.scopes)), _until(key.expires))
    output.console().print(table)
    return Exit.DONE


def _plain(key: Key) -> dict[str, Any]:
    ended = key.expires is not None and key.expires <= _now()
    told = {"id": key.id, "tenant": key.tenant, "scopes": sorted(key.scopes), "expires": _text(key.expires)}
    return {**told, "expired": ended}


def _told(value: dict[str, Any], line: str, *, as_json: bool) -> Exit:
    if as_json:
        output.print_json(value)
    else:
        sys.stdout.write(f"{line}\n")
    return Exit.DONE


def _id(text: str) -> str:
    """Return the id that is meant; of a whole key given by mistake only its id."""
    return text.removeprefix("mesh_").partition("_")[0]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _moment(text: str) -> dt.datetime | None:
    """Read when something ends; None is never.

    Raises:
        typer.BadParameter: it is no length of time and no moment.
    """
    if not text:
        return None
    if (length := length_of(text)) is not None:
        return _now() + dt.timedelta(seconds=length)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"`{text}`; allowed: 12h, 90d, 2027-03-31 or 2027-03-31T18:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _text(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _until(ends: dt.datetime | None) -> str:
    if ends is None:
        return "for ever"
    return f"until {_text(ends)}" if ends > _now() else f"no more, since {_text(ends)}"
