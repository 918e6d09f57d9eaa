"""Lists the vendor's models that can generate or embed."""

from llmmesh.provider.v1.provider_pb2 import DescribeResponse

from provider_services.dialects import wire
from provider_services.dialects.interface import HttpReply, HttpRequest, Subject

METHODS = frozenset({"generateContent", "embedContent"})


def encode(subject: Subject) -> HttpRequest:
    """Write the request."""
    return HttpRequest("GET", subject.paths.get("models", "/models?pageSize=1000"))


def decode(reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
    """Read the list; raises VendorFault when it is none."""
    return [
        DescribeResponse.DiscoveredModel(
            id=wire.text(row.get("name")).removeprefix("models/"), context_window=wire.count(row.get("inputTokenLimit"))
        )
        for row in wire.rows(wire.decode(reply.body), "models")
        if _used(row.get("supportedGenerationMethods"))
    ]


def _used(methods: object) -> bool:
    return isinstance(methods, list) and not METHODS.isdisjoint(map(str, methods))
