"""The one way to a vendor: real sockets, every limit, every way to break."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from fixtures.eventually import eventually
from fixtures.vendor_server import Handler, http_vendor, raw_vendor
from llmmesh.provider.v1.provider_pb2 import AttemptFailure

from meshkit.errors import MeshError, Reason
from meshkit.secret import Secret
from provider_services.dialects.interface import HttpRequest
from provider_services.upstream import Response, Upstream
from provider_services.watch import Patience

POST = HttpRequest("POST", "/chat", b'{"a":1}')
GET = HttpRequest("GET", "/models")
PATIENT = Patience(connect=5, first=5, idle=5, total=20)
NOTHING, UNKNOWN = AttemptFailure.SENT_NOTHING, AttemptFailure.SENT_UNKNOWN


@asynccontextmanager
async def calling(
    url: str, request: HttpRequest = POST, patience: Patience = PATIENT, key: Secret | None = None, **fields: Any
) -> AsyncIterator[Response]:
    async with Upstream(url, **fields) as upstream, upstream.open(request, key, patience) as response:
        yield response


async def whole(url: str, patience: Patience = PATIENT, **fields: Any) -> bytes:
    async with calling(url, patience=patience, **fields) as response:
        return await response.read()


async def drained(url: str, patience: Patience) -> None:
    """Read a stream to its end; every chunk with a star in it is content."""
    async with calling(url, patience=patience) as response:
        async for chunk in response.chunks():
            if b"*" in chunk:
                response.progress()


def sent(error: MeshError) -> AttemptFailure.Sent.ValueType:
    detail = error.detail(AttemptFailure)
    assert detail is not None
    return detail.sent


async def test_a_request_arrives_whole_with_its_key_in_a_header_and_nowhere_else() -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        assert await request.read() == b'{"a":1}'
        return web.Response(body=b"{}", headers={"X-Rate": "7", "Set-Cookie": "a=b"})

    async with http_vendor(handler) as url, Upstream(url + "/v1/", headers={"x-app": "m"}) as upstream:
        for _ in range(2):
            async with upstream.open(POST, Secret("sk-1"), PATIENT) as response:
                assert (response.status, response.headers["x-rate"]) == (200, "7")
                assert await response.read() == b"{}"
    request = seen[1]
    assert request.path_qs == "/v1/chat"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["content-type"] == "application/json"
    assert (request.headers["x-app"], request.headers["user-agent"]) == ("m", "llm-mesh")
    assert "cookie" not in request.headers
    assert "traceparent" not in request.headers


async def test_a_vendors_own_key_header_carries_the_key_bare() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert "authorization" not in request.headers
        return web.Response(text=request.headers["x-goog-api-key"])

    async with http_vendor(handler) as url:
        assert await whole(url, key=Secret("k"), key_header="x-goog-api-key") == b"k"


async def test_connections_are_reused_after_a_body_was_read() -> None:
    ports = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async with http_vendor(handler) as url, Upstream(url) as upstream:
        for _ in range(5):
            async with upstream.open(POST, None, PATIENT) as response:
                await response.read()
    assert len(ports) == 1


async def test_a_redirect_is_not_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/chat"
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    async with http_vendor(handler) as url, calling(url) as response:
        assert response.status == 307


def refused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    "url",
    [f"http://127.0.0.1:{refused_port()}", "http://no-such-host.invalid", "http://[::1]:1"],
    ids=["refused", "unknown name", "refused IPv6"],
)
async def test_a_vendor_that_cannot_be_reached_was_sent_nothing(url: str) -> None:
    with pytest.raises(MeshError) as error:
        await whole(url)
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_UNREACHABLE, NOTHING)


async def test_a_vendor_whose_tls_fails_was_sent_nothing_and_is_never_called_in_the_clear() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(3)
        assert hello[0] == 22  # a TLS handshake, not a request
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()

    async with raw_vendor(plain) as url:
        with pytest.raises(MeshError) as error:
            await whole(url.replace("http:", "https:"))
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_UNREACHABLE, NOTHING)


async def test_a_certificate_nobody_signed_is_refused_before_anything_is_sent(tmp_path: Any) -> None:
    certificate, arrived = tmp_path / "cert.pem", asyncio.Event()
    made = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=127.0.0.1", "-days", "1", "-keyout", str(certificate) + ".key", "-out", str(certificate)),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, str(certificate) + ".key")

    async def secure(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        writer.close()

    server = await asyncio.start_server(secure, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MeshError) as error:
            await whole(f"https://127.0.0.1:{port}")
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_UNREACHABLE, NOTHING)
    assert not arrived.is_set()


async def test_no_connection_within_its_limit_was_sent_nothing() -> None:
    with socket.socket() as full:  # a backlog of one that nobody empties: further connections wait
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        with pytest.raises(MeshError) as error:
            await whole(f"http://127.0.0.1:{address[1]}", Patience(connect=0.1, first=5, idle=5, total=5))
        for filler in fillers:
            filler.close()
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_UNREACHABLE, NOTHING)


async def test_silence_before_the_first_byte_ends_at_the_first_token_limit_and_may_have_been_spent() -> None:
    async def handler(_request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with http_vendor(handler) as url:
        with pytest.raises(MeshError) as error:
            await whole(url, Patience(connect=5, first=0.05, idle=5, total=5))
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_SILENT, UNKNOWN)


def dripping(*pieces: bytes, every: float = 0.02, forever: bytes = b"") -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(every)
        while forever:
            await response.write(forever)
            await asyncio.sleep(every)
        return response

    return handler


async def test_comments_are_no_progress_so_the_first_token_limit_ends_them() -> None:
    async with http_vendor(dripping(forever=b": ping\n\n")) as url:
        with pytest.raises(MeshError) as error:
            await drained(url, Patience(connect=5, first=0.1, idle=5, total=5))
    assert error.value.reason is Reason.VENDOR_SILENT
    assert "no content" in error.value.message


async def test_pings_after_content_end_at_the_idle_limit() -> None:
    async with http_vendor(dripping(b"*", b"*", forever=b": ping\n\n")) as url:
        with pytest.raises(MeshError) as error:
            await drained(url, Patience(connect=5, first=5, idle=0.1, total=5))
    assert error.value.reason is Reason.VENDOR_SILENT
    assert "silent" in error.value.message


async def test_steady_content_outlives_the_first_token_and_idle_limits() -> None:
    async with http_vendor(dripping(*[b"*"] * 12)) as url:
        await drained(url, Patience(connect=5, first=0.15, idle=0.15, total=5))


async def test_the_total_limit_ends_even_a_steady_stream() -> None:
    async with http_vendor(dripping(forever=b"*")) as url:
        with pytest.raises(MeshError) as error:
            await drained(url, Patience(connect=5, first=5, idle=5, total=0.15))
    assert "not whole" in error.value.message


async def test_a_slow_reader_of_ours_is_not_the_vendors_silence() -> None:
    async with (
        http_vendor(dripping(b"*", b"*", every=0.15)) as url,
        calling(url, patience=Patience(connect=5, first=0.3, idle=0.3, total=5)) as response,
    ):
        async for _chunk in response.chunks():
            response.progress()
            await asyncio.sleep(0.4)  # longer than the idle limit, spent by us


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        b"this is not HTTP\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_may_have_been_spent(answer: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(answer)
        await writer.drain()

    async with raw_vendor(broken) as url:
        with pytest.raises(MeshError) as error:
            await whole(url)
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_INCOMPLETE, UNKNOWN)
    detail = error.value.detail(AttemptFailure)
    assert detail is not None
    assert detail.unanswered == (b"half" not in answer)  # what comes with the first line is read with it


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_compressed_answer_is_unpacked(pack: Any) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["accept-encoding"]
        name = "gzip" if pack is gzip.compress else "deflate"
        return web.Response(body=pack(b"hello " * 99), headers={"Content-Encoding": name})

    async with http_vendor(handler) as url:
        assert await whole(url) == b"hello " * 99


async def test_a_bomb_is_cut_at_the_cap_of_unpacked_bytes() -> None:
    bomb = gzip.compress(bytes(40 * 1024 * 1024))
    assert len(bomb) < 50_000

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with http_vendor(handler) as url:
        with pytest.raises(MeshError) as error:
            await whole(url)
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_SERVER, UNKNOWN)


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"no gzip at all"), ("br", b"x")])
async def test_a_badly_compressed_answer_is_the_vendors_fault(encoding: str, body: bytes) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": encoding})

    async with http_vendor(handler) as url:
        with pytest.raises(MeshError) as error:
            await whole(url)
    assert error.value.reason is Reason.VENDOR_SERVER


async def test_a_proxy_carries_every_call() -> None:
    through: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        through.append(head.split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()

    async with raw_vendor(proxy) as url:
        assert await whole("http://api.acme.invalid/v1", proxy=url) == b"ok"
    assert through == ["POST http://api.acme.invalid/v1/chat HTTP/1.1"]


async def test_a_proxy_that_refuses_to_connect_let_nothing_through() -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_vendor(proxy) as url:
        with pytest.raises(MeshError) as error:
            await whole("https://api.acme.invalid/v1", proxy=url)
    assert (error.value.reason, sent(error.value)) == (Reason.VENDOR_UNREACHABLE, NOTHING)


async def test_a_cancelled_caller_closes_the_connection_at_once() -> None:
    gone = asyncio.Event()
    begun = asyncio.Event()

    async def handler(_request: web.Request) -> web.Response:
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            gone.set()
        return web.Response()

    async with http_vendor(handler) as url:
        task = asyncio.create_task(whole(url))
        await begun.wait()
        task.cancel()
        async with asyncio.timeout(0.2):
            await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_leaving_a_stream_early_closes_the_connection_at_once() -> None:
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await dripping(forever=b"*")(request)
        finally:
            gone.set()

    async with http_vendor(handler) as url:
        async with calling(url) as response:
            async for _chunk in response.chunks():
                break
        await eventually(gone.is_set, within=0.2)


async def test_no_error_shows_a_key_or_a_url() -> None:
    secret = Secret("sk-canary")
    with pytest.raises(MeshError) as error:
        await whole("http://no-such-host.invalid/path?x=1", key=secret)
    assert "canary" not in repr(error.value) + str(error.value)
    assert "path" not in error.value.message
    assert error.value.__cause__ is None
