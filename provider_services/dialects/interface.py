"""What a dialect is: pure methods that turn our prompt into a vendor's HTTP request, and its answer back.

A dialect reads no clock, opens no socket and keeps no state between calls; only a stream decoder has state. Which
vendor it speaks to, and that vendor's quirks, come with every call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from llmmesh.chat.v1 import chat_pb2
from llmmesh.chat.v1.chat_pb2 import ChoiceFinish, Completion, Delta, Prompt, Usage
from llmmesh.provider.v1.provider_pb2 import DescribeResponse, EmbedResponse, Observation

from meshkit.errors import Reason
from provider_services.dialects.rules import Rule


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a request is for: the vendor, one of its models, and the quirks of both.

    `paths` replace the dialect's own request paths, by name ("chat", "embed", "models"), and may add one that proves a
    key ("check"); `errors` are what the vendor means by its errors where it differs from its dialect.
    """

    vendor: str
    model: str = ""
    quirks: frozenset[str] = frozenset()
    paths: Mapping[str, str] = field(default_factory=dict)
    errors: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Call(Subject):
    """One generation. `reasons` says whether the model thinks before it answers; None when nobody knows.

    `context_window` is the model's longest prompt and answer together in tokens, `max_output_tokens` its longest
    answer; 0 when unknown.
    """

    prompt: Prompt = field(default_factory=Prompt)
    stream: bool = False
    reasons: bool | None = None
    context_window: int = 0
    max_output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EmbedCall(Subject):
    """One request for vectors; `dimensions` 0 means the model's own length, `kind` says what the texts are for."""

    texts: Sequence[str] = ()
    dimensions: int = 0
    kind: "chat_pb2.InputKind.ValueType" = chat_pb2.INPUT_KIND_UNSPECIFIED


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What to send: a path below the vendor's endpoint, never a key. `accept` names the content type wanted."""

    method: str
    path: str
    body: bytes = b""
    accept: str = "application/json"
    warnings: tuple[chat_pb2.Warning, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back, whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Finish:
    """How a stream ended; `deltas` are the last pieces, which only the end of the stream completed."""

    choices: tuple[ChoiceFinish, ...]
    usage: Usage
    vendor_response_id: str = ""
    vendor_model: str = ""
    warnings: tuple[chat_pb2.Warning, ...] = ()
    deltas: tuple[Delta, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What a vendor's error means.

    `retry_after` is in seconds, None when the vendor named no time; `retryable` says that a later attempt at the same
    vendor may succeed; `answered` that the vendor itself said so, so that no more was spent than it says.
    """

    reason: Reason
    message: str
    retry_after: float | None = None
    observations: tuple[Observation, ...] = ()
    usage: Usage | None = None
    http_status: int = 0
    retryable: bool = False
    answered: bool = False


class VendorFault(Exception):  # noqa: N818 - the word for it in the whole room
    """The vendor said or did something that ends the attempt, inside an answer that began well."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed answer into deltas, however they were cut on the way."""

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes; raises VendorFault for an error or nonsense inside the stream.

        What was complete before the fault is returned first: the fault is raised by the next call.
        """

    def finish(self) -> Finish:
        """Take the end of the stream; raises VendorFault when it came before the answer's own end."""

    def partial_usage(self) -> Usage:
        """Return what has been used so far: what the vendor said, else an estimate of what was received."""


class Dialect(Protocol):
    """One HTTP wire format."""

    @property
    def quirks(self) -> frozenset[str]:
        """Every quirk a catalogue row may name with this dialect."""

    def encode(self, call: Call) -> HttpRequest:
        """Write a request.

        Raises:
            MeshError: VENDOR_UNSUPPORTED when dropping a field would change the meaning; VENDOR_BAD_REQUEST when a
                schema is no JSON.
        """

    def decode(self, call: Call, reply: HttpReply) -> Completion:
        """Read a whole answer; raises VendorFault when it holds an error or nonsense."""

    def stream(self, call: Call) -> StreamDecoder:
        """Begin reading a streamed answer."""

    def classify(self, subject: Subject, reply: HttpReply) -> Fault:
        """Say what an error answer means, from its vendor, status and body together."""

    def observe(self, subject: Subject, headers: Mapping[str, str]) -> list[Observation]:
        """Read what the headers of any answer say of our quotas."""

    def encode_embed(self, call: EmbedCall) -> HttpRequest:
        """Write a request for vectors; raises MeshError VENDOR_UNSUPPORTED."""

    def decode_embed(self, call: EmbedCall, reply: HttpReply) -> EmbedResponse:
        """Read vectors; raises VendorFault when the answer holds an error or nonsense."""

    def encode_models(self, subject: Subject) -> HttpRequest:
        """Write the request that lists the vendor's models, which also tells whether a key is accepted."""

    def decode_models(self, reply: HttpReply) -> list[DescribeResponse.DiscoveredModel]:
        """Read that list; what is not a model is left out. Raises VendorFault when it is no list."""
