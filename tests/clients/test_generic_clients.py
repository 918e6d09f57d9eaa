"""Programs that know nothing of us: curl over HTTP, and over gRPC what asks the mesh itself how it is spoken to."""

import json
import shutil
import subprocess

import pytest
from fixtures.acceptance import CALLER_KEY
from fixtures.sandbox_mesh import ROOT, SandboxMesh

from tools.real_programs import find

BUF, CURL = find("buf"), shutil.which("curl")
ROUTER = "llmmesh.router.v1.RouterService"
PROMPT = {"messages": [{"role": "ROLE_USER", "parts": [{"text": {"text": "say: hello"}}]}]}
ASKED = {"intent": {"model": "openai/gpt-4o-mini"}, "prompt": PROMPT}
with_buf = pytest.mark.skipif(not BUF, reason="buf is not installed: make test-real")
pytestmark = pytest.mark.real


def ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def buf_curl(
    mesh: SandboxMesh, *words: str, method: str = "", key: str = CALLER_KEY
) -> subprocess.CompletedProcess[str]:
    """Ask by `buf curl`, which is used as grpcurl is."""
    options = ("--protocol", "grpc", "--http2-prior-knowledge", "-H", f"authorization: Bearer {key}")
    return ran(str(BUF), "curl", *options, *words, f"http://{mesh.router}/{method}".rstrip("/"))


@with_buf
def test_the_methods_are_listed_by_reflection(keyed: SandboxMesh) -> None:
    listed = buf_curl(keyed, "--reflect", "--list-methods").stdout.split()
    assert {f"{ROUTER}/Generate", f"{ROUTER}/StreamGenerate", "grpc.health.v1.Health/Check"} <= set(listed)


@with_buf
@pytest.mark.parametrize("how", [("--reflect",), ("--schema", str(ROOT / "protos"))], ids=["reflection", "protos"])
def test_it_asks_by_reflection_and_by_the_protos(keyed: SandboxMesh, how: tuple[str, ...]) -> None:
    whole = buf_curl(keyed, *how, "-d", json.dumps(ASKED), method=f"{ROUTER}/Generate")
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["completion"]["choices"][0]["parts"] == [{"text": {"text": "hello"}}]
    streamed = buf_curl(keyed, *how, "-d", json.dumps(ASKED), method=f"{ROUTER}/StreamGenerate")
    assert streamed.returncode == 0, streamed.stderr
    assert '"finish"' in streamed.stdout


@with_buf
def test_it_is_told_that_its_key_is_wrong(keyed: SandboxMesh) -> None:
    refused = buf_curl(keyed, "--schema", str(ROOT / "protos"), method=f"{ROUTER}/GetHealth", key="wrong")
    assert refused.returncode != 0
    assert json.loads(refused.stderr)["code"] == "unauthenticated"


@pytest.mark.skipif(not CURL, reason="curl is not installed (Debian, Ubuntu: apt install curl)")
@pytest.mark.product("P-HTTP-23")
def test_curl_needs_a_key_and_nothing_else(keyed: SandboxMesh) -> None:
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "say: hello"}]}
    asking = ("curl", "-sN", f"{keyed.edge}/v1/chat/completions", "-H", f"Authorization: Bearer {CALLER_KEY}", "-d")
    whole = json.loads(ran(*asking, json.dumps(body)).stdout)
    assert whole["choices"][0]["message"]["content"] == "hello"
    streamed = ran(*asking, json.dumps({**body, "stream": True})).stdout
    assert streamed.startswith("data: {")
    assert streamed.endswith("data: [DONE]\n\n")
