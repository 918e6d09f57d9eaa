"""The supervisor, over real processes that are small."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fixtures.eventually import eventually

from llm_mesh.child import Child
from llm_mesh.children import ChildPlan
from llm_mesh.ports import free_addresses
from llm_mesh.readiness import Probe
from llm_mesh.supervisor import Supervisor, Timings
from meshkit.errors import StartError

PAGE = """
import http.server, json, os, signal, sys
name, port, status, stubborn, log = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
def end(*_):
    with open(log, "a") as file:
        file.write(name + "\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn == "stubborn" else end)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"reason": "no vendor is active"}).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", port), Page).serve_forever()
"""
QUICK = Timings(start=20, unready=0.2, first_restart=0.02, last_restart=0.08, steady=60, grace=0.3)


def plan(name: str, tmp_path: Path, *, status: int = 200, stubborn: bool = False) -> ChildPlan:
    address = free_addresses(1)[0]
    words = (name, address.rpartition(":")[2], str(status), "stubborn" if stubborn else "", str(tmp_path / "ends"))
    return ChildPlan(name, (sys.executable, "-c", PAGE, *words), f"http://{address}/readyz", dict(os.environ))


def broken(words: str) -> ChildPlan:
    code = f"import sys; print('llm-mesh: {words}', file=sys.stderr); sys.exit(1)"
    return ChildPlan("broken", (sys.executable, "-c", code), "http://127.0.0.1:1/readyz", {})


class Run:
    """A supervisor and what it said."""

    def __init__(self, supervisor: Supervisor, said: list[str], waiting: list[list[str]]) -> None:
        self.supervisor, self.said, self.waiting = supervisor, said, waiting


@asynccontextmanager
async def supervised(tmp_path: Path, *plans: ChildPlan, timings: Timings = QUICK) -> AsyncIterator[Run]:
    said: list[str] = []
    waiting: list[list[str]] = []
    async with Probe() as probe:
        children = [Child(child, tmp_path / f"{child.name}.log") for child in plans]
        supervisor = Supervisor(children, probe, said.append, lambda names: waiting.append(list(names)), timings)
        try:
            yield Run(supervisor, said, waiting)
        finally:
            await supervisor.stop()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_start_returns_when_every_process_is_ready(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("one", tmp_path), plan("two", tmp_path)) as run:
        await run.supervisor.start()
        assert run.waiting[0] == ["one", "two"]
        assert run.waiting[-1] == []
        assert set(run.supervisor.pids()) == {"one", "two"}
        assert not run.said


async def test_processes_stop_in_reverse_order(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("first", tmp_path), plan("second", tmp_path)) as run:
        await run.supervisor.start()
        pids = run.supervisor.pids().values()
    assert (tmp_path / "ends").read_text().split() == ["second", "first"]
    assert all(gone(pid) for pid in pids)


async def test_a_process_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("one", tmp_path), broken("mesh.yaml:3: unknown key")) as run:
        with pytest.raises(StartError) as caught:
            await run.supervisor.start()
        pids = run.supervisor.pids()
    assert "broken ended before it was ready (exit status 1)" in str(caught.value)
    assert "mesh.yaml:3: unknown key" in str(caught.value)
    assert gone(pids["one"])


async def test_a_process_that_never_answers_is_given_up(tmp_path: Path) -> None:
    silent = ChildPlan("silent", (sys.executable, "-c", "import time; time.sleep(60)"), "http://127.0.0.1:1/", {})
    async with supervised(tmp_path, silent, timings=Timings(start=0.3, grace=0.3)) as run:
        with pytest.raises(StartError, match=r"silent was not ready within 0\.3 s: it does not answer"):
            await run.supervisor.start()


async def test_a_process_that_runs_but_cannot_become_ready_is_kept_and_told(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("one", tmp_path), plan("router", tmp_path, status=503)) as run:
        await run.supervisor.start()
        assert run.said == ["router runs but is not ready: no vendor is active"]


async def test_a_killed_process_is_started_again_and_it_is_said(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("one", tmp_path)) as run:
        await run.supervisor.start()
        first = run.supervisor.pids()["one"]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: any("is ready again" in line for line in run.said))
        assert run.supervisor.pids()["one"] != first
        assert run.said[0] == "one ended (killed by SIGKILL); starting it again in 0.02 s"


async def test_the_wait_before_a_restart_grows_up_to_a_bound(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("one", tmp_path)) as run:
        await run.supervisor.start()

        def waits() -> list[str]:
            return [line.rpartition(" in ")[2] for line in run.said if "starting it again" in line]

        for number in range(1, 5):
            os.kill(run.supervisor.pids()["one"], signal.SIGKILL)
            await eventually(lambda: len(waits()) == number)  # noqa: B023 - awaited within the round
            await eventually(lambda: run.said[-1].startswith("one is ready again"))
        assert waits() == ["0.02 s", "0.04 s", "0.08 s", "0.08 s"]


async def test_a_process_that_lived_long_starts_again_with_the_first_wait(tmp_path: Path) -> None:
    timings = Timings(first_restart=0.02, last_restart=0.08, steady=0.0, grace=0.3)
    async with supervised(tmp_path, plan("one", tmp_path), timings=timings) as run:
        await run.supervisor.start()
        for number in (1, 2):
            os.kill(run.supervisor.pids()["one"], signal.SIGKILL)
            await eventually(lambda: sum("ready again" in line for line in run.said) == number)  # noqa: B023
        assert [line for line in run.said if line.endswith("in 0.02 s")] == [run.said[0], run.said[2]]


async def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    async with supervised(tmp_path, plan("deaf", tmp_path, stubborn=True)) as run:
        await run.supervisor.start()
        pid = run.supervisor.pids()["deaf"]
    assert gone(pid)
    assert run.said == ["deaf did not end within 0.3 s and was killed"]


async def test_an_interrupted_start_leaves_no_process_behind(tmp_path: Path) -> None:
    silent = ChildPlan("silent", (sys.executable, "-c", "import time; time.sleep(60)"), "http://127.0.0.1:1/", {})
    async with supervised(tmp_path, silent) as run:
        starting = asyncio.create_task(run.supervisor.start())
        await eventually(lambda: run.supervisor.pids()["silent"] > 0)
        starting.cancel()
        await asyncio.wait((starting,))
        pid = run.supervisor.pids()["silent"]
    assert gone(pid)


async def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "child.pid"
    child = "from llm_mesh.parent import die_with; import os, sys, time; die_with(int(sys.argv[1]));"
    child += f"open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import os, subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", parent)
    await eventually(lambda: note.exists() and note.read_text() != "")
    process.kill()
    await process.wait()
    await eventually(lambda: gone(int(note.read_text())))
