"""Looks at the key of a request the way the vendor does: missing, rejected or good for an account."""

import re
from collections.abc import Mapping
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

    def visitor(self, headers: Mapping[str, str]) -> Visitor:
        """Tell whose key the request carries.

        Raises:
            RefusalError: there is no key although one is required, or the vendor does not know it.
        """
        auth = self._auth
        key = headers.get(auth.header, "")
        if auth.scheme:
            scheme, _, given = key.partition(" ")
            key = given.strip() if scheme.lower() == auth.scheme.lower() else ""
        if not key:
            if auth.required:
                raise RefusalError("missing_key")
            return Visitor("anonymous")
        if REJECTED_MARK in key or not self._pattern.search(key):
            raise RefusalError("bad_key", masked_key=_masked(key))
        named = _ACCOUNT.search(key)
        account = named[1] if named else blake2b(key.encode(), digest_size=6).hexdigest()
        return Visitor(account, key[-4:])


def _masked(key: str) -> str:
    return f"{key[:3]}{'*' * 12}{key[-4:]}" if len(key) >= 16 else "*" * 12
