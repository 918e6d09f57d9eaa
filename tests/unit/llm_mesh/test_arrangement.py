"""What is started, and by which key its callers are let in."""

import os
from pathlib import Path

import pytest

from llm_mesh.arrangement import Arrangement, arrange
from llm_mesh.order import Order, Wishes
from llm_mesh.place import Place


def arranged(directory: Path, words: str, **environment: str) -> Arrangement:
    (directory / "mesh.yaml").write_text(words, encoding="utf-8")
    (directory / "tenants.yaml").write_text("tenants: {ann: {}}\n", encoding="utf-8")
    order = Order(Wishes("", "", "", "", 0, free_ports=True), directory / "mesh.yaml", sandbox=True, isolated=False)
    return arrange(order, environment, os.getpid(), Place(directory / "log", directory))


def caller_keys(made: Arrangement) -> set[str]:
    """Return the callers' keys the processes are given."""
    given = [plan.env.get("ORCHESTRATOR_API_KEY", "") for plan in made.children if plan.name == "router"]
    return set(given)


@pytest.mark.parametrize("words", ["", "tenants: tenants.yaml\n"])
def test_the_callers_key_that_is_there_is_the_one(tmp_path: Path, words: str) -> None:
    made = arranged(tmp_path, words, ORCHESTRATOR_API_KEY="the-one")
    assert made.caller_key is not None
    assert caller_keys(made) == {made.caller_key.reveal()} == {"the-one"}


def test_where_only_tenants_have_keys_who_starts_the_mesh_has_one_of_its_own(tmp_path: Path) -> None:
    made, other = (arranged(tmp_path, "tenants: tenants.yaml\n") for _ in range(2))
    assert made.caller_key is not None
    assert other.caller_key is not None
    assert caller_keys(made) == {made.caller_key.reveal()} != caller_keys(other)
    assert len(made.caller_key.reveal()) >= 32


def test_without_tenants_and_without_a_key_nobody_needs_one(tmp_path: Path) -> None:
    made = arranged(tmp_path, "")
    assert made.caller_key is None
    assert caller_keys(made) == {""}
