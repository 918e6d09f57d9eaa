"""Runs the mesh for `llm-mesh up`: starts everything, tells of it, and stops everything, whatever happened."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack

from llm_mesh.arrangement import Arrangement, arrange
from llm_mesh.child import Child
from llm_mesh.cli import output
from llm_mesh.cli.outcome import Exit
from llm_mesh.cli.welcome import print_welcome, welcome
from llm_mesh.order import Manner, Order
from llm_mesh.place import Place, place
from llm_mesh.readiness import Probe
from llm_mesh.supervisor import Supervisor
from meshkit import process


def run(order: Order, manner: Manner, *, keep: bool) -> Exit:
    """Run the mesh until Ctrl-C or SIGTERM."""
    with place(sandbox=order.sandbox, keep=keep) as where:
        arrangement = arrange(order, os.environ, os.getpid(), where)
        process.run(lambda stop: _keep_running(arrangement, manner, where, stop))
    return Exit.DONE


async def _keep_running(arrangement: Arrangement, manner: Manner, where: Place, stop: asyncio.Event) -> None:
    """Start everything, tell of it, wait for the word to stop, and stop everything, whatever happened."""
    progress = Progress(silent=manner.as_json)
    children = [Child(plan, None if manner.logs_to_stderr else where.log(plan.name)) for plan in arrangement.children]
    async with AsyncExitStack() as stack:
        probe = await stack.enter_async_context(Probe())
        supervisor = Supervisor(children, probe, say, progress.waiting)
        stack.push_async_callback(supervisor.stop)
        stack.callback(progress.end)
        started = asyncio.create_task(_start(supervisor, arrangement, manner, where, progress))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
            await stopped
        else:
            started.cancel()
            await asyncio.wait((started,))
        if not manner.as_json:
            say("stopping")


async def _start(
    supervisor: Supervisor, arrangement: Arrangement, manner: Manner, where: Place, progress: "Progress"
) -> None:
    await supervisor.start()
    logs = None if manner.logs_to_stderr else where.logs
    found = await welcome(arrangement.layout, supervisor.pids(), logs, arrangement.caller_key)
    progress.end()
    if manner.as_json:
        output.print_json(found.plain())
    else:
        print_welcome(found, output.console())


def say(sentence: str) -> None:
    """Tell the person who watches what happened."""
    sys.stderr.write(f"llm-mesh: {sentence}\n")
    sys.stderr.flush()


class Progress:
    """One line on a terminal that says what is being waited for; elsewhere a line when it begins."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._live = sys.stderr.isatty()
        self._told = False

    def waiting(self, names: Sequence[str]) -> None:
        """Say who is not ready yet."""
        if self._silent or (self._told and not self._live):
            return
        self._told = True
        line = f"llm-mesh: waiting for {', '.join(names)}" if names else "llm-mesh: all ready"
        sys.stderr.write(f"\r\033[K{line}" if self._live else f"{line}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the line."""
        if self._told and self._live and not self._silent:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._told = False
