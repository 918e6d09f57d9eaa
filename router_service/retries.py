"""Which faults deserve a second call to the same offer, and how many of them this router may make."""

from llmmesh.provider.v1 import provider_pb2

from meshkit.errors import MeshError, Reason
from router_service.breakers import OWN_HOP

# Who says how long to wait is not called before that; a second call is made at once or not at all.
AT_ONCE = 0.2
HICCUP = 500


class RetryBudget:
    """A bucket of second calls: each takes one, each request that is served gives a part of one back.

    So when all fails hardly anybody calls twice, and in the long run no more than that share of requests does.

    Args:
        share: of the requests that are served.
        most: second calls a router may make before it has served any, and in a row.
    """

    def __init__(self, share: float = 0.1, most: float = 10.0) -> None:
        self._share = share
        self._most = most
        self._left = most

    def served(self) -> None:
        """A request was served."""
        self._left = min(self._most, self._left + self._share)

    def take(self) -> bool:
        """Take one, if there is one."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def deserves(fault: MeshError) -> bool:
    """Tell whether the same offer may well serve at once: it answered 500, or broke off before it began to answer.

    Whoever is overloaded, throttles or keeps silent only gets worse by a second call.
    """
    failure = fault.detail(provider_pb2.AttemptFailure)
    if failure is None or OWN_HOP in fault.metadata or (fault.retry_after or 0.0) > AT_ONCE:
        return False
    if fault.reason is Reason.VENDOR_SERVER:
        return failure.http_status == HICCUP
    return fault.reason is Reason.VENDOR_INCOMPLETE and failure.unanswered
