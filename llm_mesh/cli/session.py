"""Opens the way to the mesh for a command, and tells apart "it said no" from "nobody answers"."""

import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from llmmesh.quota.v1 import quota_pb2_grpc
from llmmesh.router.v1 import router_pb2_grpc

from llm_mesh.cli.outcome import UnreachableError
from llm_mesh.variables import CLIENT_KEY
from meshkit import status
from meshkit.channel import open_channel, presenting
from meshkit.credentials import of_client
from meshkit.errors import MeshError
from meshkit.secret import Secret
from meshkit.tls import client_tls

ROUTER = "127.0.0.1:7400"
QUOTA = "127.0.0.1:7401"
QUICK = 10.0  # seconds for a question that calls no vendor
AnswerT = TypeVar("AnswerT")
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A way to one service; calls go through `answer`."""

    address: str
    stub: Any
    metadata: Metadata
    service: str = "mesh"
    ways: str = "--address or the variable MESH_ROUTER_ADDRESS"

    async def answer(self, call: Awaitable[AnswerT]) -> AnswerT:
        """Wait for a call.

        Raises:
            MeshError: the mesh refused or failed.
            UnreachableError: nobody answered.
        """
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self.explain(error) from None

    def explain(self, error: grpc.aio.AioRpcError) -> MeshError | UnreachableError:
        """Return what a failed call means."""
        sent_by_us = any(key == status.DETAILS_KEY for key, _ in error.trailing_metadata() or ())
        if error.code() is grpc.StatusCode.UNAVAILABLE and not sent_by_us:
            return UnreachableError(
                f"cannot reach the {self.service} at {self.address}: start it with `llm-mesh up`, or name another "
                f"address with {self.ways}"
            )
        return status.from_rpc_error(error)


@asynccontextmanager
async def router(address: str, key: Secret | None = None) -> AsyncIterator[Session]:
    """Open the way to the router; the key is that of MESH_API_KEY unless one is given.

    Raises:
        StartError: a file that MESH_TLS_CA, MESH_TLS_CERT or MESH_TLS_KEY names is not what it should be.
    """
    tls = client_tls(os.environ)
    async with open_channel(address, None if tls is None else of_client(tls)) as channel:
        yield Session(address, router_pb2_grpc.RouterServiceStub(channel), _bearer(key or _client_key()))


@asynccontextmanager
async def quota(address: str) -> AsyncIterator[Session]:
    """Open the way to the quota service; every call presents the key of MESH_API_KEY, which must be an operator's."""
    async with open_channel(address) as channel:
        stub = presenting(quota_pb2_grpc.QuotaServiceStub(channel), _client_key())
        yield Session(address, stub, (), "quota service", "--quota or the variable MESH_QUOTA_ADDRESS")


def _bearer(key: Secret | None) -> Metadata:
    return (("authorization", f"Bearer {key.reveal()}"),) if key else ()


def _client_key() -> Secret | None:
    value = os.environ.get(CLIENT_KEY, "").strip()
    return Secret(value) if value else None
