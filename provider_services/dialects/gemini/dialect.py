"""The generate-content wire: candidates made of parts, as JSON or as server-sent events of the same JSON."""

from collections.abc import Mapping

from llmmesh.chat.v1.chat_pb2 import Completion
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse, Observation

from provider_services.dialects.gemini import answer, errors, listing, request, stream, vectors
from provider_services.dialects.interface import Call, EmbedCall, Fault, HttpReply, HttpRequest, StreamDecoder, Subject


class GeminiDialect:
    """Speaks generate-content; see the module's files, one for each direction."""

    quirks: frozenset[str] = request.QUIRKS | errors.QUIRKS | vectors.QUIRKS

    def encode(self, call: Call) -> HttpRequest:
        """Write a chat request."""
        return request.encode(call)

    def decode(self, call: Call, reply: HttpReply) -> Completion:
        """Read a whole chat answer."""
        return answer.decode(call, reply)

    def stream(self, call: Call) -> StreamDecoder:
        """Begin reading a streamed chat answer."""
        return stream.ContentStream(call)

    def classify(self, subject: Subject, reply: HttpReply) -> Fault:
        """Say what an error answer means."""
        return errors.classify(subject, reply)

    def observe(self, subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
        """Read nothing: this wire has no headers about quotas, only errors tell."""
        return []

    def encode_embed(self, call: EmbedCall) -> HttpRequest:
        """Write a request for vectors."""
        return vectors.encode(call)

    def decode_embed(self, call: EmbedCall, reply: HttpReply) -> EmbedResponse:
        """Read vectors."""
        return vectors.decode(call, reply)

    def encode_models(self, subject: Subject) -> HttpRequest:
        """Write the request that lists models."""
        return listing.encode(subject)

    def decode_models(self, reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
        """Read the list of models."""
        return listing.decode(reply)
