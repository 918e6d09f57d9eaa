"""Hears of what other processes free, while somebody here waits for it."""

import asyncio
from contextlib import suppress
from typing import Any, cast

from msgspec import msgpack

from quota_service.stores.protocol import Heard
from quota_service.stores.redis.link import FAILURES, Link

PAUSE = 0.5


class Listener:
    """Subscribes while there is somebody to tell.

    Whatever may have been missed, before the subscription stood or while it was cut, is told as "perhaps anything".
    """

    def __init__(self, link: Link, replica: str) -> None:
        self._link = link
        self._replica = replica
        self._heard: Heard | None = None
        self._listening: asyncio.Task[None] | None = None

    def listen(self, heard: Heard | None) -> None:
        """Tell `heard` from now on; None to stop."""
        self._heard = heard
        if heard is None and self._listening is not None:
            self._listening.cancel()
            self._listening = None
        elif heard is not None and self._listening is None:
            self._listening = asyncio.create_task(self._keep_listening(), name="freed-elsewhere")

    async def _keep_listening(self) -> None:
        while True:
            with suppress(*FAILURES):
                await self._subscribed()
            await asyncio.sleep(PAUSE)

    async def _subscribed(self) -> None:
        async with cast("Any", self._link.listeners).pubsub() as channel:
            await channel.subscribe(f"{self._link.prefix}freed")
            async for message in channel.listen():
                self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if self._heard is None:
            return
        if message["type"] == "subscribe":
            self._heard(None)
            return
        replica, freed = msgpack.decode(message["data"])
        if replica != self._replica:
            self._heard(frozenset(freed))

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
