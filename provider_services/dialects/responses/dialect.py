"""The responses wire: items in, items out, as JSON or as typed server-sent events; nothing is kept at the vendor."""

from collections.abc import Mapping

from llmmesh.chat.v1.chat_pb2 import Completion
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse, Observation

from provider_services.dialects import model_list, rate_headers
from provider_services.dialects.interface import Call, EmbedCall, Fault, HttpReply, HttpRequest, StreamDecoder, Subject
from provider_services.dialects.responses import answer, errors, quirks, request, stream, vectors


class ResponsesDialect:
    """Speaks responses; see the module's files, one for each direction."""

    quirks: frozenset[str] = quirks.ALL

    def encode(self, call: Call) -> HttpRequest:
        """Write a request for a response."""
        return request.encode(call)

    def decode(self, call: Call, reply: HttpReply) -> Completion:
        """Read a whole response."""
        return answer.decode(call, reply)

    def stream(self, call: Call) -> StreamDecoder:
        """Begin reading a streamed response."""
        return stream.ResponseStream(call)

    def classify(self, subject: Subject, reply: HttpReply) -> Fault:
        """Say what an error answer means."""
        return errors.classify(subject, reply)

    def observe(self, subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
        """Read the x-ratelimit headers."""
        return rate_headers.observe(subject, headers)

    def encode_embed(self, call: EmbedCall) -> HttpRequest:
        """Write a request for vectors."""
        return vectors.encode(call)

    def decode_embed(self, call: EmbedCall, reply: HttpReply) -> EmbedResponse:
        """Read vectors."""
        return vectors.decode(call, reply)

    def encode_models(self, subject: Subject) -> HttpRequest:
        """Write the request that lists models."""
        return model_list.encode(subject)

    def decode_models(self, reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
        """Read the list of models."""
        return model_list.decode(reply)
