"""Who calls: resolved once, from the call's credential, and read wherever it matters."""

import hmac
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from meshkit.api_key import presented
from meshkit.errors import MeshError, Reason
from meshkit.secret import Secret
from meshkit.tls import NO_NAMES

OPERATOR = "operator"
# Variables: the key an operator always has, and the one services of a mesh show one another.
CALLER_KEY, SERVICE_KEY = "ORCHESTRATOR_API_KEY", "MESH_SERVICE_KEY"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: the tenant that pays, whether it may operate the mesh, whether it is a part of it."""

    tenant: str
    operator: bool = False
    service: bool = False


class Authenticate(Protocol):
    """Resolves lower-case metadata or headers, and the names of a verified certificate, to a caller."""

    def __call__(self, credentials: Mapping[str, str], certificate: frozenset[str] = NO_NAMES, /) -> Caller:
        """Return who calls; raises UNAUTHENTICATED."""


# Who runs the mesh on a machine of its own, or holds the key that it was started with.
LOCAL = Caller(tenant="local", operator=True)
# One of our own services: it acts for every tenant, and operates nothing.
SERVICE = Caller(tenant="mesh", service=True)
# Who shows nothing where services have no key to show: taken for one of them, and shown no money.
UNPROVEN = Caller(tenant="", service=True)
current: ContextVar[Caller] = ContextVar("caller")


def development(_credentials: Mapping[str, str], _certificate: frozenset[str] = NO_NAMES, /) -> Caller:
    """Let everyone in as `local`; only right on loopback."""
    return LOCAL


def with_key(key: Secret) -> Authenticate:
    """Let in whoever presents the key, as `Authorization: Bearer …` or `x-api-key`."""

    def authenticate(credentials: Mapping[str, str], _certificate: frozenset[str] = NO_NAMES, /) -> Caller:
        if not is_key(presented(credentials), key):
            raise stranger()
        return LOCAL

    return authenticate


def is_key(offered: str, key: Secret) -> bool:
    """Tell whether a credential is that key, in a time that says nothing of how much of it is right."""
    return hmac.compare_digest(offered.encode(), key.reveal().encode())


def stranger() -> MeshError:
    """Make the one refusal of a credential: unknown, wrong, expired and revoked keys are told apart for nobody."""
    return MeshError(Reason.UNAUTHENTICATED, "the caller's key is missing or wrong")


def demand_operator() -> None:
    """Refuse a caller that may not operate the mesh.

    Raises:
        MeshError: FORBIDDEN.
    """
    if not current.get().operator:
        raise MeshError(Reason.FORBIDDEN, "this needs a key with the scope `operator`")


def demand_service() -> None:
    """Refuse a caller that is neither one of our services nor may operate the mesh.

    Raises:
        MeshError: FORBIDDEN.
    """
    caller = current.get()
    if not (caller.service or caller.operator):
        raise MeshError(Reason.FORBIDDEN, "this is for services of the mesh, or needs a key with the scope `operator`")


def demand_trusted() -> None:
    """Refuse a caller that neither has proven to be one of our services nor may operate the mesh.

    Raises:
        MeshError: FORBIDDEN.
    """
    if current.get() != SERVICE:
        demand_operator()
