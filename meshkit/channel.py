"""Opens channels between services: no retries below ours, quick reconnection, dead peers noticed."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import grpc

from meshkit.secret import Secret

StubT = TypeVar("StubT")

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.enable_retries", 0),  # one retry policy, in the router
    ("grpc.enable_http_proxy", 0),  # HTTP_PROXY is for calls to vendors, never for calls between services
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),  # how long one try may take: a busy machine needs more than a moment
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),
]
ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'


def open_channel(target: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """Open a channel to "host:port" or "dns:///name:port"; calls spread over all addresses of the name.

    Args:
        target: where to.
        credentials: what it speaks TLS with; in the clear without them.
    """
    options = [*OPTIONS, ("grpc.service_config", ROUND_ROBIN)]
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, credentials, options=options)


def presenting(stub: StubT, key: Secret | None) -> StubT:
    """Have every call of a stub present a key beside what it says itself; as it was without a key.

    An interceptor would do the same at a price that each call pays.
    """
    if key is not None:
        bearer = ("authorization", f"Bearer {key.reveal()}")
        for name, method in list(vars(stub).items()):
            setattr(stub, name, _presenting(method, bearer))
    return stub


def _presenting(method: Callable[..., Any], bearer: tuple[str, str]) -> Callable[..., Any]:
    def call(request: Any, *, metadata: Iterable[tuple[str, str]] | None = None, **options: Any) -> Any:
        return method(request, metadata=(*(metadata or ()), bearer), **options)

    return call
