"""The contracts are written as buf wants them and do not break what the last release promised."""

import subprocess
from pathlib import Path

import pytest

from tools.real_programs import find

ROOT = Path(__file__).resolve().parents[2]
BUF = find("buf")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(BUF is None, reason="buf is not installed (make test-real says why)"),
]


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_contracts_follow_the_standard_and_every_field_has_a_comment():
    assert run(BUF, "lint", "protos") == (0, "")


def test_the_contracts_are_formatted():
    assert run(BUF, "format", "--diff", "--exit-code", "protos") == (0, "")


def test_the_contracts_break_nothing_since_the_last_release():
    failed, tag = run("git", "describe", "--tags", "--abbrev=0")
    if failed:
        pytest.skip("there is no release to compare with yet")
    assert run(BUF, "breaking", "protos", "--against", f".git#tag={tag.strip()},subdir=protos") == (0, "")
