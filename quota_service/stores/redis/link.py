"""The connections to the store: runs the script, and says of each failure what it means (I13)."""

from collections.abc import Callable, Mapping
from hashlib import sha1
from pathlib import Path
from typing import Any, Self, cast

from msgspec import msgpack
from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.sentinel import MasterNotFoundError

from meshkit import logs
from meshkit.errors import StartError
from meshkit.secret import Secret
from quota_service.stores.protocol import SILENCE
from quota_service.stores.redis.address import Address
from quota_service.stores.redis.demands import Server, described

log = logs.get("ledger")
PARTS = (
    *("1_meta", "2_epoch", "3_lines", "4_holds", "5_closures", "5_overrides"),
    *("6_admission", "7_reserve", "8_upkeep", "9_writing", "9_moving", "10_main"),
)
FAILURES = (exceptions.RedisError, OSError, TimeoutError)
# What a failure means, by its class or by the first word of what the server said.
_BY_CLASS: Mapping[type[Exception], str] = {
    exceptions.BusyLoadingError: "it is loading its data",
    exceptions.ReadOnlyError: "it has become a replica: there was a failover; asking again who is the primary",
    exceptions.OutOfMemoryError: "its memory is full; mend with: CONFIG SET maxmemory <more>",
    exceptions.AuthenticationError: "it refuses the user or password of the URL",
    exceptions.NoPermissionError: "the user may not do what the ledger needs; mend with: ACL SETUSER … ~* &* +@all",
    exceptions.TimeoutError: "it is silent",
    MasterNotFoundError: "no Sentinel that answers knows a primary of that name",
    exceptions.ConnectionError: "it cannot be reached",
}
_BY_WORD: Mapping[str, str] = {
    "BUSY": "it is busy with another script; mend with: FUNCTION KILL or SCRIPT KILL",
    "MISCONF": "it cannot write to its disk; see its log",
    "NOREPLICAS": "it has too few replicas for min-replicas-to-write",
    "NOAUTH": "it demands a password, and the URL has none",
    "MASTERDOWN": "it has lost its primary",
    "CLUSTERDOWN": "it is a cluster; use one server",
    "MOVED": "it is a cluster; use one server",
}


def library() -> tuple[str, str]:
    """Return the name of the script and its text; another text has another name, so versions do not meet."""
    folder = Path(__file__).parent / "script"
    text = "\n".join((folder / f"{part}.lua").read_text() for part in PARTS)
    name = "llm_mesh_" + sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
    return name, f"#!lua name={name}\n" + text.replace("$NAME", name)


def meaning(error: BaseException) -> str:
    """Say what a failure means, in half a sentence without the address or a secret."""
    if "username-password pair" in str(error):  # on connecting the client library makes it an error of the connection
        return _BY_CLASS[exceptions.AuthenticationError]
    for kind, text in _BY_CLASS.items():
        if isinstance(error, kind):
            return text
    if isinstance(error, exceptions.ResponseError):
        said = str(error)
        return _BY_WORD.get(said.split(" ", 1)[0], f"the script failed: {said}")
    return _BY_CLASS[exceptions.TimeoutError if isinstance(error, TimeoutError) else exceptions.ConnectionError]


def was_cut(error: BaseException) -> bool:
    """Tell whether the connection broke under a batch: then the same batch is sent once more over another one."""
    named = (
        *(exceptions.BusyLoadingError, exceptions.AuthenticationError, exceptions.TimeoutError),
        MasterNotFoundError,
    )
    return isinstance(error, exceptions.ConnectionError | ConnectionError) and not isinstance(error, named)


class Link:
    """One connection for batches, whose server is known; a few for whoever only reads.

    Args:
        url: of a server or of Sentinels (see `Address`); may hold a password.
        prefix: what every key of the ledger begins with.
        silence: seconds a call may stay unanswered.
    """

    def __init__(self, url: Secret, prefix: str, silence: float = SILENCE) -> None:
        self.prefix = prefix
        self._address = Address(url, silence)
        self._batches = self._address.client(silence, single=True)
        self.readers = self._address.client(10 * silence)
        self.listeners = self._address.client(None)
        self._name, self._library = library()
        self._server: Server | None = None

    @classmethod
    async def open(cls, url: Secret, prefix: str, silence: float = SILENCE) -> Self:
        """Connect, and refuse a server on which the ledger would not be safe.

        Raises:
            StartError: says what is wrong and what mends it.
        """
        try:
            link = cls(url, prefix, silence)
        except (ValueError, OSError) as error:
            raise StartError(f"ledger.url is not the URL of a store: {url.scrub(str(error))}") from None
        try:
            server = await link.server()
        except FAILURES as error:
            await link.close()
            raise StartError(f"cannot open the ledger in the store: {meaning(error)}") from None
        if server.faults:
            await link.close()
            raise StartError("the store is not fit for a ledger: " + "; ".join(server.faults))
        for warning in server.warnings:
            log.warning("store", warning=warning)
        return link

    async def server(self) -> Server:
        """Return the process batches go to; asked once for each connection, for none outlives its process."""
        if self._server is None:
            if self._batches.connection is not None:
                # By itself it would go where it was, without asking Sentinels.
                await cast("Any", self._batches.connection).connect()
            info = await cast("Any", self._batches.info("everything"))
            try:
                said = await cast("Any", self._batches.config_get("appendfsync"))
            except exceptions.ResponseError:
                said = {}
            self._server = described(info, said.get("appendfsync"))
        return self._server

    async def run(self, request: Callable[[Server], bytes]) -> dict[str, Any]:
        """Run the script over the connection for batches.

        Raises:
            redis.exceptions.RedisError, OSError: the outcome is unknown, unless the server refused; see `meaning`.
        """
        try:
            return await self._evaluate(self._batches, request(await self.server()))
        except BaseException:
            self._server = None
            await cast("Any", self._batches.connection).disconnect(nowait=True)
            raise

    async def read(self, request: bytes) -> dict[str, Any]:
        """Run the script for somebody who only reads."""
        return await self._evaluate(self.readers, request)

    async def _evaluate(self, client: Redis, request: bytes) -> dict[str, Any]:
        try:
            raw = await cast("Any", client.fcall(self._name, 0, self.prefix, request))
        except exceptions.ResponseError as error:
            if "Function not found" not in str(error):
                raise
            await cast("Any", client.function_load(self._library, replace=True))
            raw = await cast("Any", client.fcall(self._name, 0, self.prefix, request))
        return cast("dict[str, Any]", msgpack.decode(raw))

    async def close(self) -> None:
        """Close every connection."""
        for client in (self._batches, self.readers, self.listeners):
            await client.aclose()
        await self._address.close()
