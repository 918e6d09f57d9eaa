"""Starts and stops one gRPC server: health, reflection, limits, and a clear word when the port is taken."""

import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from meshkit.boundary import Boundary
from meshkit.errors import StartError

MAX_MESSAGE_BYTES = 12 * 1024 * 1024
DRAIN_SECONDS = 5.0


class GrpcServer:
    """One listening gRPC server.

    Args:
        address: "host:port"; port 0 chooses a free one.
        register: functions that add a servicer to the server.
        service_names: full names of those services, for health and reflection.
        boundary: what every call passes.
        credentials: what it speaks TLS with; in the clear without them.
        reflection_on: lets generic clients list the services; $MESH_REFLECTION=off turns it off in production.
        max_message_bytes: longest message accepted, decompressed.
    """

    def __init__(
        self,
        address: str,
        register: Sequence[Callable[[grpc.aio.Server], None]],
        service_names: Sequence[str],
        *,
        boundary: Boundary | None = None,
        credentials: grpc.ServerCredentials | None = None,
        reflection_on: bool = True,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._address = address
        self._register = register
        self._service_names = tuple(service_names)
        self._boundary = boundary or Boundary()
        self._credentials = credentials
        self._reflection_on = reflection_on and os.environ.get("MESH_REFLECTION") != "off"
        self._max_message_bytes = max_message_bytes
        self._health = health.aio.HealthServicer()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server(interceptors=[self._boundary], options=self._options())
        for register in self._register:
            register(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self._reflection_on:
            names = (*self._service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        try:
            self.port = self._bind()
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise StartError(
                f"cannot listen on {self._address}: the port is in use or not ours; stop what listens there "
                "or choose another address in mesh.yaml or the environment"
            )
        await self._server.start()
        await self.set_serving(True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.stop()

    def _bind(self) -> int:
        if self._credentials is None:
            return self._server.add_insecure_port(self._address)
        return self._server.add_secure_port(self._address, self._credentials)

    async def set_serving(self, serving: bool) -> None:
        """Tell health checkers whether to send calls here."""
        state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._service_names):
            await self._health.set(name, state)

    async def stop(self, grace: float = DRAIN_SECONDS) -> None:
        """Refuse new calls, let running ones end within `grace` seconds, then cut them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)

    def _options(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.so_reuseport", 0),  # two servers on one port would share calls unnoticed
            ("grpc.max_receive_message_length", self._max_message_bytes),
            ("grpc.max_concurrent_streams", 1000),
            ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
