"""Looks at the key of a request the way the vendor does: missing, rejected or good for an account."""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b

from provider_services.simulator.arrivals import Visitor
from provider_services.simulator.ask import RefusalError
from provider_services.simulator.rows import AuthRow

REJECTED_MARK = "rejected"
_ACCOUNT = re.compile(r"acct([A-Za-z0-9]+)")


class Door:
    """Admits visitors by their key; two keys with the same `acct<name>` inside belong to one account."""

    def __init__(self, auth: AuthRow) -> None:
        self._auth = auth
        self._pattern = re.compile(auth.pattern)

    def visitor(self, headers: Mapping[str, str], rejects: Callable[[Visitor], bool]) -> Visitor:
        """Tell whose key the request carries; `rejects` says of a visitor that his key is no longer good.

        Raises:
            RefusalError: there is no key although one is required, or the vendor does not know it.
        """
        key = self._key(headers)
        if not key and self._auth.required:
            raise RefusalError("missing_key")
        if key and (REJECTED_MARK in key or not self._pattern.search(key)):
            raise RefusalError("bad_key", masked_key=_masked(key))
        visitor = _visitor(key)
        if rejects(visitor):
            raise RefusalError("bad_key", masked_key=_masked(key))
        return visitor

    def _key(self, headers: Mapping[str, str]) -> str:
        auth = self._auth
        key = _after(auth.scheme, headers.get(auth.header, ""))
        return key or (_after("Bearer", headers.get("authorization", "")) if auth.or_bearer else "")


def _after(scheme: str, value: str) -> str:
    """Return what follows the scheme; nothing when it is another one."""
    if not scheme:
        return value
    named, _, key = value.partition(" ")
    return key.strip() if named.lower() == scheme.lower() else ""


def _visitor(key: str) -> Visitor:
    if not key:
        return Visitor("anonymous")
    named = _ACCOUNT.search(key)
    account = named[1] if named else blake2b(key.encode(), digest_size=6).hexdigest()
    return Visitor(account, key[-4:])


def _masked(key: str) -> str:
    return f"{key[:3]}{'*' * 12}{key[-4:]}" if len(key) >= 16 else "*" * 12
