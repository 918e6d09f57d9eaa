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
    """One request id; `route` is set once it has been served, `at` is when that was."""

    at: float = 0.0
    route: router_pb2.Route | None = None


class Requests:
    """Ids that run, and of the last ten thousand requests of the last ten minutes, by tenant; no content is kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._running: dict[tuple[str, str], Entry] = {}
        self._served: OrderedDict[tuple[str, str], Entry] = OrderedDict()

    @contextmanager
    def enter(self, tenant: str, request_id: str) -> Iterator[Entry]:
        """Claim an id while the body serves it; set the entry's route when it was served, else the id is free again.

        Raises:
            MeshError: REQUEST_RUNNING while another call serves it, REQUEST_REPEATED with its route afterwards.
        """
        self._forget()
        key = (tenant, request_id)
        known = self._running.get(key) or self._served.get(key)
        if known is not None:
            raise _already(request_id, known)
        entry = self._running[key] = Entry()
        try:
            yield entry
        finally:
            del self._running[key]
            if entry.route is not None:
                entry.at = self._clock.monotonic()
                self._served[key] = entry

    def _forget(self) -> None:
        oldest_kept = self._clock.monotonic() - REMEMBERED_SECONDS
        while self._served:
            key, entry = next(iter(self._served.items()))
            if entry.at >= oldest_kept and len(self._served) <= REMEMBERED:
                return
            del self._served[key]


def _already(request_id: str, known: Entry) -> MeshError:
    if known.route is None:
        text = f"request {request_id} is being served"
        return MeshError(Reason.REQUEST_RUNNING, text, retry_after=RUNNING_RETRY_AFTER)
    details = [router_pb2.RouteFailure(route=known.route)]
    return MeshError(
        Reason.REQUEST_REPEATED, f"request {request_id} was served before; nothing is stored", details=details
    )
