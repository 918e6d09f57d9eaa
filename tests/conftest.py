"""How the tests share the workers: those of a file stay together, and so do files that share a costly mesh."""

import gc
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

# Their mesh of twenty processes is started once.
ISOLATED = {f"tests/mesh/test_{name}.py" for name in ("isolated", "official_client", "secrets", "trace")}


class ByFile(LoadFileScheduling):
    """Gives each worker one file after the other, and files that share a mesh to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "isolated" if file in ISOLATED else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Take this way to share, whatever `--dist` says."""
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what was collected here: thousands of tests, which all stay."""
    gc.collect()
    gc.freeze()
