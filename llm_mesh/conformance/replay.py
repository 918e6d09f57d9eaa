"""A vendor that answers every request with the one recorded answer it was given, over a real socket."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from aiohttp import web

from meshkit.errors import StartError

# Bodies are recorded decompressed and whole: what speaks of another length or encoding would be a lie.
HOP = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection", "keep-alive"})
EMPTY = b'{"object": "list", "data": [], "models": []}'


class Replay:
    """The server. What asks with GET, such as a list of models, is told that there is none.

    Args:
        address: "host:port"; port 0 chooses a free one.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._status = 503
        self._headers: Mapping[str, str] = {}
        self._pieces: Sequence[bytes] = ()
        self.asked = 0

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise StartError(f"cannot listen on {self._host}:{self._port}: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def load(self, status: int, headers: Mapping[str, str], pieces: Sequence[bytes]) -> None:
        """Give it the answer to every request from now on, each piece in a chunk of its own."""
        self._status, self._pieces, self.asked = status, pieces, 0
        self._headers = {name: value for name, value in headers.items() if name.lower() not in HOP}

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if request.method == "GET":
            return web.Response(body=EMPTY, content_type="application/json")
        self.asked += 1
        response = web.StreamResponse(status=self._status, headers=self._headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        with suppress(ConnectionError):  # who has heard an error may leave
            for piece in self._pieces:
                await response.write(piece)
                await asyncio.sleep(0)
            await response.write_eof()
        return response
