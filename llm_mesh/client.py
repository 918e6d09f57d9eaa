"""Asks a mesh from Python: `Client` for programs that wait, `AsyncClient` for those that do other things meanwhile."""

import os
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import grpc
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2, router_pb2_grpc

from llm_mesh import failures
from llm_mesh.questions import Messages, Options, embed_request, generate_request, stream_request
from llm_mesh.variables import CLIENT_KEY
from meshkit.channel import OPTIONS
from meshkit.credentials import of_client
from meshkit.secret import Secret
from meshkit.tls import ClientTls, client_tls

__all__ = ["Answer", "AsyncClient", "Client", "ClientTls", "Piece", "Vectors"]

ADDRESS = "127.0.0.1:7400"
# Calls spread over all addresses of a name, and none goes to a router that says that it is not serving.
SERVICE_CONFIG = (
    '{"loadBalancingConfig": [{"round_robin": {}}], '
    '"healthCheckConfig": {"serviceName": "llmmesh.router.v1.RouterService"}}'
)
DEADLINE = 60.0
NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the text of its first choice, what it cost in US dollars, and everything the mesh said."""

    text: str
    cost_usd: float
    route: router_pb2.Route
    completion: chat_pb2.Completion = field(repr=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a stream. `void` says that everything before it is void; the last one has `route` and `usage`."""

    text: str = ""
    reasoning: str = ""
    void: bool = False
    route: router_pb2.Route | None = None
    usage: chat_pb2.Usage | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Vectors:
    """One vector for each text, all of one model, and what they cost in US dollars."""

    vectors: tuple[tuple[float, ...], ...] = field(repr=False)
    cost_usd: float
    route: router_pb2.Route


class Client:
    """A way to a mesh; may be shared by threads, and used as a context manager.

    Args:
        address: "host:port", or "dns:///name:port" to spread calls over all routers behind a name.
        api_key: the caller's key; by default that of the variable MESH_API_KEY, if there is one.
        tls: who must have signed the router's certificate, and the caller's own one; by default what the variables
            MESH_TLS_CA, MESH_TLS_CERT and MESH_TLS_KEY name, if they name anything, else nothing is encrypted.
        timeout: seconds a call may take that does not say it itself.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        tls: ClientTls | None = None,
        timeout: float = DEADLINE,
    ) -> None:
        credentials = _credentials(tls)
        self._channel = (
            grpc.insecure_channel(address, options=_options())
            if credentials is None
            else grpc.secure_channel(address, credentials, options=_options())
        )
        self._router = router_pb2_grpc.RouterServiceStub(self._channel)
        self._metadata = _metadata(api_key)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; calls under way are cancelled."""
        self._channel.close()

    def generate(self, messages: Messages, *, timeout: float | None = None, **options: Any) -> Answer:
        """Ask for a whole answer.

        Args:
            messages: a text, or turns such as `{"role": "user", "content": "…"}`.
            timeout: seconds it may take.
            options: `questions.Options`: use_case, tier, model, candidates, max_tokens, temperature, …

        Raises:
            MeshError: a class of `failures` for each reason.
        """
        request = generate_request(messages, Options(**options))
        with failures.told():
            return _answer(self._router.Generate(request, timeout=timeout or self._timeout, metadata=self._metadata))

    def stream(self, messages: Messages, *, timeout: float | None = None, **options: Any) -> Generator[Piece]:
        """Ask for an answer piece by piece; leave the loop, or close the iterator, to cancel it.

        Raises:
            MeshError: as `generate`; StreamIncompleteError when the answer broke off.
        """
        request, watch = stream_request(messages, Options(**options)), _Watch()
        call = self._router.StreamGenerate(request, timeout=timeout or self._timeout, metadata=self._metadata)
        try:
            with failures.told():
                for event in call:
                    yield from watch.pieces(event)
                watch.end()
        finally:
            call.cancel()

    def embed(self, texts: Sequence[str], *, timeout: float | None = None, **options: Any) -> Vectors:
        """Turn texts into vectors; raises MeshError."""
        request = embed_request(texts, Options(**options))
        with failures.told():
            return _vectors(self._router.Embed(request, timeout=timeout or self._timeout, metadata=self._metadata))

    def explain(
        self, messages: Messages = "", *, timeout: float | None = None, **options: Any
    ) -> router_pb2.ExplainRouteResponse:
        """Say how a request would be served, and why not otherwise; raises MeshError."""
        asked = generate_request(messages, Options(**options), may_be_empty=True)
        request = router_pb2.ExplainRouteRequest(intent=asked.intent, prompt=asked.prompt)
        with failures.told():
            return self._router.ExplainRoute(request, timeout=timeout or self._timeout, metadata=self._metadata)


