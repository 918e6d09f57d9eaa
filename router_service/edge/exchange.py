"""What is known of one HTTP request before anything is done: its id, its caller, its headers, its time limit."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
from aiohttp import web

from meshkit.errors import MeshError, Reason, invalid
from meshkit.identity import Caller
from router_service.interface import Router

MAX_BODY_BYTES = 12 * 1024 * 1024
BODY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and who sends it."""

    request_id: str
    caller: Caller
    headers: dict[str, str]


KEY = web.RequestKey("exchange", Exchange)


async def read_body(request: web.Request) -> bytes:
    """Return the body, decompressed.

    Raises:
        web.HTTPException: 408 when it is late, 413 when it is too long.
        MeshError: INVALID_REQUEST when it is damaged.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES, request.content_length or 0)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:
        raise invalid("body", "is damaged: its length or its compression is wrong") from None


def check_provider(router: Router, name: str) -> None:
    """Refuse a vendor nobody knows; of a model behind one it would be said that the model is unknown."""
    if name:
        router.check_vendor(name)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a reply that is JSON."""
    body = msgspec.json.encode(value)
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def gone(request: web.Request) -> bool:
    """Tell whether the caller has left."""
    return request.transport is None or request.transport.is_closing()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Bound what is awaited inside; lateness is DEADLINE_EXCEEDED."""
    try:
        async with asyncio.timeout(seconds) as scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        raise MeshError(Reason.DEADLINE_EXCEEDED, "the request took longer than its deadline") from None
