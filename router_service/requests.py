"""Remembers request ids, so that one request is served once however often it is sent to this router."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llmmesh.router.v1 import router_pb2

from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason

REMEMBERED = 10_000
REMEMBERED_SECONDS = 600.0
RUNNING_RETRY_AFTER = 1.0


@dataclass(slots=True)
class Entry:
    """One request id that runs; `route` is set once it has been served."""

    route: router_pb2.Route | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """When a request was served, and its route, written down: an eighth of the memory of a message."""

    at: float
    route: bytes


class Requests:
    """Ids that run, and of the last ten thousand requests of the last ten minutes, by tenant; no content is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[tuple[str, str], Entry] = {}
        self._served: OrderedDict[tuple[str, str], Served] = OrderedDict()

    @contextmanager
    def enter(self, tenant: str, request_id: str) -> Iterator[Entry]:
        """Claim an id while the body serves it; set the entry's route when it was served, else the id is free again.

        Raises:
            MeshError: REQUEST_RUNNING while another call serves it, REQUEST_REPEATED with its route afterwards.
        """
        self._forget()
        key = (tenant, request_id)
        if key in self._running:
            raise _running(request_id)
        if (known := self._served.get(key)) is not None:
            raise _repeated(request_id, known)
        entry = self._running[key] = Entry()
        try:
            yield entry
        finally:
            del self._running[key]
            if entry.route is not None:
                self._served[key] = Served(self._clock.monotonic(), entry.route.SerializeToString())

    def _forget(self) -> None:
        oldest_kept = self._clock.monotonic() - REMEMBERED_SECONDS
        while self._served:
            key, served = next(iter(self._served.items()))
            if served.at >= oldest_kept and len(self._served) <= REMEMBERED:
                return
            del self._served[key]


def _running(request_id: str) -> MeshError:
    return MeshError(Reason.REQUEST_RUNNING, f"request {request_id} is being served", retry_after=RUNNING_RETRY_AFTER)


def _repeated(request_id: str, served: Served) -> MeshError:
    details = [router_pb2.RouteFailure(route=router_pb2.Route.FromString(served.route))]
    return MeshError(
        Reason.REQUEST_REPEATED, f"request {request_id} was served before; nothing is stored", details=details
    )
