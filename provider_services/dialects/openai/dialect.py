"""The chat-completions wire: JSON in, JSON or server-sent events out, spoken by most vendors with small differences."""

from collections.abc import Mapping

from llmmesh.chat.v1.chat_pb2 import Completion
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse, Observation

from provider_services.dialects import model_list, rate_headers
from provider_services.dialects.interface import Call, EmbedCall, Fault, HttpReply, HttpRequest, StreamDecoder, Subject
from provider_services.dialects.openai import answer, errors, quirks, request, stream, vectors


class OpenAiDialect:
    """Speaks chat completions; see the module's files, one for each direction."""

    quirks: frozenset[str] = quirks.ALL

    def encode(self, call: Call) -> HttpRequest:
        """Write a chat request."""
        return request.encode(call)

    def decode(self, call: Call, reply: HttpReply) -> Completion:
        """Read a whole chat answer."""
        return answer.decode(call, reply)

    def stream(self, call: Call) -> StreamDecoder:
        """Begin reading a streamed chat answer."""
        return stream.ChatStream(call)

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
