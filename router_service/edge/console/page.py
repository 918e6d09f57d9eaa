"""Serves the files of the console, as they are in the package."""

import hashlib
from dataclasses import dataclass
from importlib import resources

from aiohttp import web
from aiohttp.typedefs import Handler

PLACE = "/console"
FIRST = "index.html"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing from elsewhere, nothing inline, nobody's frame; and no text may become markup.
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again, and seldom sent again: a new version is seen at once
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    content: bytes
    kind: str
    mark: str


def files() -> dict[str, File]:
    """Read every file of the page, by the path it is served at."""
    found = {}
    for file in resources.files(__package__).joinpath("page").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind is not None:
            content = file.read_bytes()
            path = PLACE if file.name == FIRST else f"{PLACE}/{file.name}"
            found[path] = File(content, kind, hashlib.sha256(content).hexdigest()[:16])
    return found


def serving(file: File) -> Handler:
    """Make the handler of one file."""

    async def serve(request: web.Request) -> web.Response:
        headers = {**HEADERS, "ETag": f'"{file.mark}"'}
        if any(known.value == file.mark for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.content, content_type=file.kind, charset="utf-8", headers=headers)

    return serve


async def without_slash(_request: web.Request) -> web.Response:
    """Lead to the page: what it loads is named from there."""
    return web.Response(status=308, headers={"Location": f"..{PLACE}"})
