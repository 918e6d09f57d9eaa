"""Reads files again when they change, and keeps the last good reading when they hold a mistake: the one watcher."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from prometheus_client import Counter, Gauge

from meshkit import logs
from meshkit.boundary import where_of
from meshkit.errors import MeshError, StartError

LOOK_SECONDS = 0.5
VALID = Gauge("mesh_config_valid", "1 while this process runs on what its files say now.", ["file"])
RELOADS = Counter("mesh_config_reloads_total", "Changed files that were taken, or kept out.", ["file", "outcome"])
GENERATION = Gauge("mesh_config_generation", "How often this process has read the files: 1 at its start.", ["file"])
LAST_SUCCESS = Gauge(
    "mesh_config_last_success_timestamp_seconds", "When what is in use was taken, Unix seconds.", ["file"]
)
RESTART = Gauge("mesh_config_restart_needed", "1 for a key whose change waits for a restart of this process.", ["key"])
DEFECT = "the mesh failed to read this; its log has the details"

Stamp = tuple[object, ...]
ValueT = TypeVar("ValueT")
log = logs.get("reload")


def stamp_of(paths: Iterable[Path]) -> Stamp:
    """Return what is another whenever one of the files may be.

    It looks through links: in a mounted ConfigMap or Secret a link is turned to another directory, the file is not
    written.
    """
    return tuple((str(path), *_told(path)) for path in paths)


def _told(path: Path) -> tuple[int, ...]:
    try:
        told = os.stat(path)  # noqa: PTH116 - twenty files twice a second: Path.stat is dearer
    except OSError:
        return (0, 0, 0)
    return told.st_mtime_ns, told.st_size, told.st_ino


@dataclass
class Watched(Generic[ValueT]):
    """Files that are read together.

    Args:
        name: what people and metrics call them.
        stamp: another whenever the files may be.
        read: reads them, in a thread; raises StartError for a mistake.
        take: puts what was read in the place of what was before, or raises StartError and changes nothing.
        taken: the stamp of what is in use.
    """

    name: str
    stamp: Callable[[], Stamp]
    read: Callable[[], ValueT]
    take: Callable[[ValueT], Awaitable[None]]
    taken: Stamp
    problem: str = ""
    generation: int = 1
    _seen: Stamp = field(default=())

    def settled(self) -> bool:
        """Tell whether the files have changed since they were taken, and not since the last look.

        Who looks while somebody writes sees half a file, and half a file may be a right one.
        """
        now = self.stamp()
        before, self._seen = self._seen, now
        return now != self.taken and now == before


class Watcher:
    """Looks at files again and again; a context manager that does so while it is entered.

    Args:
        every: seconds from one look to the next; a change is taken at the second look that sees it.
    """

    def __init__(self, every: float = LOOK_SECONDS) -> None:
        self._watched: list[Watched[Any]] = []
        self._every = every
        self._waits: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._look_on(), name="reload")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking

    def watch(self, one: Watched[Any]) -> None:
        """Look at these files too; changes are taken in the order in which files were named here."""
        self._watched.append(one)
        _tell(one)

    def notes(self) -> Mapping[str, str]:
        """Return what is worth a word in health: which files were not taken, and what waits for a restart."""
        notes = {one.name: f"the last good one stays in use: {one.problem}" for one in self._watched if one.problem}
        if self._waits:
            notes["restart"] = f"changed, needs a restart: {', '.join(self._waits)}"
        return notes

    def needs_restart(self, keys: Sequence[str]) -> None:
        """Note which keys are not what this process began with and count only when it begins anew."""
        for key in {*self._waits, *keys}:
            RESTART.labels(key).set(key in keys)
        for key in keys:
            if key not in self._waits:
                log.warning("restart_needed", key=key, detail=f"changed, needs a restart: {key}")
        self._waits = tuple(keys)

    async def look(self) -> None:
        """Take what has changed; what holds a mistake changes nothing but what is said of it."""
        for one in self._watched:
            if one.settled():
                await _reload(one)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            await self.look()


async def _reload(one: Watched[Any]) -> None:
    """Read and take; say what came of it."""
    stamp = one.stamp()
    try:
        value = await asyncio.to_thread(one.read)
        if one.stamp() != stamp:
            return  # somebody wrote while we read; there will be another look
        await one.take(value)
    except StartError as error:
        one.taken = stamp  # it is not tried again before it changes
        _keep(one, str(error))
    except MeshError as error:
        _keep(one, error.message)  # not the file's fault: it is tried again at the next look
    except Exception as defect:  # noqa: BLE001 - the last frame of ours: a defect must not end the watching
        one.taken = stamp
        log.error("defect", file=one.name, type=type(defect).__name__, where=where_of(defect))  # noqa: TRY400 - no text of it
        _keep(one, DEFECT)
    else:
        one.taken, one.problem = stamp, ""
        one.generation += 1
        RELOADS.labels(one.name, "taken").inc()
        log.info("taken", file=one.name, generation=one.generation)
        _tell(one)


def _keep(one: Watched[Any], why: str) -> None:
    if why != one.problem or one.taken == one.stamp():
        RELOADS.labels(one.name, "kept").inc()
        log.warning("kept", file=one.name, detail=f"the last good one stays in use: {why}")
    one.problem = why
    VALID.labels(one.name).set(0)


def _tell(one: Watched[Any]) -> None:
    VALID.labels(one.name).set(1)
    GENERATION.labels(one.name).set(one.generation)
    LAST_SUCCESS.labels(one.name).set_to_current_time()
