"""Chats through the mesh with a real inference server: a tiny random model, nothing simulated."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "var" / "real-model"
VENV, MODEL, ROWS = HOME / "venv", HOME / "model", HOME / "catalog"
PINNED = ROOT / "requirements" / "real-model.txt"
LLM_MESH = Path(sys.executable).parent / "llm-mesh"
INSTALL_SECONDS, START_SECONDS, CHAT_SECONDS = 1800.0, 180.0, 120.0

ROW = """\
display_name: A real inference server on this machine
group: local
dialect: openai
endpoint: http://127.0.0.1:{port}/v1
auth: {{kind: none}}
provider_name: tiny
port_offset: 0
local: true
open_models: true
trains_on: {{local: false}}
default_plan: local
plans:
  local: {{source: tools/real_model.py, date: {day}}}
models:
  "{model}":
    model_class: local
    context_window: 2048
    max_output_tokens: 512
    price: {{input: 0, output: 0}}
    aliases: [tiny]
    source: tools/tiny_model.py
    date: {day}
"""
USE_CASES = """\
use_cases:
  default:
    default_tier: free
    max_output_tokens: 48
    candidates:
      free: [tiny]
"""


def say(sentence: str) -> None:
    """Tell the person waiting what is going on."""
    sys.stdout.write(f"real-model: {sentence}\n")
    sys.stdout.flush()


def run(*command: object, seconds: float) -> None:
    """Run one program to its end, showing its output."""
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True, timeout=seconds)  # noqa: S603 - our own commands


def install() -> None:
    """Put the inference server into its own virtual environment, once per change of its requirements."""
    stamp = VENV / "installed"
    if stamp.is_file() and stamp.read_text() == PINNED.read_text():
        return
    say("installing torch and transformers below var/real-model (about 1 GB, a minute or two)")
    shutil.rmtree(VENV, ignore_errors=True)
    run(sys.executable, "-m", "venv", VENV, seconds=INSTALL_SECONDS)
    pip = (VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r", PINNED)
    run(*pip, seconds=INSTALL_SECONDS)
    stamp.write_text(PINNED.read_text())


def write_model() -> None:
    """Make the model, once."""
    if not (MODEL / "model.safetensors").is_file():
        say("writing a model with random weights")
        run(VENV / "bin" / "python", ROOT / "tools" / "tiny_model.py", MODEL, seconds=START_SECONDS)


def write_rows(port: int) -> Path:
    """Describe the server as a vendor, as anyone would their own; give the configuration that names the rows."""
    ROWS.mkdir(parents=True, exist_ok=True)
    (ROWS / "tiny.yaml").write_text(ROW.format(port=port, model=MODEL, day=time.strftime("%Y-%m-%d")))
    (ROWS / "use_cases.yaml").write_text(USE_CASES)
    config = HOME / "mesh.yaml"
    config.write_text(f"catalog: {ROWS.name}\nledger: {{path: {HOME / 'ledger.db'}}}\n")
    return config


@contextlib.contextmanager
def started(
    command: list[str], log: Path, *, heard: bool = False, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a program beside us, its output in a log unless it is heard, and stop it on the way out."""
    with log.open("w") as sink:
        output = subprocess.PIPE if heard else sink
        surroundings = {**os.environ, **(environment or {})}
        running = subprocess.Popen(command, cwd=HOME, env=surroundings, stdout=output, stderr=sink, text=True)  # noqa: S603
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()


def wait_for(url: str, running: subprocess.Popen[str], log: Path) -> None:
    """Wait until the server answers; its last words are the error when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return
        time.sleep(0.3)
    sys.exit(f"real-model: the inference server did not start:\n{log.read_text()[-2000:]}")


def told(running: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """Read what the mesh says of itself once it is up."""
    text = ""
    for line in running.stdout or ():
        text += line
        with contextlib.suppress(json.JSONDecodeError):
            said: dict[str, Any] = json.loads(text)
            if "router" in said:
                return said
    sys.exit(f"real-model: the mesh did not start:\n{text}{log.read_text()[-2000:]}")


def free_port() -> int:
    """Choose a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Install, start everything, chat twice, stop everything."""
    HOME.mkdir(parents=True, exist_ok=True)
    install()
    write_model()
    port = free_port()
    config = write_rows(port)
    cache = HOME / "cache"
    (cache / "hub").mkdir(parents=True, exist_ok=True)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1"}
    serve = [str(VENV / "bin" / "transformers"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    up = [str(LLM_MESH), "up", "--ports", "auto", "--json", "--config", str(config)]
    with started(serve, HOME / "server.log", environment=offline) as server:
        wait_for(f"http://127.0.0.1:{port}/health", server, HOME / "server.log")
        say(f"the inference server listens on 127.0.0.1:{port}")
        with started(up, HOME / "mesh.log", heard=True) as mesh:
            router = told(mesh, HOME / "mesh.log")["router"]
            say(f"the mesh listens on {router}; a model of random weights says random things")
            chat = (LLM_MESH, "chat", "--address", router, "--model", "tiny", "--max-tokens", "32", "What is a mesh?")
            run(*chat, seconds=CHAT_SECONDS)
            run(*chat, "--whole", seconds=CHAT_SECONDS)
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
