"""How the tests share the workers: those of a file stay together, and so do files that share a costly mesh."""

import gc

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file on one worker, unless the file says with whom it goes (`--dist loadgroup`)."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what was collected here: thousands of tests, which all stay."""
    gc.collect()
    gc.freeze()
