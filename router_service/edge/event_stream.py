"""Sends server-sent events: keeps the status open until there is something to say, and a silent connection alive."""

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

WAITING = b": waiting\n\n"
# So much may wait here for a caller that reads slowly; then its stream waits, and only its own.
MOST_WAITING = 16 * 1024


class EventStream:
    """One response of server-sent events.

    Headers go out with the first bytes, or after `patience` seconds with a comment: until then the caller can still be
    answered with another status. Afterwards every `heartbeat` seconds of silence send a comment.

    Args:
        request: what is answered.
        headers: sent before the first event; may be added to until then.
        patience: seconds of silence before headers are sent.
        heartbeat: seconds of silence between comments.
    """

    def __init__(self, request: web.Request, headers: dict[str, str], patience: float, heartbeat: float) -> None:
        self.headers = headers
        self._request = request
        self._patience = patience
        self._heartbeat = heartbeat
        self._response = web.StreamResponse()

    async def __aenter__(self) -> Self:
        self._due = asyncio.get_running_loop().time() + self._patience
        self._keeper = asyncio.create_task(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._rest()

    async def send(self, data: bytes) -> None:
        """Send bytes, headers first if they are still to come; nothing when there are none."""
        if not data:
            return
        self._due = asyncio.get_running_loop().time() + self._heartbeat
        if not self._response.prepared:
            self._response.headers.update(
                {
                    "Content-Type": "text/event-stream; charset=utf-8",
                    "Cache-Control": "no-cache",
                    "X-Accel-Buffering": "no",
                    **self.headers,
                }
            )
            await self._response.prepare(self._request)
            if self._request.transport is not None:
                self._request.transport.set_write_buffer_limits(high=MOST_WAITING)
        await self._response.write(data)
        await self._request.writer.drain()  # by itself a response drains only now and then

    async def begun(self) -> bool:
        """Tell whether the status is already sent; from now on nothing is sent by itself."""
        await self._rest()
        return self._response.prepared

    async def end(self) -> web.StreamResponse:
        """End the response."""
        await self._rest()
        await self._response.write_eof()
        return self._response

    async def _rest(self) -> None:
        self._keeper.cancel()
        await asyncio.wait((self._keeper,))
        if not self._keeper.cancelled():
            self._keeper.exception()  # the caller is gone; whoever writes next hears of it

    async def _keep_alive(self) -> None:
        while True:
            wait = self._due - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self.send(WAITING)
