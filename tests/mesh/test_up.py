"""`llm-mesh up`: starts, tells, replaces, stops."""

import asyncio
import datetime as dt
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fixtures.eventually import eventually
from fixtures.shipped import shipped
from fixtures.up_program import all_gone, bare_environment, command, environment_of, running_mesh

from llm_mesh.made_up_keys import made_up_key

CATALOG = shipped()
KEYED = [vendor for vendor in CATALOG.vendors.values() if vendor.key_env]
MODEL = next(model.id for model in KEYED[0].models.values() if model.status == "active" and model.model_class == "chat")


async def get(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http, http.get(url) as answer:
        return answer.status, await answer.json()


def files_in(directory: Path | str) -> list[str]:
    return [file.name for file in Path(directory).glob("*")]


@pytest.mark.timeout(240)
async def test_a_sandbox_serves_every_vendor_without_a_key_and_replaces_a_service_that_dies(tmp_path: Path) -> None:
    async with running_mesh(tmp_path, "--sandbox") as mesh:
        # Everything is told on one line, and all of it is true.
        told = {vendor["id"]: vendor["status"] for vendor in mesh.ready["vendors"]}
        today = dt.datetime.now(dt.UTC).date()
        ended = {name for name, vendor in CATALOG.vendors.items() if vendor.retired_by(today)}
        assert told == {name: "retired" if name in ended else "active" for name in CATALOG.vendors}
        assert list(mesh.pids) == ["simulator", "quota", "providers", "router"]
        assert await get(f"{mesh.ready['edge']}/healthz") == (200, {"status": "ok"})

        # The commands work against it.
        answered = await mesh.command("chat", "Say hello.", "--tier", "free")
        assert answered.code == 0, answered.err
        assert "1. " in answered.out
        assert "cost: $0" in answered.out
        pinned = ("--model", f"{KEYED[0].id}/{MODEL}", "--tier", "premium")
        asked = (await mesh.command("chat", "--json", *pinned, "say: hello there")).json
        assert asked["text"] == "hello there", asked
        assert asked["route"]["vendor"] == KEYED[0].id
        explained = (await mesh.command("explain", "--json", "hello")).json
        assert explained["offers"]
        status = await mesh.command("status", "--json")
        assert (status.code, status.json["can_serve"]) == (0, True)
        assert sum(row["attempts"] for row in status.json["spent_today"]) == 2

        # A service that dies is replaced, and what it knew is known again.
        os.kill(mesh.pids["quota"], signal.SIGKILL)
        os.kill(mesh.pids["providers"], signal.SIGKILL)
        await eventually(lambda: mesh.said().count("is ready again") == 2, within=60)
        assert "quota ended (killed by SIGKILL); starting it again in 0.1 s" in mesh.said()
        async with asyncio.timeout(30):  # the router's channels reconnect within a second or so
            while (await mesh.command("chat", "--tier", "free", "Again.")).code:
                pass
        spent = (await mesh.command("status", "--json")).json["spent_today"]
        assert sum(row["attempts"] for row in spent) >= 3

        # SIGTERM stops everything and leaves nothing.
        assert await mesh.end() == 0
        await all_gone(mesh.pids)
        assert files_in(mesh.ready["logs"]) == []
    assert files_in(tmp_path) == ["up.err"]


@pytest.mark.timeout(120)
async def test_a_sandbox_works_behind_a_proxy_and_ctrl_c_stops_it(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    async with running_mesh(tmp_path, "--sandbox", http_proxy=nobody, https_proxy=nobody) as mesh:
        answered = await mesh.command("chat", "Say hello.", "--tier", "free")
        assert answered.code == 0, answered.err
        mesh.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            assert await mesh.process.wait() == 0
        await all_gone(mesh.pids)


@pytest.mark.timeout(180)
async def test_isolated_providers_have_their_own_key_alone_and_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    keys = {vendor.key_env[0]: made_up_key(vendor.key_format) for vendor in KEYED}
    nowhere = {f"MESH_{vendor}_ENDPOINT".upper(): "http://127.0.0.1:9" for vendor in CATALOG.vendors}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in keys.items()))
    async with running_mesh(tmp_path, "--isolated", **nowhere) as mesh:
        held = {name: sorted(keys.keys() & environment_of(pid).keys()) for name, pid in mesh.pids.items()}
        assert {name: found for name, found in held.items() if found} == {
            f"provider-{vendor.id}": [vendor.key_env[0]] for vendor in KEYED
        }
        local = [vendor["reason"] for vendor in mesh.ready["vendors"] if not CATALOG.vendors[vendor["id"]].key_env]
        assert all("unreachable" in reason for reason in local)
        logs = "".join(file.read_text() for file in (tmp_path / "var" / "log").iterdir())
        assert not [name for name, value in keys.items() if value in logs + mesh.said()]
        mesh.process.kill()
        await mesh.process.wait()
        await all_gone(mesh.pids)


@pytest.mark.timeout(120)
async def test_without_a_key_the_mesh_starts_and_says_of_every_vendor_why_it_is_inactive(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ORCHESTRATOR_API_KEY='callers only' # ours\nLOCAL_MODELS_ENABLED=false\n")
    async with running_mesh(tmp_path) as mesh:
        reasons = {vendor["id"]: vendor["reason"] for vendor in mesh.ready["vendors"]}
        assert all(reasons.values())
        assert reasons[KEYED[0].id] == f"no API key for {KEYED[0].id}"
        assert "router runs but is not ready: no vendor is active" in mesh.said()
        holders = [name for name, pid in mesh.pids.items() if "ORCHESTRATOR_API_KEY" in environment_of(pid)]
        assert sorted(holders) == ["quota", "router"]

        stranger = await mesh.command("status")
        assert (stranger.code, stranger.out) == (1, "")
        assert "MESH_API_KEY" in stranger.err
        friend = await mesh.command("status", "--json", MESH_API_KEY="callers only")
        assert (friend.code, friend.json["can_serve"]) == (1, False)


@pytest.mark.timeout(120)
async def test_a_service_that_cannot_start_ends_everything_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").mkdir()
    env = bare_environment(MESH_LEDGER_PATH=str(tmp_path / "ledger.db"))
    ended = await command("up", "--ports", "auto", env=env, cwd=tmp_path)
    assert ended.code == 1
    assert "quota ended before it was ready" in ended.err
    assert "ledger.db" in ended.err


@pytest.mark.product("P-CMD-16")
@pytest.mark.timeout(120)
async def test_the_demo_shows_the_main_job_and_ends_with_0() -> None:
    shown = await command("demo", env=bare_environment(), within=90)
    assert shown.code == 0, shown.err
    assert "not one too many" in shown.out
    assert "What was spent" in shown.out
    assert shown.out.rstrip().splitlines()[-1].startswith("Done in ")
