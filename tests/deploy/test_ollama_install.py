"""The installer of the local model server: what it would do, what it does with a server at hand, and its errors."""

import functools
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures import fake_ollama
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import ROOT
from fixtures.up_program import alive

SCRIPT = ROOT / "deploy/ollama/install.sh"
WITHIN = 60
ARCHIVE = "ollama-linux-amd64.tar.zst" if os.uname().machine == "x86_64" else "ollama-linux-arm64.tar.zst"


class Machine:
    """A home of its own, with a program directory before all others, and whatever server was started in it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.home = directory
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.models = directory / "models"
        self.url = f"http://127.0.0.1:{port}"
        self.notes = directory / ".local/state/llm-mesh/ollama"
        path = os.pathsep.join([str(self.bin), "/usr/local/bin", "/usr/bin", "/bin"])
        self.variables = {
            "HOME": str(directory),
            "PATH": path,
            "OLLAMA_BASE_URL": self.url,
            "LOCAL_MODELS_PATH": str(self.models),
            "OLLAMA_PREFIX": str(directory / "prefix"),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        }

    def has(self, name: str, text: str) -> None:
        """Put a program into its path."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def has_ollama(self) -> None:
        """Put the fake server into its path."""
        self.has("ollama", f'exec {sys.executable} {fake_ollama.__file__} "$@"')

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run the installer."""
        return subprocess.run(
            [SCRIPT, *words],
            cwd=self.home,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )

    def done(self, *words: str, **variables: str) -> str:
        """Run it and return what it said; it must have succeeded."""
        done = self.run(*words, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *words: str, **variables: str) -> str:
        """Run it and return its complaint; it must have failed."""
        done = self.run(*words, **variables)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stderr

    @property
    def starts(self) -> list[dict[str, str | None]]:
        """Return what each server was started with."""
        file = self.models / "starts.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def pulls(self) -> list[str]:
        """Return what servers were asked to pull."""
        file = self.models / "pulls.txt"
        return file.read_text().split() if file.exists() else []

    def answers(self) -> bool:
        """Tell whether a server answers."""
        try:
            return httpx.get(f"{self.url}/api/version", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def tags(self) -> list[str]:
        """Return what the server lists."""
        return [model["name"] for model in httpx.get(f"{self.url}/api/tags", trust_env=False).json()["models"]]


@pytest.fixture
def machine(tmp_path: Path, unused_tcp_port: int) -> Iterator[Machine]:
    made = Machine(tmp_path, unused_tcp_port)
    yield made
    for started in made.starts:
        try:
            os.kill(int(started["pid"] or 0), signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.has_ollama()
    return machine


# ---------------------------------------------------------------------------- a dry run


@pytest.mark.product("P-CMD-7")
def test_a_dry_run_prints_every_step_and_changes_nothing(machine):
    said = machine.done("--dry-run", "--gpu", "1")
    assert f"would download the latest {ARCHIVE} from https://github.com/ollama/ollama/releases" in said
    assert f"would compare it with sha256sum.txt of that release and unpack it into {machine.home}/prefix" in said
    assert (
        f"would run: OLLAMA_HOST={machine.url} CUDA_VISIBLE_DEVICES=1 OLLAMA_MODELS={machine.models} "
        f"{machine.home}/prefix/bin/ollama serve\nwould pull: llama3.1:8b\n"
    ) in said
    assert sorted(file.name for file in machine.home.iterdir()) == ["bin"]


@pytest.mark.product("P-CMD-7")
def test_a_dry_run_beside_a_server_that_runs_says_what_is_missing(ready):
    ready.done()
    said = ready.done("--dry-run", "llama3.1:8b", "mistral:7b")
    assert said == f"ollama: a server answers at {ready.url}\nollama: llama3.1:8b is there\nwould pull: mistral:7b\n"
    assert ready.pulls == ["llama3.1:8b"]


# ---------------------------------------------------------------------------- a server at hand


@pytest.mark.product("P-CMD-7", "P-OPS-16")
def test_it_starts_the_server_with_device_and_path_and_pulls_the_default_model(ready):
    said = ready.done(OLLAMA_GPU_DEVICE="0,1", OLLAMA_NUM_PARALLEL="4")
    assert f"ollama: ready at {ready.url}" in said
    (started,) = ready.starts
    del started["pid"]
    assert started == {
        "OLLAMA_HOST": ready.url,
        "OLLAMA_MODELS": str(ready.models),
        "CUDA_VISIBLE_DEVICES": "0,1",
        "OLLAMA_NUM_PARALLEL": "4",
    }
    assert ready.tags() == ["llama3.1:8b"]


@pytest.mark.product("P-CMD-7")
def test_running_it_twice_changes_nothing(ready):
    ready.done("llama3.1:8b", "mistral:7b", "nomic-embed-text")
    before = {file: file.stat().st_mtime_ns for file in ready.home.rglob("*") if file.is_file()}
    said = ready.done("llama3.1:8b", "mistral:7b", "nomic-embed-text")
    assert said.splitlines() == [
        f"ollama: a server answers at {ready.url}",
        "ollama: llama3.1:8b is there",
        "ollama: mistral:7b is there",
        "ollama: nomic-embed-text is there",
        f"ollama: ready at {ready.url}",
    ]
    assert {file: file.stat().st_mtime_ns for file in ready.home.rglob("*") if file.is_file()} == before
    assert (len(ready.starts), ready.pulls) == (1, ["llama3.1:8b", "mistral:7b", "nomic-embed-text"])


@pytest.mark.product("P-CMD-7")
def test_only_what_is_missing_is_pulled_and_how_far_it_is_is_shown(ready):
    ready.done()
    said = ready.done("llama3.1:8b", "qwen3:4b")
    assert ready.pulls == ["llama3.1:8b", "qwen3:4b"]
    assert "40 % of 4.9 GB" in said


def test_a_server_somebody_else_started_is_used_and_what_cannot_be_told_to_it_is_said(ready):
    told = {"OLLAMA_HOST": ready.url, "OLLAMA_MODELS": str(ready.models)}
    server = subprocess.Popen([ready.bin / "ollama", "serve"], env=ready.variables | told)
    wait_until(lambda: server.poll() is None and ready.answers(), WITHIN, "the server")
    (ready.bin / "ollama").unlink()  # in a container, say
    said = ready.done("mistral:7b", "--gpu", "1")
    assert "it was not started from here, so its device" in said
    assert (ready.tags(), len(ready.starts)) == (["mistral:7b"], 1)


def test_other_settings_than_those_the_server_runs_with_are_no_success(ready):
    ready.done("--gpu", "0")
    complaint = ready.refused("--gpu", "1")
    assert f"it was started with other settings: gpu=0 path={ready.models} parallel=" in complaint
    assert f"kill {ready.starts[0]['pid']}" in complaint


def test_settings_are_read_from_the_file_beside_it_and_the_environment_beats_it(ready):
    (ready.home / ".env").write_text(
        f"# OLLAMA_GPU_DEVICE=7\nOLLAMA_GPU_DEVICE=3 # the third\nexport LOCAL_MODELS_PATH='{ready.home}/my models'\n"
        'OLLAMA_NUM_PARALLEL="2"\nGROQ_API_KEY=$(touch harmed)\n'
    )
    del ready.variables["LOCAL_MODELS_PATH"]
    ready.models = ready.home / "my models"
    ready.done(OLLAMA_NUM_PARALLEL="5")
    (started,) = ready.starts
    assert (started["CUDA_VISIBLE_DEVICES"], started["OLLAMA_NUM_PARALLEL"]) == ("3", "5")
    assert started["OLLAMA_MODELS"] == str(ready.models)
    assert not (ready.home / "harmed").exists()


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "http://127.0.0.1:{port}/", "0.0.0.0:{port}"])
def test_ollama_host_is_honoured_and_ollama_base_url_wins(ready, host):
    port = ready.url.rpartition(":")[2]
    said = ready.done("--dry-run", OLLAMA_BASE_URL="", OLLAMA_HOST=host.format(port=port))
    assert f"OLLAMA_HOST=http://{host.removeprefix('http://').rstrip('/').format(port=port)}" in said
    assert "OLLAMA_HOST=http://localhost:1" in ready.done(
        "--dry-run", OLLAMA_BASE_URL="http://localhost:1", OLLAMA_HOST="localhost:2"
    )


def test_it_says_so_when_the_mesh_would_not_use_the_server(ready):
    assert "LOCAL_MODELS_ENABLED is false: the mesh will not use" in ready.done(
        "--dry-run", LOCAL_MODELS_ENABLED="False"
    )


# ---------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--force"], "unknown option --force"),
        (["--gpu"], "--gpu wants a device"),
        (["--gpu", "fast"], "`fast` is no GPU; allowed: 0, 0,1, GPU-…, -1 for none"),
        (["--gpu="], ""),
        (["--wait", "soon"], "--wait soon: allowed are whole seconds"),
        (['llama"; rm -rf /'], "is no name of a model"),
        ([""], "is no name of a model"),
    ],
)
def test_what_it_cannot_read_is_refused_with_its_usage(machine, words, complaint):
    done = machine.run("--dry-run", *words)
    assert done.returncode == (2 if complaint else 0)
    assert complaint in done.stderr
    assert ("usage: deploy/ollama/install.sh" in done.stderr) == bool(complaint)


def test_help_is_printed():
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert "OLLAMA_GPU_DEVICE" in done.stdout


@pytest.mark.parametrize("url", ["ftp://localhost", "local host", "http://user@localhost:1"])
def test_an_address_that_is_none_is_refused(machine, url):
    assert "is no address; allowed in OLLAMA_BASE_URL: http://host[:port]" in machine.refused(OLLAMA_BASE_URL=url)


def test_a_server_elsewhere_that_does_not_answer_is_not_started_here(ready):
    complaint = ready.refused(OLLAMA_BASE_URL="http://models.invalid:11434")
    assert "nobody answers at http://models.invalid:11434, and that is not this machine" in complaint


def test_a_port_taken_by_something_else_is_said_to_be(ready):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert f"something else answers at {url}; stop it" in ready.refused(OLLAMA_BASE_URL=url)
    with web_server(ready.home) as url:
        assert f"something else answers at {url}; stop it" in ready.refused(OLLAMA_BASE_URL=url)
    assert ready.starts == []


def test_a_server_that_ends_at_once_is_quoted(machine):
    machine.has("ollama", 'echo "Error: listen tcp: address in use" >&2; exit 1')
    complaint = machine.refused()
    assert f"the server ended before it answered; the end of {machine.notes}/server.log:" in complaint
    assert "Error: listen tcp: address in use" in complaint


def test_a_server_that_never_answers_is_ended(machine):
    machine.has("ollama", "echo $$ > $HOME/pid; exec sleep 600")
    assert f"did not answer at {machine.url} within 1 s" in machine.refused("--wait", "1")
    pid = int((machine.home / "pid").read_text())
    wait_until(lambda: not alive(pid), 5, "it to end")


def test_a_directory_that_cannot_be_made_is_named(ready):
    (ready.home / "file").touch()
    complaint = ready.refused(LOCAL_MODELS_PATH=f"{ready.home}/file/models")
    assert f"cannot make the directory {ready.home}/file/models (LOCAL_MODELS_PATH)" in complaint


def test_a_model_nobody_knows_is_an_error_with_the_servers_words(ready):
    complaint = ready.refused(fake_ollama.UNKNOWN)
    assert "pull model manifest: file does not exist" in complaint
    assert f"cannot pull {fake_ollama.UNKNOWN}" in complaint


def test_a_gpu_that_is_not_there_is_refused_where_the_driver_can_tell(ready):
    ready.has("nvidia-smi", "printf '0\\n1\\n'")
    assert "GPU 2 is not there; nvidia-smi lists: 0,1" in ready.refused("--gpu", "0,2")
    assert ready.starts == []
    ready.done("--gpu", "1")
    assert ready.starts[0]["CUDA_VISIBLE_DEVICES"] == "1"


def test_on_a_mac_it_says_what_to_do(machine):
    machine.has("uname", "echo Darwin")
    assert "install the app from https://ollama.com/download/mac (or: brew install ollama)" in machine.refused()


# ---------------------------------------------------------------------------- installing


class web_server:  # noqa: N801 - reads as a statement
    """Serves a directory over HTTP until the block ends."""

    def __init__(self, directory: Path) -> None:
        handler = functools.partial(_Silent, directory=str(directory))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_why: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Silent(http.server.SimpleHTTPRequestHandler):
    """Writes nothing about what it serves; the newest release is elsewhere than where it is asked for."""

    def log_message(self, *_words: object) -> None:
        pass

    def send_head(self):
        if self.path == "/latest":
            self.path = "/tag/v0.35.1"
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
            return None
        return super().send_head()


@pytest.fixture
def releases(machine: Machine) -> Iterator[tuple[str, Path]]:
    """Publish a release whose program is the fake server; yields where, and the file of its checksums."""
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    place = machine.home / "releases"
    release = place / "download/v0.35.1"
    release.mkdir(parents=True)
    (place / "tag").mkdir()
    (place / "tag/v0.35.1").touch()
    machine.has_ollama()
    plain = machine.home / "plain.tar"
    with tarfile.open(plain, "w") as tar:
        tar.add(machine.bin / "ollama", "bin/ollama")
    (machine.bin / "ollama").unlink()
    subprocess.run(["zstd", "-q", "--rm", plain, "-o", release / ARCHIVE], check=True)
    digest = hashlib.sha256((release / ARCHIVE).read_bytes()).hexdigest()
    sums = release / "sha256sum.txt"
    sums.write_text(f"{'0' * 64}  ./ollama-darwin.tgz\n{digest}  ./{ARCHIVE}\n")
    with web_server(place) as url:
        yield url, sums


@pytest.mark.product("P-CMD-7")
def test_it_installs_the_latest_release_checked_by_the_sums_published_with_it(machine, releases):
    url, _ = releases
    said = machine.done(OLLAMA_RELEASES=url)
    assert f"downloading v0.35.1 {ARCHIVE}" in said
    assert f"installed {machine.home}/prefix/bin/ollama" in said
    assert machine.tags() == ["llama3.1:8b"]
    os.kill(int(machine.starts[0]["pid"]), signal.SIGKILL)
    assert "downloading" not in machine.done(OLLAMA_RELEASES=url)  # it is found where it was put


def test_an_archive_that_is_not_what_was_published_is_not_installed(machine, releases):
    url, sums = releases
    sums.write_text(f"{'0' * 64}  {ARCHIVE}\n")
    complaint = machine.refused(OLLAMA_RELEASES=url)
    assert f"{ARCHIVE} is not what was published (" in complaint
    assert not (machine.home / "prefix").exists()


@pytest.mark.parametrize("text", ["", f"{'0' * 64}  other-{ARCHIVE}\n"])
def test_an_archive_without_a_published_sum_is_not_installed(machine, releases, text):
    url, sums = releases
    sums.write_text(text)
    assert f"sha256sum.txt of v0.35.1 does not name {ARCHIVE}; nothing was installed" in machine.refused(
        OLLAMA_RELEASES=url
    )


def test_a_release_that_is_not_there_is_named(machine, releases):
    url, _ = releases
    complaint = machine.refused(OLLAMA_RELEASES=url, OLLAMA_VERSION="v9.9.9")
    assert f"cannot download the checksums of v9.9.9 from {url}" in complaint


def test_without_a_network_it_says_what_it_cannot_reach(machine):
    complaint = machine.refused(OLLAMA_RELEASES="http://127.0.0.1:1")
    assert "cannot reach http://127.0.0.1:1/latest" in complaint
