"""Puts the simulated vendors and their control interface behind one HTTP address."""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from provider_services.simulator.clock import ShiftedClock
from provider_services.simulator.control import Control
from provider_services.simulator.rows import VendorRow
from provider_services.simulator.speech import Speech
from provider_services.simulator.vendor import Vendor

LARGEST_BODY = 64 * 1024 * 1024
SHUTDOWN_S = 0.5


def create_app(
    rows: tuple[VendorRow, ...], *, clock: Callable[[], float] = time.time, seed: int = 7
) -> web.Application:
    """Build the application; the clock moves the windows, the seed makes words, ids and jitter."""
    shifted = ShiftedClock(clock)
    speech = Speech(seed)
    app = web.Application(client_max_size=LARGEST_BODY)
    vendors: dict[str, Vendor] = {}
    for row in rows:
        chance = random.Random(f"{seed} {row.name}")  # noqa: S311 - believable ids and jitter, not secrets
        vendors[row.name] = Vendor(row, speech, clock=shifted, wall=time.time, chance=chance)
        app.router.add_route("*", f"/{row.name}/{{path:.*}}", vendors[row.name].handle)
    app.add_routes(Control(vendors, shifted).routes())
    return app


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve the application and give the port it listens on; port 0 asks for any free one.

    A handler is cancelled as soon as its client goes away, so a closed connection is noticed at once.
    """
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
