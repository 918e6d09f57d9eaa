"""Schemathesis asks a whole mesh whatever its OpenAPI document allows, and what it does not: no 500, no other shape."""

import subprocess
from pathlib import Path

import pytest
from fixtures.sandbox_mesh import bare_environment, sandbox_mesh

from tools.real_programs import find

PYTHON = find("schemathesis-python")
pytestmark = [
    pytest.mark.real,
    pytest.mark.product("P-HTTP-22"),
    pytest.mark.skipif(not PYTHON, reason="Schemathesis is not installed: make test-real"),
]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
# A request that nobody may serve (503) or that takes too long (504) is the caller's answer, and no defect.
SETTINGS = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501", "503", "504"]
"""
HOST = {"use_cases": {"default": {"default_tier": "free", "candidates": {"free": ["ollama/llama3.1:8b"]}}}}


@pytest.mark.timeout(900)
def test_no_500_and_no_schema_violation(tmp_path: Path) -> None:
    assert PYTHON is not None
    place = tmp_path / "mesh"
    place.mkdir()
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    with sandbox_mesh(place, HOST) as mesh:
        command = [PYTHON, "-m", "schemathesis.cli", "run", f"{mesh.edge}/openapi.json", "--checks", ",".join(CHECKS)]
        options = ["--phases", "examples,coverage,fuzzing", "--max-examples", "40", "--seed", "7", "--no-color"]
        options += ["--suppress-health-check", "all", "--continue-on-failure", "--request-timeout", "60"]
        done = subprocess.run(
            [*command, *options],
            cwd=tmp_path,
            env=bare_environment(tmp_path) | {"PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
        assert '"event":"defect"' not in mesh.log("router")
