"""What is no HTTP request is refused as all else is, and neither its bytes nor our insides are shown or logged."""

import asyncio
import json
from typing import Any

import pytest
from fixtures.fake_router import FakeRouter
from multidict import CIMultiDict

from router_service.edge.server import EdgeServer

SECRET = b"mesh_0123456789ab_secret"
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + SECRET
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
REFUSED: list[tuple[bytes, int, str]] = [
    (SECRET + b"\r\n\r\n", 400, "malformed_http"),
    (GET + b"\x00\r\n\r\n", 400, "malformed_http"),
    (GET + b"\r\nContent-Length: " + SECRET + b"\r\n\r\n", 400, "malformed_http"),
    (GET + SECRET * 500 + b"\r\n\r\n", 431, "headers_too_large"),
    (b"GET /" + SECRET * 500 + b" HTTP/1.1\r\n\r\n", 431, "headers_too_large"),
    (CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + SECRET + b"\r\n", 400, "malformed_http"),
    (CHAT + b"Expect: " + SECRET + b"\r\n\r\n", 417, "http_error"),
]


async def answered(edge: EdgeServer, content: bytes) -> tuple[int, CIMultiDict[str], bytes]:
    """Send bytes; return status, headers and body of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    async with asyncio.timeout(30):
        writer.write(content)
        answer = await reader.read(-1)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines[1:]]
    return int(lines[0].split()[1]), CIMultiDict((name, value) for name, value in pairs), body


@pytest.mark.parametrize(("content", "status", "code"), REFUSED)
async def test_it_has_the_shape_of_a_refusal_and_nothing_of_what_was_sent(
    content: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    async with EdgeServer("127.0.0.1:0", FakeRouter()) as edge:
        found, headers, body = await answered(edge, content)
    error = json.loads(body)["error"]
    assert (found, error["code"], error["type"]) == (status, code, "invalid_request_error")
    assert headers["x-request-id"] == error["llm_mesh"]["request_id"]
    assert SECRET[-10:] not in body
    assert (caplog.records, *capsys.readouterr()) == ([], "", "")


async def test_a_body_damaged_behind_its_refusal_is_no_defect(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = (
        b"POST /nonesuch HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip!!"
    )
    async with EdgeServer("127.0.0.1:0", FakeRouter()) as edge:
        status, _, _ = await answered(edge, damaged)
    assert status == 404
    assert (caplog.records, *capsys.readouterr()) == ([], "", "")


async def test_every_answer_says_who_answers_but_not_with_which_libraries() -> None:
    async with EdgeServer("127.0.0.1:0", FakeRouter()) as edge:
        for content in (GET + b"\r\nConnection: close\r\n\r\n", b"nonsense\r\n\r\n", CHAT + b"\r\n"):
            _, headers, _ = await answered(edge, content)
            assert headers["Server"] == "llm-mesh"


async def test_a_defect_outside_all_that_is_ours_shows_and_logs_its_place_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError(SECRET.decode())

    monkeypatch.setattr("router_service.edge.boundary._route", broken)
    async with EdgeServer("127.0.0.1:0", FakeRouter()) as edge:
        status, _, body = await answered(edge, GET + b"\r\nConnection: close\r\n\r\n")
    assert (status, json.loads(body)["error"]["type"]) == (500, "server_error")
    told = "".join((body.decode(), caplog.text, *capsys.readouterr()))
    assert SECRET[-10:].decode() not in told
    assert '"event":"defect"' in told
    assert "Traceback" not in told
