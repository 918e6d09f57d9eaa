"""Who calls: resolved once, from the call's credential, and read wherever it matters."""

import hmac
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from meshkit.errors import MeshError, Reason
from meshkit.secret import Secret


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: the tenant that pays."""

    tenant: str


# Resolves lower-case metadata or headers to a caller, or raises UNAUTHENTICATED.
Authenticate = Callable[[Mapping[str, str]], Caller]

LOCAL = Caller(tenant="local")
current: ContextVar[Caller] = ContextVar("caller")


def development(_credentials: Mapping[str, str]) -> Caller:
    """Let everyone in as `local`; only right on loopback."""
    return LOCAL


def with_key(key: Secret) -> Authenticate:
    """Let in whoever presents the key, as `Authorization: Bearer …` or `x-api-key`."""
    expected = key.reveal().encode()

    def authenticate(credentials: Mapping[str, str]) -> Caller:
        bearer = credentials.get("authorization", "")
        offered = bearer[7:] if bearer[:7].lower() == "bearer " else credentials.get("x-api-key", "")
        if not hmac.compare_digest(offered.encode(), expected):
            raise MeshError(Reason.UNAUTHENTICATED, "the caller's key is missing or wrong")
        return LOCAL

    return authenticate
