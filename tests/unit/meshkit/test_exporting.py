"""Spans leave the process at its end, and a collector that is away does not keep it from ending."""

import subprocess
import sys
import time

SCRIPT = """
from meshkit import tracing
exporting = tracing.start("test", otlp_endpoint="http://127.0.0.1:9", sample_ratio=1.0)
with tracing.incoming("request", None) as span:
    assert span.is_recording()
exporting.shutdown()
"""


def test_a_collector_that_is_away_holds_up_the_end_of_a_process_for_a_moment_only():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SCRIPT], timeout=30, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 20
