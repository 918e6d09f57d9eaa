"""The framing readers under a fuzzer that watches which lines each input reaches."""

import subprocess
from pathlib import Path

import pytest

from tools.real_programs import find

PYTHON = find("fuzz-python")
TARGET = Path(__file__).parents[1] / "fixtures" / "fuzz_framing.py"
SECONDS = 120


@pytest.mark.nightly
@pytest.mark.skipif(not PYTHON, reason="the fuzzer is not installed: make nightly")
def test_no_bytes_crash_a_framing_reader_or_change_with_their_cut(tmp_path: Path) -> None:
    words = [str(PYTHON), str(TARGET), f"-max_total_time={SECONDS}", "-max_len=400", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS * 3, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
