"""A vendor is one row, a dialect is one file, and the simulator is a witness that shares no code with the mesh."""

import ast
import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from provider_services.simulator import rows as rows_module
from provider_services.simulator.rows import AuthRow, ModelRow, VendorRow, load_rows
from provider_services.simulator.running import running_simulator

SIMULATOR = Path(rows_module.__file__).parent
STRANGERS = (
    "provider_services.dialects",
    "catalog",
    "meshkit",
    "router_service",
    "quota_service",
    "llm_mesh",
    "llmmesh",
)


def test_the_simulator_imports_nothing_of_the_mesh_it_watches():
    for path in SIMULATOR.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.startswith(STRANGERS)], path.name


async def test_a_new_vendor_is_one_row():
    row = VendorRow(
        name="newcomer",
        dialect="openai",
        prefix="/api/v7",
        auth=AuthRow(header="api-key", pattern="^new-"),
        models=(ModelRow(id="big-one"),),
        model_any=True,
    )
    sent = {"model": "anything-at-all", "messages": [{"role": "user", "content": "say: hi"}]}
    async with running_simulator((row,)) as sim, httpx.AsyncClient(timeout=5) as client:
        url = f"{sim.base_url('newcomer')}/api/v7/chat/completions"
        reply = await client.post(url, json=sent, headers={"api-key": "new-1"})
        assert reply.json()["choices"][0]["message"]["content"] == "hi"
        assert (await sim.state("newcomer"))["admitted"] == 1


def test_a_file_of_overrides_is_laid_over_the_rows(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("vendors: {groq: {latency: {first_token_ms: 1}, limits: []}}")
    groq = next(row for row in load_rows(path) if row.name == "groq")
    assert (groq.latency.first_token_ms, groq.latency.token_ms, groq.limits) == (1, 3, ())
    assert groq.model("openai/gpt-oss-20b") is not None


def test_more_models_are_hosted_beside_those_of_the_row(tmp_path):
    path = tmp_path / "mine.yaml"
    more = "more_models: [{id: new-one, context: 5}, {id: gpt-4o, context: 5}]"
    path.write_text(f"vendors: {{openai: {{{more}}}, nobody: {{more_models: []}}}}")
    rows = {row.name: row for row in load_rows(path)}
    new, known = rows["openai"].model("new-one"), rows["openai"].model("gpt-4o")
    assert (new and new.context, known and known.context) == (5, 128_000)
    assert "nobody" not in rows


@pytest.mark.parametrize("text", ["vendors: {groq: {colour: red}}", "vendors: {new: {dialect: openai}}", "- 1"])
def test_a_bad_row_is_an_error_that_says_where(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(msgspec.ValidationError):
        load_rows(path)


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "provider_services.simulator",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=SIMULATOR.parents[1],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


async def test_it_runs_as_a_program_and_stops_when_told_to():
    program = await started("--port", "0", "--no-latency")
    try:
        line = (await asyncio.wait_for(program.stdout.readline(), 20)).decode()
        address = line.split()[1]
        async with httpx.AsyncClient(timeout=5) as client:
            reply = await client.get(f"{address}/_control/vendors")
            assert set(reply.json()) >= {"openai", "groq", "gemini", "ollama"}
        program.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(program.wait(), 10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()


async def test_a_bad_configuration_is_told_in_one_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("vendors: {groq: {latency: {first_token_ms: -1}}}")
    program = await started("--config", str(path))
    _, errors = await asyncio.wait_for(program.communicate(), 20)
    assert program.returncode == 2
    assert len(errors.decode().splitlines()) == 1
