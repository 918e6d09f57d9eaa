"""Lists a vendor's models, the way several wires do."""

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

PATH = "/models"


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", PATH))


def decode(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the list; some vendors send it bare."""
    body = wire.decode(reply.body)
    rows = body if isinstance(body, list) else wire.mapping(body).get("data") or ()
    return [
        DescribeResponse.DiscoveredModel(
            id=row["id"],
            context_window=wire.count(row.get("context_window")) or wire.count(row.get("context_length")),
        )
        for row in rows
        if isinstance(row, dict) and isinstance(row.get("id"), str)
    ]
