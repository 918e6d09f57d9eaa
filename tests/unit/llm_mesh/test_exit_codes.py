"""What the shell sees: exit codes, standard output and standard error of real processes."""

import asyncio
import json
import os
import pty
import signal
import socket
import sys

import pytest
from fixtures import fake_mesh
from fixtures.eventually import eventually
from llmmesh.router.v1 import router_pb2

from llm_mesh.ports import free_addresses
from meshkit.errors import MeshError, Reason

# A process starts in half a second; on a machine with much else to do in many.
PATIENCE = 90.0
# A shell that runs this test in the background has taught it to ignore Ctrl-C; a person's terminal has not. Said after
# the start and not by preexec_fn: between fork and exec the threads of gRPC can bring a process down.
HEARS_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, "-m", "llm_mesh", *sys.argv[1:]])
"""


async def start(*words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HEARS_CTRL_C,
        *words,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, "NO_COLOR": "1"},
    )


async def result(*words: str, typed: str = "") -> tuple[int, str, str]:
    process = await start(*words)
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(typed.encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_mesh_that_is_not_there_is_3_and_one_line() -> None:
    address = free_addresses(1)[0]
    code, out, err = await result("chat", "hi", "--address", address)
    assert (code, out) == (3, "")
    assert err.startswith(f"llm-mesh: cannot reach the mesh at {address}")
    assert err.count("\n") == 1


async def test_a_mesh_that_is_not_there_is_told_to_programs_on_standard_output() -> None:
    code, out, err = await result("status", "--json", "--address", free_addresses(1)[0])
    assert (code, err) == (3, "")
    assert json.loads(out)["error"]["reason"] == "UNREACHABLE"


async def test_wrong_usage_is_2() -> None:
    code, _, err = await result("chat", "hi", "--tier", "golden")
    assert code == 2
    assert "ultra_economy" in err


async def test_a_refusal_is_1_and_one_line() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        mesh.error = MeshError(Reason.UNAUTHENTICATED, "the caller's key is missing or wrong")
        code, out, err = await result("chat", "hi", "--address", mesh.address)
    assert (code, out) == (1, "")
    assert err == "llm-mesh: the caller's key is missing or wrong (put the key into the variable MESH_API_KEY)\n"


async def test_a_prompt_can_come_from_standard_input() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        code, out, _ = await result("chat", "-", "--quiet", "--address", mesh.address, typed="from a pipe")
        assert mesh.asked[0].prompt.messages[0].parts[0].text.text == "from a pipe"
    assert (code, out) == (0, "Hello, world.\n")


async def test_ctrl_c_cancels_the_call_says_what_was_received_and_is_130() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        mesh.hang_after = 3
        process = await start("chat", "hi", "--address", mesh.address)
        assert process.stdout is not None
        await process.stdout.readuntil(b"world")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            _, err = await process.communicate()
            await mesh.closed.wait()
    assert process.returncode == 130
    assert "interrupted; received 12 characters from alpha/a-1#1; the call was cancelled" in err.decode()


async def test_ctrl_c_in_a_comparison_cancels_all_prints_what_there_is_and_is_130() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        mesh.hang_after = 1
        process = await start("compare", "hi", "alpha/a-1", "beta/b-1", "--address", mesh.address)
        await eventually(lambda: mesh.asked != [])
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
    assert process.returncode == 130
    assert [line.split()[0] for line in out.decode().splitlines()] == ["model", "alpha/a-1", "beta/b-1"]
    assert err.decode() == "llm-mesh: interrupted; all calls were cancelled\n"


async def test_ctrl_c_in_a_check_prints_what_is_done_so_far_and_is_130() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        mesh.keys = [router_pb2.CheckVendorsResponse(vendor="alpha", slot=1, key="well_formed", accepted=True)]
        mesh.models = [
            router_pb2.Model(id=f"alpha/a-{number}", vendor="alpha", model=f"a-{number}", usable=True)
            for number in (1, 2)
        ]
        mesh.scripts["alpha/a-2"] = lambda _: asyncio.sleep(30)
        process = await start("vendors", "check", "--all-models", "--stream", "whole", "--address", mesh.address)
        await eventually(lambda: sum(isinstance(asked, router_pb2.GenerateRequest) for asked in mesh.asked) == 2)
        await asyncio.sleep(1)  # for the one answer to arrive
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()
    assert process.returncode == 130
    assert "alpha/a-1: ok" in out.decode()
    assert "Interrupted: 1 of 2 calls were made" in out.decode()


async def test_a_check_shows_its_progress_on_a_terminal_and_nowhere_else() -> None:
    async with fake_mesh.fake_mesh() as mesh:
        mesh.keys = [router_pb2.CheckVendorsResponse(vendor="alpha", slot=1, key="well_formed", accepted=True)]
        assert (await result("vendors", "check", "--address", mesh.address))[2] == ""
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "llm_mesh", "vendors", "check", "--address", mesh.address),
            stdout=asyncio.subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        )
        async with asyncio.timeout(PATIENCE):
            out, _ = await process.communicate()
        os.close(theirs)
        shown = os.read(ours, 65_536).decode()
        os.close(ours)
    assert process.returncode == 0
    assert "keys" in shown
    assert "1/?" in shown
    assert "keys" not in out.decode()


async def test_up_with_a_port_in_use_says_so_before_anything_starts() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = await result("up", "--sandbox", "--ports", "auto", "--edge", f"127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert f"port {port} is in use, and the HTTP edge needs it" in err
    assert "--edge HOST:PORT" in err


@pytest.mark.parametrize("service", [["router"], ["quota"], ["provider", "groq"]])
async def test_a_service_with_a_wrong_configuration_says_where_it_is_wrong(
    service: list[str], tmp_path: object
) -> None:
    config = tmp_path / "mesh.yaml"  # type: ignore[operator]
    config.write_text("tiers:\n  golden: 1\n")
    code, _, err = await result("serve", *service, "--config", str(config))
    assert code == 1
    assert f"{config}:2: tiers.golden: unknown key" in err


async def test_an_unknown_vendor_to_serve_is_wrong_usage() -> None:
    code, _, err = await result("serve", "provider", "nobody")
    assert code == 2
    assert "groq" in err


async def test_a_served_quota_service_stops_on_sigterm_with_0(tmp_path: object) -> None:
    grpc, admin = free_addresses(2)
    environment = {"MESH_QUOTA_ADDRESS": grpc, "MESH_QUOTA_ADMIN": admin, "MESH_LEDGER_PATH": f"{tmp_path}/ledger.db"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "llm_mesh", "serve", "quota", env={**os.environ, **environment}
    )
    host, _, port = admin.rpartition(":")

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    await eventually(answers)
    process.terminate()
    async with asyncio.timeout(PATIENCE):
        assert await process.wait() == 0
