"""The example for Node: stubs that buf generates from the protos, and a program that asks a mesh by them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.acceptance import CALLER_KEY
from fixtures.sandbox_mesh import ROOT, SandboxMesh, bare_environment

from tools.real_programs import BIN, HOME, find

EXAMPLE, INSTALLED = ROOT / "examples" / "node", HOME / "node-example" / "node_modules"
FILES = ("package.json", "buf.gen.yaml", "chat.js")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (find("node") and find("protoc-gen-es") and INSTALLED.is_dir()),
        reason="Node, or what the example needs from npm, is not installed: make test-real",
    ),
]


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """Copy the example and generate its stubs there."""
    for file in FILES:
        shutil.copy(EXAMPLE / file, tmp_path)
    (tmp_path / "node_modules").symlink_to(INSTALLED)
    run(tmp_path, "buf", "generate", str(ROOT / "protos"))
    return tmp_path


def run(place: Path, *command: str, **more: str) -> str:
    """Run one of the example's commands and return what it says."""
    path = os.pathsep.join([str(INSTALLED / ".bin"), str(BIN), os.environ["PATH"]])
    environment = {**bare_environment(place), "PATH": path, **more}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_answered_whole_and_in_pieces_and_told_what_is_wrong(example: Path, keyed: SandboxMesh) -> None:
    lines = run(example, "node", "chat.js", keyed.router, "say: one two", MESH_API_KEY=CALLER_KEY).splitlines()
    assert lines[0] == "whole:    one two"
    assert lines[1].startswith("served by ")
    assert lines[2].startswith("streamed: one two (")
    assert lines[2].endswith(" pieces, complete)")
    assert lines[3].startswith("refused:  NotFound: unknown model")


def test_every_proto_has_its_stubs(example: Path) -> None:
    protos = {file.relative_to(ROOT / "protos").with_suffix("") for file in (ROOT / "protos").rglob("*.proto")}
    stubs = {file.relative_to(example / "gen") for file in (example / "gen").rglob("*_pb.js")}
    assert {str(stub).removesuffix("_pb.js") for stub in stubs} == {str(proto) for proto in protos}
