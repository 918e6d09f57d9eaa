"""What is wrong with a request is told by code, reason and field; nothing is held, sent or charged for it."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from fixtures.mesh_callers import ASKED, DEADLINE, Callers, prompt, refusal
from fixtures.sandbox_mesh import bare_environment
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit import status

INVALID = "invalid_request"
HUGE = f"{ASKED} " * (10 * 1024 * 1024 // (len(ASKED) + 1))


def call(**parts: Any) -> router_pb2.GenerateRequest:
    """Return a good request with some of its parts replaced."""
    return router_pb2.GenerateRequest(**{"prompt": prompt("hello"), **parts})


def intent(**fields: Any) -> router_pb2.GenerateRequest:
    return call(intent=router_pb2.Intent(**fields))


def sampling(**fields: Any) -> router_pb2.GenerateRequest:
    return call(prompt=prompt("hello", **fields))


def speaking(role: "chat_pb2.Role.ValueType", *parts: chat_pb2.Part) -> router_pb2.GenerateRequest:
    return call(prompt=chat_pb2.Prompt(messages=[chat_pb2.Message(role=role, parts=parts)]))


@dataclass(frozen=True)
class Bad:
    """A request over gRPC and what must be said of it."""

    name: str
    request: router_pb2.GenerateRequest | bytes
    field: str
    reason: str = "INVALID_REQUEST"
    code: str = "INVALID_ARGUMENT"


TEXT = chat_pb2.Part(text=chat_pb2.Text(text="hello"))
OVER_GRPC = [
    Bad("nothing at all", router_pb2.GenerateRequest(), "prompt.messages"),
    Bad("no messages", call(prompt=chat_pb2.Prompt()), "prompt.messages"),
    Bad("no words", speaking(chat_pb2.ROLE_USER), "prompt.messages[0].parts"),
    Bad("nobody speaks", speaking(chat_pb2.ROLE_UNSPECIFIED, TEXT), "prompt.messages[0].role"),
    Bad("only the operator speaks", speaking(chat_pb2.ROLE_SYSTEM, TEXT), "prompt.messages"),
    Bad("a prompt of 10 MB", call(prompt=prompt(HUGE)), "prompt.messages", "VENDOR_CONTEXT"),
    Bad("an unknown model", intent(model="gpt-nonesuch"), "intent.model", "UNKNOWN_MODEL", "NOT_FOUND"),
    Bad("an unknown use case", intent(use_case="nonesuch"), "intent.use_case", "UNKNOWN_USE_CASE", "NOT_FOUND"),
    Bad("an unknown vendor", intent(allow_vendors=["nonesuch"]), "intent.allow_vendors", "UNKNOWN_VENDOR"),
    Bad("an unknown requirement", intent(requirements=["telepathy"]), "intent.requirements"),
    Bad("a tier nobody knows", intent(tier=99), "intent.tier"),
    Bad("a negative cost", intent(max_cost_nanos=-1), "intent.max_cost_nanos"),
    Bad("negative tokens", sampling(max_output_tokens=-5), "prompt.sampling.max_output_tokens"),
    Bad("a huge number of answers", sampling(n=1_000_000), "prompt.sampling.n"),
    Bad("a hot temperature", sampling(temperature=float("inf")), "prompt.sampling.temperature"),
    Bad("no number for temperature", sampling(temperature=float("nan")), "prompt.sampling.temperature"),
    Bad("an id with a line break", call(request_id="a\nb"), "request_id"),
    Bad("bytes that are no message", b"\xff\xff\xff\xff", ""),
    Bad("a message cut short", prompt("hello").SerializeToString()[:-3], ""),
    Bad("text that is not UTF-8", b"\x0a\x02\xff\xfe", ""),
]


@pytest.mark.parametrize("bad", OVER_GRPC, ids=lambda bad: bad.name.replace(" ", "-"))
async def test_over_grpc(callers: Callers, bad: Bad) -> None:
    async with nothing_happened(callers):
        error = await refusal(_raw(callers.channel, "Generate", bad.request))
        assert (error.code, error.reason.value) == (bad.code, bad.reason)
        fields = [violation.field for violation in error.fields]
        assert bad.field in fields if bad.field else fields
        assert all(violation.description for violation in error.fields)


async def test_over_grpc_a_stream_is_refused_alike(callers: Callers) -> None:
    async with nothing_happened(callers):
        for bad in OVER_GRPC:
            stream = callers.channel.unary_stream(
                "/llmmesh.router.v1.RouterService/StreamGenerate",
                request_serializer=_bytes,
                response_deserializer=router_pb2.StreamGenerateResponse.FromString,
            )(bad.request, timeout=DEADLINE)
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                async for _ in stream:
                    pass
            error = status.from_rpc_error(raised.value)
            assert (error.code, error.reason.value) == (bad.code, bad.reason), bad.name


HELLO = {"messages": [{"role": "user", "content": "hello"}]}


@dataclass(frozen=True)
class BadBody:
    """A request over HTTP and what must be said of it."""

    name: str
    body: bytes
    status: int
    code: str
    param: str | None


def body(**parts: Any) -> bytes:
    return json.dumps({**HELLO, **parts}).encode()


OVER_HTTP = [
    BadBody("nothing at all", b"", 400, INVALID, "body"),
    BadBody("no JSON", b'{"messages": [', 400, INVALID, "body"),
    BadBody("no object", b"[]", 400, INVALID, "body"),
    BadBody("text that is not UTF-8", b'{"model": "\xff\xfe"}', 400, INVALID, "body"),
    BadBody("JSON a thousand levels deep", b"[" * 1000 + b"]" * 1000, 400, INVALID, "body"),
    BadBody("no messages", body(messages=[]), 400, INVALID, "messages"),
    BadBody("messages that are none", body(messages="hello"), 400, INVALID, "messages"),
    BadBody("nobody speaks", body(messages=[{"content": "hello"}]), 400, INVALID, "messages[0].role"),
    BadBody(
        "a prompt of 10 MB",
        body(messages=[{"role": "user", "content": HUGE}]),
        400,
        "vendor_context",
        "messages",
    ),
    BadBody(
        "a body of 13 MB",
        b" " * 13_000_000,
        413,
        "request_too_large",
        None,
    ),
    BadBody("an unknown model", body(model="gpt-nonesuch"), 404, "unknown_model", "model"),
    BadBody("an unknown use case", body(model="use_case:nonesuch"), 404, "unknown_use_case", "model"),
    BadBody(
        "an unknown vendor",
        body(llm_mesh={"deny_vendors": ["nonesuch"]}),
        400,
        "unknown_vendor",
        "llm_mesh.deny_vendors",
    ),
    BadBody("a tier nobody knows", body(llm_mesh={"tier": "golden"}), 400, INVALID, "llm_mesh.tier"),
    BadBody("negative tokens", body(max_tokens=-5), 400, INVALID, "max_tokens"),
    BadBody("a huge number of answers", body(n=1_000_000), 400, INVALID, "n"),
    BadBody("words for a temperature", body(temperature="hot"), 400, INVALID, "temperature"),
]


@pytest.mark.parametrize("bad", OVER_HTTP, ids=lambda bad: bad.name.replace(" ", "-"))
async def test_over_http(callers: Callers, bad: BadBody) -> None:
    async with nothing_happened(callers):
        headers = {"content-type": "application/json"}
        reply = await callers.http.post("/v1/chat/completions", content=bad.body, headers=headers)
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["param"]) == (bad.status, bad.code, bad.param)
        assert error["message"]


@asynccontextmanager
async def nothing_happened(callers: Callers) -> AsyncIterator[None]:
    """Check that no hold is open and no attempt was made, charged or seen by a vendor."""

    async def seen() -> Any:
        arrivals = {name: state["arrivals"] for name, state in (await callers.simulator.state()).items()}
        return arrivals, await callers.spend()

    before = await seen()
    yield
    assert await seen() == before
    assert (await callers.budgets()).open_holds == 0


TYPOS = {
    "vendors: {groq: {plam: {}}}\n": "mesh.yaml:1: vendors.groq.plam: unknown key",
    "timeouts:\n  conect: 3\n": "mesh.yaml:2: timeouts.conect: unknown key",
    "timeouts:\n  connect: soon\n": "mesh.yaml:2: timeouts.connect:",
    "use_cases:\n  talk:\n    candidates: {standard: [groq/gpt-nonesuch]}\n": "mesh.yaml:3: use_cases.talk.candidates",
    "a: [\n": "mesh.yaml:",
}


@pytest.mark.parametrize("text", TYPOS)
def test_a_configuration_with_a_typo_ends_the_start_with_file_line_and_key(tmp_path: Path, text: str) -> None:
    (tmp_path / "mesh.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "llm_mesh", "up", "--sandbox", "--ports", "auto", "--config", "mesh.yaml"],
        cwd=tmp_path,
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert TYPOS[text] in done.stderr
    assert "Traceback" not in done.stderr


def _raw(channel: grpc.aio.Channel, method: str, request: Any) -> Any:
    call = channel.unary_unary(
        f"/llmmesh.router.v1.RouterService/{method}",
        request_serializer=_bytes,
        response_deserializer=router_pb2.GenerateResponse.FromString,
    )
    return call(request, timeout=DEADLINE)


def _bytes(request: router_pb2.GenerateRequest | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()
