"""Lists the vendor's models."""

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

PATH = "/models?limit=1000"


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", PATH))


def decode(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the list; raises VendorFault when it is none."""
    return [
        DescribeResponse.DiscoveredModel(
            id=wire.text(row.get("id")), context_window=wire.count(row.get("max_input_tokens"))
        )
        for row in wire.rows(wire.decode(reply.body), "data")
        if wire.text(row.get("id"))
    ]
