"""Where the store is: one server by its URL, or Sentinels who know which server is the primary now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from meshkit.secret import Secret

SCHEMES = {"sentinel": False, "sentinels": True}
PORT = 26_379


@dataclass(frozen=True, slots=True)
class Watched:
    """What the URL of Sentinels says: who they are, what they call the primary, and how to speak to it and to them."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    server: Mapping[str, Any]
    sentinel: Mapping[str, Any]


def watched(url: Secret) -> Watched | None:
    """Read `sentinel://user:password@host:port,host:port/name/db?sentinel_password=...`; None when it is another URL.

    Raises:
        ValueError: says what is missing, without a word of the URL.
    """
    parts = urlsplit(url.reveal())
    if parts.scheme not in SCHEMES:
        return None
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, database = parts.path.strip("/").partition("/")
    if not hosts or not name:
        raise ValueError("it must name Sentinels and the primary: host:port,host:port/name")
    if database and not database.isdigit():
        raise ValueError("what follows the name of the primary is the number of a database")
    username, _, password = user.partition(":")
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    safe = {"ssl": True, "ssl_ca_certs": asked.get("ssl_ca_certs")} if SCHEMES[parts.scheme] else {}
    return Watched(
        sentinels=tuple(_address(host) for host in hosts.split(",")),
        name=name,
        server={**safe, **_credentials(unquote(username), unquote(password)), "db": int(database or 0)},
        sentinel={**safe, **_credentials(asked.get("sentinel_username", ""), asked.get("sentinel_password", ""))},
    )


def _credentials(username: str, password: str) -> dict[str, str]:
    said = {"username": username, "password": password}
    return {name: value for name, value in said.items() if value}


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), PORT
    if not port.isdigit():
        raise ValueError("a port of a Sentinel is not a number")
    return host.strip("[]"), int(port)


class Address:
    """Makes clients of the store; each new connection asks anew who the primary is.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `sentinel://` or `sentinels://`; may hold a password.
        silence: seconds a connection may take, and a Sentinel may stay silent.

    Raises:
        ValueError: it is none of these.
    """

    def __init__(self, url: Secret, silence: float) -> None:
        self._url = url
        self._silence = silence
        self._watched = watched(url)
        self._sentinel: Sentinel | None = None
        if self._watched is not None:
            ways = {**self._always(silence), **self._watched.sentinel}
            self._sentinel = cast("Any", Sentinel)(self._watched.sentinels, sentinel_kwargs=ways)

    def client(self, silence: float | None, *, single: bool = False) -> Redis:
        """Make a client.

        Args:
            silence: seconds an answer may take; None means for ever.
            single: keep to one connection.
        """
        ways = self._always(silence)
        if self._sentinel is None or self._watched is None:
            plain: Redis = Redis.from_url(self._url.reveal(), single_connection_client=single, **ways)
            return plain
        found: Redis = self._sentinel.master_for(self._watched.name, **self._watched.server, **ways)
        found.single_connection_client = single
        return found

    def _always(self, silence: float | None) -> dict[str, Any]:
        return {
            "socket_timeout": silence,
            "socket_connect_timeout": self._silence,
            "retry": Retry(NoBackoff(), 0),
        }

    async def close(self) -> None:
        """Close the connections to the Sentinels."""
        if self._sentinel is not None:
            await self._sentinel.aclose()
