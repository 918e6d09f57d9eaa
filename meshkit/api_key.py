"""A caller's key, `mesh_<id>_<secret>`: how one is made, read and recognised; only a keyed hash of it is ever kept."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from meshkit.secret import Secret

_FORM = re.compile(r"mesh_([0-9a-f]{12})_([0-9a-f]{48})")
_LONGEST = 80


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in the clear: its id, which may be told, and its secret, which is shown once."""

    id: str
    secret: Secret

    def text(self) -> Secret:
        """Return the whole key as its owner sends it."""
        return Secret(f"mesh_{self.id}_{self.secret.reveal()}")


def mint() -> ApiKey:
    """Make a new key: an id of 48 random bits and a secret of 192."""
    return ApiKey(secrets.token_hex(6), Secret(secrets.token_hex(24)))


def parse(text: str) -> ApiKey | None:
    """Read a key; None when it has not the form of one."""
    found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    return ApiKey(found[1], Secret(found[2])) if found else None


def keyed_hash(key: ApiKey, pepper: Secret) -> str:
    """Return HMAC-SHA256 of the key under a pepper, in hexadecimal: all that is kept of it."""
    return hmac.new(pepper.reveal().encode(), f"{key.id}:{key.secret.reveal()}".encode(), hashlib.sha256).hexdigest()


def presented(credentials: Mapping[str, str]) -> str:
    """Return the credential a caller sends, as `Authorization: Bearer …` or `x-api-key`; empty without one."""
    bearer = credentials.get("authorization", "")
    return bearer[7:].strip() if bearer[:7].lower() == "bearer " else credentials.get("x-api-key", "")
