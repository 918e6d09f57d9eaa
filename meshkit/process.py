"""Runs one service as one process with one event loop: uvloop, signals, a clean end."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable

import uvloop

# New objects between two looks of the garbage collector: a few requests' worth, not a fraction of one.
NEW_OBJECTS = 10_000


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)` until it returns; SIGTERM and SIGINT set `stop`, a second one is ignored while it ends."""
    uvloop.run(_until_signalled(main))


async def _until_signalled(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(stop)


def settle() -> None:
    """Note that what a service keeps for good has been made; the garbage collector need not look at it again.

    Otherwise every full collection would stop the process for a tenth of a second. To be called again when what is kept
    for good is another: what was kept before goes, unless somebody still uses it.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    collect_rarely()


def collect_rarely() -> None:
    """Have the garbage collector look when there is something to find."""
    gc.set_threshold(NEW_OBJECTS, 10, 10)
