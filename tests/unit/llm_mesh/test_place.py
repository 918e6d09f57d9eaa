"""What a run leaves on disk."""

from pathlib import Path

import pytest

from llm_mesh.place import Place, place


def test_the_log_of_the_run_before_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    where = Place(tmp_path / "log")
    where.log("router").write_text("first")
    assert not where.log("router").exists()
    assert (tmp_path / "log" / "router.log.1").read_text() == "first"


def test_a_sandbox_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with place(sandbox=True, keep=False) as where:
        assert where.ledger is not None
        where.ledger.write_text("ledger")
        where.log("router").write_text("log")
    assert not where.ledger.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_sandbox_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with place(sandbox=True, keep=True) as where:
        assert where.ledger is not None
        where.ledger.write_text("ledger")
    assert (tmp_path / "var" / "sandbox" / "ledger.db").read_text() == "ledger"


def test_outside_a_sandbox_the_ledger_is_where_the_configuration_says() -> None:
    with place(sandbox=False, keep=False) as where:
        assert (where.ledger, where.logs) == (None, Path("var/log"))