class AsyncClient:
    """A way to a mesh for asyncio; as `Client` in everything else."""

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        tls: ClientTls | None = None,
        timeout: float = DEADLINE,
    ) -> None:
        credentials = _credentials(tls)
        self._channel = (
            grpc.aio.insecure_channel(address, options=_options())
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=_options())
        )
        self._router = router_pb2_grpc.RouterServiceStub(self._channel)
        self._metadata = _metadata(api_key)
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up; calls under way are cancelled."""
        await self._channel.close()

    async def generate(self, messages: Messages, *, timeout: float | None = None, **options: Any) -> Answer:
        """Ask for a whole answer; raises MeshError."""
        request = generate_request(messages, Options(**options))
        with failures.told():
            call = self._router.Generate(request, timeout=timeout or self._timeout, metadata=self._metadata)
            return _answer(await call)

    async def stream(
        self, messages: Messages, *, timeout: float | None = None, **options: Any
    ) -> AsyncGenerator[Piece]:
        """Ask for an answer piece by piece; raises MeshError."""
        request, watch = stream_request(messages, Options(**options)), _Watch()
        call = self._router.StreamGenerate(request, timeout=timeout or self._timeout, metadata=self._metadata)
        try:
            with failures.told():
                async for event in call:
                    for piece in watch.pieces(event):
                        yield piece
                watch.end()
        finally:
            call.cancel()

    async def embed(self, texts: Sequence[str], *, timeout: float | None = None, **options: Any) -> Vectors:
        """Turn texts into vectors; raises MeshError."""
        request = embed_request(texts, Options(**options))
        with failures.told():
            call = self._router.Embed(request, timeout=timeout or self._timeout, metadata=self._metadata)
            return _vectors(await call)


class _Watch:
    """Follows a stream: which pieces are void, and whether it came to its end."""

    def __init__(self) -> None:
        self._started = False
        self._finished = False

    def pieces(self, event: router_pb2.StreamGenerateResponse) -> Iterator[Piece]:
        """Return what an event says of the first choice."""
        match event.WhichOneof("event"):
            case "start":
                if self._started:
                    yield Piece(void=True)
                self._started = True
            case "deltas":
                for delta in event.deltas.deltas:
                    if delta.choice_index == 0 and (delta.text or delta.reasoning):
                        yield Piece(delta.text, delta.reasoning)
            case "finish":
                self._finished = True
                yield Piece(route=event.finish.route, usage=event.finish.usage)

    def end(self) -> None:
        """Raise StreamIncompleteError when the finish never came."""
        if not self._finished:
            raise failures.incomplete()


def _options() -> list[tuple[str, Any]]:
    return [*OPTIONS, ("grpc.service_config", SERVICE_CONFIG)]


def _credentials(tls: ClientTls | None) -> grpc.ChannelCredentials | None:
    tls = tls or client_tls(os.environ)
    return None if tls is None else of_client(tls)


def _metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    key = Secret(api_key if api_key is not None else os.environ.get(CLIENT_KEY, "").strip())
    return (("authorization", f"Bearer {key.reveal()}"),) if key else ()


def _answer(response: router_pb2.GenerateResponse) -> Answer:
    completion = response.completion
    parts = completion.choices[0].parts if completion.choices else ()
    text = "".join(part.text.text for part in parts if part.HasField("text"))
    return Answer(text, completion.usage.cost_nanos / NANOS, response.route, completion)


def _vectors(response: router_pb2.EmbedResponse) -> Vectors:
    vectors = tuple(tuple(embedding.values) for embedding in response.embeddings)
    return Vectors(vectors, response.usage.cost_nanos / NANOS, response.route)
