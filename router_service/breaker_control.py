"""Shows breakers to operators, and forces them."""

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from llmmesh.router.v1 import router_pb2

from catalog.model import Catalog
from meshkit.clock import Clock
from meshkit.errors import MeshError, Reason, invalid
from router_service.breaker import State
from router_service.breakers import Breakers

MODES: Mapping[int, State | None] = {
    router_pb2.BREAKER_MODE_AUTOMATIC: None,
    router_pb2.BREAKER_MODE_OPEN: State.FORCED_OPEN,
    router_pb2.BREAKER_MODE_CLOSED: State.FORCED_CLOSED,
}
TIMED = frozenset({State.OPEN, State.HALF_OPEN})


def listed(breakers: Breakers, clock: Clock) -> router_pb2.ListBreakersResponse:
    """List breakers, the closed ones too."""
    standing = breakers.standing()
    return router_pb2.ListBreakersResponse(
        breakers=[told(subject, *standing[subject], clock) for subject in sorted(standing)]
    )


def forced(
    request: router_pb2.SetBreakerRequest, catalog: Catalog, breakers: Breakers, clock: Clock
) -> router_pb2.SetBreakerResponse:
    """Force a breaker, or leave it to itself.

    Raises:
        MeshError: nobody knows its subject, or the mode says nothing.
    """
    if request.mode not in (*MODES, router_pb2.BREAKER_MODE_RESET):
        raise invalid("mode", "required; allowed: automatic, open, closed, reset")
    vendor_id, _, model = request.subject.partition("/")
    vendor = catalog.vendors.get(vendor_id)
    if vendor is None:
        raise MeshError(
            Reason.UNKNOWN_VENDOR, f"no vendor `{vendor_id}`; allowed: {', '.join(sorted(catalog.vendors))}"
        )
    if "/" in request.subject and model not in vendor.models:
        raise MeshError(Reason.UNKNOWN_MODEL, f"{vendor_id} has no model `{model}`; `llm-mesh models` lists them")
    if request.mode == router_pb2.BREAKER_MODE_RESET:
        breakers.reset(request.subject)
    else:
        breakers.force(request.subject, MODES[request.mode])
    return router_pb2.SetBreakerResponse(breaker=told(request.subject, *breakers.standing()[request.subject], clock))


def told(subject: str, state: State, seconds: float, clock: Clock) -> router_pb2.Breaker:
    """Tell of one breaker whose probe is due in so many seconds."""
    breaker = router_pb2.Breaker(subject=subject, state=state.value)
    if state in TIMED:
        moment = Timestamp()
        moment.FromNanoseconds(round((clock.now() + seconds) * 1e9))
        breaker.probe_at.CopyFrom(moment)
    return breaker
