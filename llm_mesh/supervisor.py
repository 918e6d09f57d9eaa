"""Keeps the processes of a mesh running: starts them, waits until they are ready, replaces the dead, stops them all."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_mesh.child import GRACE, Child
from llm_mesh.readiness import Probe, Readiness
from meshkit.errors import StartError

ASK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Timings:
    """How long things may take, in seconds.

    Attributes:
        start: until every process is ready.
        unready: a process that answers but is not ready, when all others are, is taken as it is after this long.
        first_restart: the wait before a dead process is started again; it doubles with every further death.
        last_restart: the longest such wait.
        steady: a process that lived this long starts again with the first wait.
        grace: between asking a process to end and ending it.
    """

    start: float = 60.0
    unready: float = 3.0
    first_restart: float = 0.1
    last_restart: float = 5.0
    steady: float = 30.0
    grace: float = GRACE


class Supervisor:
    """The processes of one mesh.

    Args:
        children: in the order they are started; they are stopped in reverse.
        probe: asks them whether they are ready.
        say: tells a person what happened, one sentence at a time.
        waiting: is told the names of those that are not ready yet, whenever that changes.
    """

    def __init__(
        self,
        children: Sequence[Child],
        probe: Probe,
        say: Callable[[str], None],
        waiting: Callable[[Sequence[str]], None] = lambda _names: None,
        timings: Timings | None = None,
    ) -> None:
        self._children = tuple(children)
        self._probe = probe
        self._say = say
        self._waiting = waiting
        self._timings = timings or Timings()
        self._pending: list[str] = []
        self._keepers: list[asyncio.Task[None]] = []

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {child.name: child.pid for child in self._children}

    async def start(self) -> None:
        """Start every process, wait until all are ready, and from then on replace those that end.

        Raises:
            StartError: one ended, or was not ready in time; the others are left to `stop`.
        """
        self._pending = [child.name for child in self._children]
        for child in self._children:
            await child.start()
        self._waiting(self._pending)
        try:
            async with asyncio.TaskGroup() as group:
                for child in self._children:
                    group.create_task(self._come_up(child))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self._keepers = [asyncio.create_task(self._keep(child)) for child in self._children]

    async def stop(self) -> None:
        """Stop every process, the last started first; one that does not end is ended."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in reversed(self._children):
            if not await child.stop(self._timings.grace):
                self._say(f"{child.name} did not end within {self._timings.grace:g} s and was killed")

    async def _come_up(self, child: Child) -> None:
        """Wait until a process is ready, or is the last one and will not get readier."""
        death = asyncio.create_task(child.wait())
        state = Readiness(answers=False, reason="it does not answer")
        try:
            async with asyncio.timeout(self._timings.start):
                patience = self._timings.unready
                while not state.ready and patience > 0:
                    state = await self._probe.ask(child.plan.ready_url)
                    await asyncio.wait((death,), timeout=ASK_EVERY)
                    if death.done():
                        raise _no_start(child, f"ended before it was ready ({death.result()})")
                    if state.answers and self._pending == [child.name]:
                        patience -= ASK_EVERY
        except TimeoutError:
            raise _no_start(child, f"was not ready within {self._timings.start:g} s: {state.reason}") from None
        finally:
            death.cancel()
        if not state.ready:
            self._say(f"{child.name} runs but is not ready: {state.reason}")
        self._pending.remove(child.name)
        self._waiting(self._pending)

    async def _keep(self, child: Child) -> None:
        """Start a process again whenever it ends, more slowly the more often it does."""
        delay = self._timings.first_restart
        while True:
            ending = await child.wait()
            if child.age() >= self._timings.steady:
                delay = self._timings.first_restart
            self._say(f"{child.name} ended ({ending}); starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            delay = min(2 * delay, self._timings.last_restart)
            await child.start()
            await self._tell_when_ready(child)

    async def _tell_when_ready(self, child: Child) -> None:
        while child.running:
            if (await self._probe.ask(child.plan.ready_url)).ready:
                self._say(f"{child.name} is ready again after {child.age():.1f} s (process {child.pid})")
                return
            await asyncio.sleep(ASK_EVERY)


def _no_start(child: Child, what: str) -> StartError:
    words = child.last_words()
    where = f"\nthe end of its log:\n{words}" if words else ""
    return StartError(f"{child.name} {what}{where}")
