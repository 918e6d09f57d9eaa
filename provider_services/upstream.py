"""The only HTTP to vendors: one endpoint, reused connections, no redirects, and a cap on everything that comes back."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property, lru_cache
from types import TracebackType
from typing import Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from meshkit.errors import MeshError, Reason
from meshkit.secret import Secret
from provider_services import failures
from provider_services.dialects.interface import HttpRequest
from provider_services.watch import Patience, Silent, Watch

WHOLE_CAP = 16 * 1024 * 1024
STREAM_CAP = 64 * 1024 * 1024
CONNECTIONS = 1000  # as many as one server lets calls in at a time
KEEP_ALIVE = 15.0  # seconds; shorter than any vendor's own, so that a reused connection is a living one
USER_AGENT = "llm-mesh"
# Faults before anything of the request can have left: name, connection, TLS, the proxy's refusal to connect.
UNSENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ClientSSLError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


class Response:
    """An answer that has begun; its body is read once, whole or in pieces, decompressed and capped."""

    def __init__(self, http: httpx.Response, watch: Watch) -> None:
        assert isinstance(http.stream, httpx.AsyncByteStream)  # noqa: S101 - for the type checker
        self._body = http.stream
        self._raw_headers = http.headers.raw
        self._watch = watch
        self.status = http.status_code

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case; of repeated ones the last."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._raw_headers}

    def progress(self) -> None:
        """Note that what was read held content: the idle limit begins anew."""
        self._watch.progress()

    async def chunks(self, cap: int = STREAM_CAP) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        source = aiter(self._body)
        unpack = _unpacker(self.headers.get("content-encoding", ""), cap)
        while True:
            try:
                raw = await self._watch.wait(anext(source))
            except StopAsyncIteration:
                break
            if data := unpack(raw):
                yield data

    async def read(self, cap: int = WHOLE_CAP) -> bytes:
        """Return the whole body."""
        return b"".join([chunk async for chunk in self.chunks(cap)])


class Upstream:
    """Calls one endpoint of one vendor.

    Args:
        endpoint: the URL that request paths are put below.
        headers: sent with every request.
        key_header: the header that carries the key; "authorization" makes it a bearer token.
        proxy: the proxy's URL, or None.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        key_header: str = "authorization",
        proxy: str | None = None,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._headers = {"user-agent": USER_AGENT, **(headers or {})}
        self._key_header = key_header
        self._proxy = httpx.Proxy(proxy) if proxy else None
        self._url = lru_cache(maxsize=256)(lambda path: httpx.URL(self._endpoint + path))
        self.host = httpx.URL(endpoint).host

    async def __aenter__(self) -> Self:
        # The transport alone, without httpx's client around it: no redirect, cookie or retry can happen by accident.
        self._transport = AiohttpTransport(client=self._session, proxy=self._proxy, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def open(self, request: HttpRequest, key: Secret | None, patience: Patience) -> AsyncIterator[Response]:
        """Send a request and wait for the answer to begin; leaving closes the connection unless the body was read.

        Raises:
            MeshError: VENDOR_UNREACHABLE, VENDOR_SILENT or VENDOR_INCOMPLETE with an AttemptFailure, here or while the
                body is read.
        """
        watch, began = Watch(patience), False
        try:
            sent = self._transport.handle_async_request(self._build(request, key, patience))
            http, began = await watch.wait(sent), True
            try:
                yield Response(http, watch)
            finally:
                await http.aclose()
        except Silent as silence:
            raise failures.failure(Reason.VENDOR_SILENT, silence.message, failures.UNKNOWN) from None
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as fault:
            raise self._broken(fault, unanswered=not began) from None
        finally:
            watch.close()

    def _build(self, request: HttpRequest, key: Secret | None, patience: Patience) -> httpx.Request:
        headers = {**self._headers, "accept": request.accept, "accept-encoding": "gzip, deflate"}
        if request.body:
            headers["content-type"] = "application/json"
        if key is not None:
            bearer = self._key_header == "authorization"
            headers[self._key_header] = f"Bearer {key.reveal()}" if bearer else key.reveal()
        # "pool" bounds name, connection and TLS together; reading is bounded by the watch.
        limits = {"connect": patience.connect, "pool": patience.connect, "read": None, "write": None}
        return httpx.Request(
            request.method,
            self._url(request.path),
            headers=headers,
            content=request.body or None,
            extensions={"timeout": limits},
        )

    def _broken(self, fault: Exception, *, unanswered: bool) -> MeshError:
        cause = fault.__cause__ or fault
        if isinstance(cause, UNSENT):
            return failures.failure(Reason.VENDOR_UNREACHABLE, f"{self.host}: {_why(cause)}", failures.NOTHING)
        told = f"{self.host} broke the connection off: {type(cause).__name__}"
        return failures.failure(Reason.VENDOR_INCOMPLETE, told, failures.UNKNOWN, unanswered=unanswered)

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE, ssl=self._transport.ssl_context
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _why(cause: BaseException) -> str:
    # Not the exception's own text: it may hold a URL.
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(cause, aiohttp.ClientSSLError):
        return "TLS failed"
    if isinstance(cause, aiohttp.ConnectionTimeoutError | asyncio.TimeoutError):
        return "no connection in time"
    if isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return "the proxy does not connect"
    return "connection refused or impossible"


class _Unpacker:
    """Decompresses a body piece by piece, never beyond the cap."""

    def __init__(self, cap: int, inflater: "zlib._Decompress | None") -> None:
        self._room = cap
        self._inflater = inflater

    def __call__(self, raw: bytes) -> bytes:
        data = raw if self._inflater is None else self._inflate(raw)
        self._room -= len(data)
        if self._room < 0:
            raise failures.failure(
                Reason.VENDOR_SERVER, "the vendor's answer is larger than any answer may be", failures.UNKNOWN
            )
        return data

    def _inflate(self, raw: bytes) -> bytes:
        assert self._inflater is not None  # noqa: S101 - for the type checker
        try:
            return self._inflater.decompress(raw, self._room + 1)
        except zlib.error:
            raise failures.failure(
                Reason.VENDOR_SERVER, "the vendor's answer is badly compressed", failures.UNKNOWN
            ) from None


def _unpacker(encoding: str, cap: int) -> _Unpacker:
    match encoding.strip().lower():
        case "" | "identity":
            return _Unpacker(cap, None)
        case "gzip" | "x-gzip" | "deflate":
            return _Unpacker(cap, zlib.decompressobj(wbits=47))  # 32 + 15: gzip or zlib, told by the first bytes
        case _:
            raise failures.failure(
                Reason.VENDOR_SERVER, "the vendor compressed its answer in an unknown way", failures.UNKNOWN
            )
