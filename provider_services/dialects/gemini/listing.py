"""Lists the vendor's models that can generate or embed."""

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

METHODS = frozenset({"generateContent", "embedContent"})


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", "/models?pageSize=1000"))


def decode(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the list."""
    rows = wire.mapping(wire.decode(reply.body)).get("models") or ()
    return [
        DescribeResponse.DiscoveredModel(
            id=wire.text(row.get("name")).removeprefix("models/"), context_window=wire.count(row.get("inputTokenLimit"))
        )
        for row in rows
        if isinstance(row, dict) and METHODS & set(row.get("supportedGenerationMethods") or ())
    ]
