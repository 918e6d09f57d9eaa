"""Lists a vendor's models."""

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

PATH = "/v1/models?page_size=1000"  # the most a page holds, and many times what there is
USED = frozenset({"chat", "embed"})


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", PATH))


def decode(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the list; models for neither chat nor vectors are left out. Raises VendorFault when it is none."""
    return [
        DescribeResponse.DiscoveredModel(id=row["name"], context_window=wire.count(row.get("context_length")))
        for row in wire.rows(wire.decode(reply.body), "models")
        if isinstance(row.get("name"), str) and _used(row.get("endpoints"))
    ]


def _used(endpoints: object) -> bool:
    return not isinstance(endpoints, list) or bool(USED.intersection(map(str, endpoints)))
